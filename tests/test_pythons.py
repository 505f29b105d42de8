"""Every supported Python that the machine has installs a project and passes its tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import bake


def interpreter(version: str) -> str | None:
    """Find a Python of this version, also one that pyenv or uv keeps off the PATH."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    uv = Path(sys.executable).with_name("uv")
    find = [str(uv), "python", "find", "--no-project", "--no-python-downloads", version]
    found = subprocess.run(find, capture_output=True, text=True, check=False)
    return str(kept[-1]) if kept else found.stdout.strip() or None


# Looked for at import, before the tests get a home of their own.
PYTHONS = {version: interpreter(version) for version in ("3.11", "3.12", "3.13")}


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_a_project_installs_and_passes_its_tests(version: str, tmp_path: Path) -> None:
    python = PYTHONS[version]
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    baked = bake(tmp_path)
    baked.run("make", "setup", f"PYTHON={python}")
    assert baked.run("python", "--version").stdout.startswith(f"Python {version}.")
    baked.run("make", "check", "test")
