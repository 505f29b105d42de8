"""A report says how to come by the commit that it was made of."""

import subprocess
from pathlib import Path

import pytest

from machinery.comparison.lineage import unpushed
from machinery.versions.git import resolve

WHO = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null")


def git(*words: str) -> None:
    subprocess.run(["git", *WHO, *words], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone whose remote has its first two commits."""
    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "remote"))
    git("clone", "--quiet", str(tmp_path / "remote"), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    for message in ("First", "Second"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main")


def test_a_commit_of_the_remote_needs_no_way_round() -> None:
    assert unpushed(resolve("HEAD"), "main", "shop") == ""


def test_a_commit_that_was_not_pushed_is_made_again_from_its_parent() -> None:
    parent = resolve("HEAD")
    git("commit", "--quiet", "--allow-empty", "--message", "Reproduce the pipeline")
    told = unpushed(resolve("HEAD"), "abc", "shop")
    assert f"No branch of the remote has `{resolve('HEAD')}`" in told
    commands = told.split("```")[1].split("\n")
    assert commands[1:4] == [
        f"git checkout {parent}",
        "dvc repro --pull --allow-missing",
        "shop report --against abc",
    ]


def test_without_a_remote_every_commit_is_only_here() -> None:
    git("remote", "remove", "origin")
    git("commit", "--quiet", "--allow-empty", "--message", "Third")
    assert unpushed(resolve("HEAD"), "abc", "shop") == ""
