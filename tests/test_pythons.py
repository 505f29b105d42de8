"""Every supported Python on this machine installs a project, and its tests pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import bake


def interpreter(version: str) -> str | None:
    """Find a Python of this version, also if only pyenv or uv has it."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    uv = Path(sys.executable).with_name("uv")
    find = [str(uv), "python", "find", "--no-project", "--no-python-downloads", version]
    done = subprocess.run(find, capture_output=True, text=True, check=False)
    return str(installed[-1]) if installed else done.stdout.strip() or None


# Searched at import, before the tests get their own home.
PYTHONS = {version: interpreter(version) for version in ("3.11", "3.12", "3.13")}
BY_PIP = next((version for version, python in PYTHONS.items() if python), None)


def bare_path() -> str:
    """The PATH of a shell without uv and without an activated .venv."""
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not (Path(folder) / "uv").exists())


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_a_project_installs_and_its_tests_are_green(version: str, tmp_path: Path) -> None:
    python = PYTHONS[version]
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    baked = bake(tmp_path)
    # One of them without uv, in a shell without an activated .venv.
    path = bare_path() if version == BY_PIP else baked.environment["PATH"]
    baked.run("make", "setup", f"PYTHON={python}", PATH=path)
    assert baked.run("python", "--version").stdout.startswith(f"Python {version}.")
    assert baked.run("git", "status", "--porcelain").stdout == ""
    targets = ("check", "test") if version == BY_PIP else ("test",)
    baked.run("make", *targets, PATH=path)
