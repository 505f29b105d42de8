"""An unknown key in params.yaml or contract.yaml is reported even if no stage reads it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.pipeline.data import contract
from machinery.pipeline.files import UserError
from machinery.versions import edited

PROJECT = next(Path(__file__).parents[3].glob("*/params.yaml")).parent
FILES = ("params.yaml", "contract.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of the project's files."""
    for name in FILES:
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    contract.load.cache_clear()
    return tmp_path


def plant(path: Path, *keys: str) -> None:
    """Add an unknown key to the document below these keys."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    inner = document
    for key in keys:
        inner = inner[key] if key != "FIRST" else next(iter(inner.values()))
    inner["planted"] = {}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def test_the_files_of_the_project_are_valid(folder: Path) -> None:
    assert edited.check() == "every key of params.yaml and contract.yaml is known"


@pytest.mark.parametrize(
    ("name", "keys", "sentence"),
    [
        ("params.yaml", ("train",), "params.yaml: train.planted is not a known parameter"),
        ("params.yaml", ("report",), "params.yaml: report.planted is not a known parameter"),
        ("contract.yaml", (), "contract.yaml: planted is not a known key"),
        ("contract.yaml", ("columns", "FIRST"), ".planted is not a known key"),
    ],
)
def test_a_planted_key_is_named(
    folder: Path, name: str, keys: tuple[str, ...], sentence: str
) -> None:
    plant(folder / name, *keys)
    with pytest.raises(UserError, match=re.escape(sentence)):
        edited.check()


def test_the_hook_prints_one_sentence_and_stops_the_commit(folder: Path) -> None:
    plant(folder / "params.yaml", "train")
    done = subprocess.run(
        [sys.executable, "-m", edited.__name__],
        env=dict(os.environ) | {"PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("params.yaml: train.planted is not a known parameter")
