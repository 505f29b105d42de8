"""Hashes as DVC records them: of files, of folders, and what differs from them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from machinery.versions import storage
from machinery.versions.graph import File


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a/c.txt", "a.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return tmp_path


def folder_hash() -> str:
    digest = storage.digest(Path("data"))
    assert digest is not None
    return digest


def test_the_hash_of_a_folder_is_dvcs(folder: Path) -> None:
    (folder / ".dvcignore").write_text("*.log\n", encoding="utf-8")
    (folder / "data" / "run.log").write_text("ignored", encoding="utf-8")
    for words in (["init", "--no-scm"], ["add", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *words, "--quiet"], cwd=folder, check=True)
    (out,) = yaml.safe_load((folder / "data.dvc").read_text(encoding="utf-8"))["outs"]
    assert folder_hash() == out["md5"]


def test_a_changed_byte_changes_the_hash_of_the_folder(folder: Path) -> None:
    before = folder_hash()
    (folder / "data/a/c.txt").write_text("a/C.txt", encoding="utf-8")
    assert folder_hash() != before


def test_what_is_not_as_recorded_comes_with_its_hash(folder: Path) -> None:
    right = hashlib.md5(b"b.txt", usedforsecurity=False).hexdigest()
    assert storage.changed([File("data/b.txt", right), File("data", folder_hash())]) == {}
    wrong = [File("data/b.txt", "0" * 32), File("data/gone", "1" * 32), File("data/a", right)]
    now = {"data/b.txt": right, "data/gone": None, "data/a": storage.digest(Path("data/a"))}
    assert storage.changed(wrong) == now
