"""Progress: shown at a terminal, silent in a pipe and in CI."""

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
    known = dict(os.environ) | {"PYTHONPATH": f"src:{SOURCE}", "TERM": "xterm", "CI": ci}
    return known | {"COLUMNS": "80", "PYTHONHASHSEED": "0"}


def at_a_terminal(*words: str, folder: Path, ci: str = "") -> str:
    """All that Python writes when standard error is a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment(ci), stderr=theirs, stdout=theirs
    ):
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # Linux's way to say that nobody writes any more
            pass
    os.close(ours)
    return written.decode()


def test_a_terminal_shows_the_seconds_and_the_parts(tmp_path: Path) -> None:
    shown = at_a_terminal("-c", WORK, folder=tmp_path)
    assert "a long work" in shown
    assert "0:00:00" in shown
    assert "its parts" in shown
    assert "100%" in shown


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


def test_every_stage_shows_that_it_is_at_work(shop_source: Path) -> None:
    words, folder = ("-m", "shop", "gate"), shop_source.parent
    assert "gate \x1b[33m0:00:00" in at_a_terminal(*words, folder=folder)
    (quiet,) = at_a_terminal(*words, folder=folder, ci="true").splitlines()
    assert quiet.startswith("gate: params.yaml is missing")
