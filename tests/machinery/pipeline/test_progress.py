"""Progress is shown at a terminal, but not in a pipe or in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "{{cookiecutter.project_slug}}" / "src"
WORK = """
from machinery.pipeline.progress import spinner, track
with spinner("a long work"):
    print(sum(track(range(3), "its parts", 3)))
"""


def environment(ci: str) -> dict[str, str]:
    changes = {"PYTHONPATH": f"src:{SOURCE}", "TERM": "xterm", "CI": ci}
    return dict(os.environ) | changes | {"COLUMNS": "80", "PYTHONHASHSEED": "0"}


def at_a_terminal(*words: str, folder: Path, ci: str = "") -> str:
    """The output of Python with a terminal as standard output and error."""
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    command = [sys.executable, *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment(ci), stderr=terminal, stdout=terminal
    ):
        os.close(terminal)
        written = b""
        try:
            while part := os.read(main, 65536):
                written += part
        except OSError:  # on Linux, the end of the output
            pass
    os.close(main)
    return written.decode()


def test_a_terminal_shows_the_seconds_and_the_parts(tmp_path: Path) -> None:
    shown = at_a_terminal("-c", WORK, folder=tmp_path)
    assert all(text in shown for text in ("a long work", "0:00:00", "its parts", "100%"))


@pytest.mark.parametrize("ci", ["true", "1"])
def test_a_terminal_in_ci_shows_nothing(tmp_path: Path, ci: str) -> None:
    assert at_a_terminal("-c", WORK, folder=tmp_path, ci=ci).split() == ["3"]


def test_a_pipe_gets_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        cwd=tmp_path,
        env=environment(ci=""),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_every_stage_shows_its_elapsed_time(shop_source: Path) -> None:
    words, folder = ("-m", "shop", "gate"), shop_source.parent
    assert "gate \x1b[33m0:00:00" in at_a_terminal(*words, folder=folder)
    (quiet,) = at_a_terminal(*words, folder=folder, ci="true").splitlines()
    assert quiet.startswith("gate: params.yaml is missing")
