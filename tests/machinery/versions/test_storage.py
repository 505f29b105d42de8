"""storage: what is not as dvc.lock records it, asked of a real DVC, with data and without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from machinery.versions import git, storage

PIPELINE = """\
stages:
  read:
    cmd: mkdir -p data && cat code/a.py params.yaml > data/raw.txt
    params: [rows]
    deps: [code]
    outs: [data/raw.txt]
  count:
    cmd: wc -c < data/raw.txt > count.txt
    deps: [data/raw.txt]
    outs: [count.txt]
"""


def dvc(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words, "--quiet"], check=True)


@pytest.fixture
def pipeline(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages that have run: code in a folder, a parameter, and data in the cache."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(repository / "site"))
    Path("code").mkdir()
    Path("code/a.py").write_text("a = 1\n", encoding="utf-8")
    Path("params.yaml").write_text("rows: 3\n", encoding="utf-8")
    Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    dvc("init")
    dvc("repro")
    git.run("add", ".")
    git.run("commit", "--quiet", "--message", "A run")


@pytest.mark.usefixtures("pipeline")
def test_each_thing_that_is_not_as_recorded_is_named_with_its_stages() -> None:
    assert storage.stale() == []
    Path("code/b.py").write_text("b = 1\n", encoding="utf-8")
    Path("params.yaml").write_text("rows: 4\n", encoding="utf-8")
    Path("count.txt").write_text("9\n", encoding="utf-8")
    assert storage.stale() == [
        "code has changed since read ran",
        "rows in params.yaml has changed since read ran",
        "count.txt has changed since count ran",
    ]


@pytest.mark.usefixtures("pipeline")
def test_without_data_only_code_params_and_the_record_count() -> None:
    for path in ("data", ".dvc/cache", "count.txt"):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    assert {*storage.status()} == {"read", "count"}
    assert storage.stale() == []
    lock = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))
    lock["stages"]["read"]["outs"][0]["md5"] = "a" * 32  # as if count had read another one
    Path("dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    assert storage.stale() == ["data/raw.txt has changed since count ran"]


@pytest.mark.usefixtures("pipeline")
def test_without_data_a_stage_that_never_ran_and_code_that_is_gone_are_stale() -> None:
    shutil.rmtree("data")
    with Path("dvc.yaml").open("a", encoding="utf-8") as file:
        file.write("  more:\n    cmd: cat data/raw.txt\n    deps: [data/raw.txt]\n")
    shutil.rmtree("code")
    assert storage.stale() == [
        "code is missing (read)",
        "its record in dvc.lock is missing (more)",
    ]


@pytest.mark.usefixtures("pipeline")
def test_a_changed_byte_that_dvc_does_not_see_is_found() -> None:
    path = Path("data/raw.txt")
    dvc("status")
    before = path.stat()
    text = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"b" + text[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert storage.stale() == []
    assert storage.changed(storage.reread()) == ["data/raw.txt"]
    path.unlink()
    Path("count.txt").write_text("9\n", encoding="utf-8")
    assert storage.changed(storage.reread()) == ["data/raw.txt", "count.txt"]
    assert storage.outputs() == {"data/raw.txt", "count.txt"}


@pytest.mark.usefixtures("pipeline")
def test_an_output_that_leaves_takes_its_own_files_along_and_no_others() -> None:
    for name in ("a.txt", "in/b.txt"):
        Path("more", name).parent.mkdir(parents=True, exist_ok=True)
        Path("more", name).write_text(name, encoding="utf-8")
    dvc("add", "more")
    files = {file.path: file for file in storage.recorded()}
    Path("more/notes.log").touch()
    Path("more.dvc").unlink()
    storage.checkout([files["more"], files["count.txt"]])
    assert [path.name for path in Path("more").rglob("*") if path.is_file()] == ["notes.log"]
    assert Path("count.txt").is_file()  # an output of the pipeline
