"""Every command has help, on any terminal, and runs the code of the current folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from machinery.commands.cli import app


def all_commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """All commands; those of groups have both names."""
    commands: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            commands |= all_commands(command, f"{name} ")
        else:
            commands[f"{prefix}{name}"] = command
    return commands


COMMANDS = all_commands(get_command(app))
RUN = "from shop.project import Shop; from machinery.commands.cli import run; run(Shop())"
TERMINALS: dict[str, dict[str, str]] = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no colour": {"NO_COLOR": "1"},
    "narrow": {"COLUMNS": "40"},
}


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=folder,
        env=dict(os.environ) | {"PYTHONPATH": "src"} | environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_description_and_an_example(name: str) -> None:
    assert COMMANDS[name].help
    assert COMMANDS[name].epilog.startswith("Example: ")


@pytest.mark.parametrize("terminal", TERMINALS)
def test_help_and_mistakes_are_readable_on_any_terminal(shop_source: Path, terminal: str) -> None:
    folder = shop_source.parent
    helped = run("--help", folder=folder, **TERMINALS[terminal])
    assert helped.returncode == 0, helped.stderr
    wrong = run("show", folder=folder, **TERMINALS[terminal])
    assert wrong.returncode == 2
    assert wrong.stderr.count(b"\n") == 1
    assert b"Traceback" not in helped.stderr + wrong.stderr


def test_a_character_that_the_terminal_lacks_is_replaced(shop_source: Path) -> None:
    done = run("lineage", "日本", folder=shop_source.parent, PYTHONIOENCODING="latin-1")
    assert done.returncode == 2
    assert b"??" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_closed_pipe_prints_no_traceback(shop_source: Path) -> None:
    command = f"'{sys.executable}' -c '{RUN}' --help | true"
    environment = dict(os.environ) | {"PYTHONPATH": "src", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=shop_source.parent, env=environment, capture_output=True
    )
    assert done.stderr == b""


def test_code_of_another_checkout_is_refused(shop_source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "src").mkdir(parents=True)
    shutil.copytree((shop_source / "shop").resolve(), other / "src/shop")
    done = run("show", folder=other, PYTHONPATH=str(shop_source))
    assert done.returncode == 2
    assert b"this command runs the code of " in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"is missing" in run("show", folder=shop_source.parent).stderr
