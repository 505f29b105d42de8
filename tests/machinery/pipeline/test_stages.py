"""How a stage is started: always the same environment, and one sentence for a user's mistake."""

import os
import subprocess
import sys
from pathlib import Path

from machinery.pipeline.run import ENVIRONMENT

SOURCE = Path(__file__).parents[3] / "{{cookiecutter.project_slug}}" / "src"


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=dict(os.environ) | {"PYTHONPATH": str(SOURCE)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_users_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = run("-m", "shop", "gate", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("gate: metrics.json is missing")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_hash_seed_and_threads_are_the_same_whatever_the_shell_sets(tmp_path: Path) -> None:
    """A stage that is replaced by a print prints only if it was not started anew."""
    print_instead = (
        "import runpy, sys;"
        "import shop.gate as gate;"
        "gate.main = lambda: print('not started anew');"
        "sys.argv = ['stages', 'gate'];"
        "runpy.run_module('shop', run_name='__main__')"
    )
    other = run("-c", print_instead, folder=tmp_path, **ENVIRONMENT | {"PYTHONHASHSEED": "7"})
    same = run("-c", print_instead, folder=tmp_path, **ENVIRONMENT)
    assert (other.stdout, same.stdout) == ("", "not started anew\n")
