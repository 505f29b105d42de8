"""Release notes of plain dictionaries, versions, and what stands in the way of a release."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gto import api

from machinery.pipeline.files import UserError
from machinery.versions import git, registry
from machinery.versions import release as releasing
from machinery.versions.checking import first_names
from machinery.versions.notes import Facts, notes


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def facts(roc_auc: float = 0.7, **model: Any) -> Facts:
    described = {
        "candidate": "few-linear",
        "task": "classification",
        "target": "late",
        "features": {"size": "number"},
        "contract_version": 1,
        "trained_on": {"rows": 100, "until": "2013-06-30"},
        "sha256": "ab12",
    }
    return {
        "params": {"ingest": {"until": "2013-08-01"}, "train": {"folds": 4}},
        "metrics": {"roc_auc": interval(roc_auc)},
        "model": described | model,
        "quality": {"rows": 120, "freshness": {"newest_row": "2013-07-31"}},
    }


def test_the_first_notes_say_what_the_model_was_made_from() -> None:
    text = notes("v1.0.0", facts())
    assert text.startswith("v1.0.0: few-linear, a classification of late\n")
    assert "| roc_auc | 0.7 (0.69 to 0.71) |" in text
    assert "| training rows | 100 |" in text
    assert "sha256 ab12" in text
    assert "No earlier release is tagged in this clone." in text  # which may lack tags


def test_notes_tell_what_changed_and_nothing_else() -> None:
    before, now = facts(), facts(0.75, candidate="few-forest", features={"colour": "string"})
    now["params"] = {"ingest": {"until": "2013-09-01"}, "train": {"folds": 4, "seed": 1}}
    text = notes("v1.1.0", now, "v1.0.0", before)
    for line in (
        "| roc_auc | 0.7 (0.69 to 0.71) | 0.75 (0.74 to 0.76) |",
        "| candidate | few-linear | few-forest |",
        "| `ingest.until` | 2013-08-01 | 2013-09-01 |",
        "| `train.seed` | – | 1 |",
        "| features added | – | colour |",
        "| features removed | size | – |",
    ):
        assert line in text
    assert "train.folds" not in text
    assert "contract version" not in text


def test_notes_do_without_what_an_older_release_did_not_record() -> None:
    old: Facts = {"params": {}, "metrics": {}, "model": {}, "quality": {}}
    assert "| candidate | – | few-linear |" in notes("v1.1.0", facts(), "v1.0.0", old)


@pytest.mark.parametrize("text", ["1.0.0", "v1.0", "v01.0.0", "v1.0.0-rc1", "V1.0.0", "v1.0.0\n"])
def test_a_malformed_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a version"):
        registry.parse(text)
    assert registry.parse("v1.10.0") > registry.parse("v1.9.3")


@pytest.mark.parametrize("stage", ["", "a b", "prod#1", "-prod", "a/b!"])
def test_a_malformed_stage_is_refused(stage: str) -> None:
    with pytest.raises(UserError, match="is not a stage"):
        registry.check_stage(stage)


def test_long_lists_are_cut() -> None:
    assert first_names(["a", "b"]) == "a, b"
    assert first_names(list("abcdefg")) == "a, b, c, d and 3 more"


@pytest.fixture
def released(repository: Path) -> Path:
    """A repository with a commit."""
    commit()
    return repository


def commit() -> str:
    git.run("commit", "--quiet", "--allow-empty", "--message", "A commit")
    return git.resolve("HEAD")


def tag(*names: str) -> None:
    for name in names:
        git.run("tag", "--annotate", "--message", name, name)


@pytest.mark.usefixtures("released")
def test_a_version_is_tagged_and_registered() -> None:
    tag("v1.0.0", "model@v1.0.0", "v2.0.0", "model@v3.0.0", "other")
    assert list(registry.versions()) == ["v1.0.0"]


@pytest.mark.usefixtures("released")
def test_the_newest_version_is_the_last_by_the_sun_not_by_the_clock_on_the_wall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-01T12:00:00+09:00")  # at 03:00 UTC
    tag("v1.0.0", "model@v1.0.0")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-01T08:00:00+00:00")
    tag("v0.9.1", "model@v0.9.1")
    assert list(registry.versions()) == ["v0.9.1", "v1.0.0"]


def stages() -> dict[str, list[str]]:
    return {name: tag.stages for name, tag in registry.versions().items()}


@pytest.mark.usefixtures("released")
def test_a_stage_is_where_gto_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-01T12:00:00+00:00")
    tag("v1.0.0", "model@v1.0.0", "model#production#1", "model#staging#1")
    commit()
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-02T12:00:00+00:00")
    tag("v1.1.0", "model@v1.1.0", "model#production#2")
    assert stages() == {"v1.1.0": ["production"], "v1.0.0": ["staging"]}
    api.deregister(".", "model", version="v1.1.0")
    assert stages() == {"v1.0.0": ["production", "staging"]}
    with pytest.raises(UserError, match=r"no release v1.1.0 \(released: v1.0.0\)"):
        registry.find("v1.1.0")


@pytest.mark.usefixtures("released")
def test_a_branch_named_like_the_tag_does_not_stop_the_push(tmp_path: Path) -> None:
    git.run("init", "--quiet", "--bare", "../origin.git")
    git.run("remote", "add", "origin", "../origin.git")
    tag("v1.0.0")
    git.run("branch", "v1.0.0")
    subprocess.run(shlex.split(releasing.push_command(["v1.0.0"])), check=True)
    assert "refs/tags/v1.0.0" in git.run("ls-remote", "origin")


@pytest.mark.usefixtures("released")
def test_the_push_command_names_every_tag_and_can_be_pasted_into_a_shell() -> None:
    words = "git push --atomic origin HEAD refs/tags/v1.0.0 'refs/tags/model#production#1'"
    assert releasing.push_command(["v1.0.0", "model#production#1"]) == words
    git.run("checkout", "--quiet", "--detach")
    assert releasing.push_command(["v1.0.0"]) == "git push --atomic origin refs/tags/v1.0.0"


@pytest.mark.usefixtures("released")
def test_git_tells_its_own_sentence() -> None:
    with pytest.raises(UserError, match="pathspec 'nosuch' did not match"):
        git.run("checkout", "nosuch")
    with pytest.raises(UserError, match="git knows no revision '--help'"):
        git.resolve("--help")


def test_git_names_files_as_they_are_called(released: Path) -> None:
    (released / "ä file").write_bytes(b"then")
    assert git.changes() == ["ä file"]
    git.run("add", ".")
    commit()
    assert git.changes() == []
