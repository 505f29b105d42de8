"""release: a committed run in; its tag, notes and registered model out, or what is against it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from machinery.pipeline.files import CheckError, UserError, read_json, read_yaml
from machinery.pipeline.paths import GATE, METRICS, MODEL_CARD

from . import deps, doctor, git, registry
from .checking import FixableError, first_names
from .notes import Facts, facts, notes


class RefusedError(CheckError):
    """A release that may not be; `refusals` are all the reasons."""

    def __init__(self, version: str, refusals: list[FixableError]) -> None:
        """Say every reason with its remedy, a line each."""
        lines = [f"  - {each}: {each.remedy}" for each in refusals]
        super().__init__("\n".join([f"{version} is not released.", *lines]))
        self.refusals = refusals


@dataclass(frozen=True)
class Release:
    """What was made, and the command that publishes it."""

    version: str
    commit: str
    tags: list[str]
    notes: str
    push: str


def release(version: str, stage: str | None = None) -> Release:
    """Tag the commit that is checked out as a version and register its model; nothing is pushed.

    Raises RefusedError when a check fails, and UserError for a malformed version or stage.
    """
    registry.parse(version)
    registry.check_stage(stage)
    if reasons := list(refusals(version)):
        raise RefusedError(version, reasons)
    commit, previous = git.resolve("HEAD"), _last_before(version)
    text = notes(version, facts(commit), previous, facts(previous) if previous else None)
    tags = _tag(version, commit, text, stage)
    return Release(version, commit, tags, text, push_command(tags))


def refusals(version: str) -> Iterator[FixableError]:
    """All that is against releasing what is checked out as this version."""
    here = (_declared, gate, _tree, _run, doctor.pushed, deps.check)
    for check in (partial(_free, version), *here):
        try:
            check()
        except FixableError as wrong:
            yield wrong
        except UserError as error:
            reason, _, remedy = str(error).partition("; ")
            yield FixableError(reason, remedy or "fix that, or restore it with 'git checkout'")


def _free(version: str) -> None:
    """The version is not taken, here or in git's remote, and the commit has none."""
    wanted = {version, f"{registry.ARTIFACT}@{version}"}
    tags, here = wanted & set(git.tags()), git.resolve("HEAD")
    if tags == wanted:
        remedy = "choose another; released versions never move"
        raise FixableError(f"{version} exists already", remedy)
    if tags:
        half = tags.pop()
        keep = f"git update-ref refs/removed/{half} refs/tags/{half} && git tag -d {half}"
        raise FixableError(f"{version} is only half released", keep)
    if names := [tag.name for tag in registry.versions().values() if tag.commit == here]:
        raise FixableError(f"this commit is released as {names[0]}", "use that version")
    if git.run("remote"):  # a teammate may have published tags that were not fetched yet
        where = git.remote()
        try:
            published = git.run("ls-remote", where, *(f"refs/tags/{name}" for name in wanted))
        except UserError as error:
            remedy = "check the network, or the address in 'git remote -v'"
            raise FixableError(str(error), remedy) from None
        if published:
            bring = f"bring it with 'git fetch --tags {where}', and choose another"
            raise FixableError(f"{version} exists already in {where}", bring)


def _declared() -> None:
    """GTO itself takes any name."""
    if registry.ARTIFACT not in (read_yaml(Path("dvc.yaml")).get("artifacts") or {}):
        what = f"dvc.yaml declares no artifact '{registry.ARTIFACT}'"
        raise FixableError(what, "name it under artifacts there")


def gate() -> str:
    """The gate passed: it made checks, and each of them passed."""
    read_json(METRICS)
    document = read_json(GATE)
    if not document["checks"]:
        raise FixableError("the gate has made no checks", "run 'dvc repro'")
    failed = [check["name"] for check in document["checks"] if not check["passed"]]
    if failed or not document["passed"]:
        which = f" ({', '.join(failed)})" if failed else ""
        raise FixableError(f"the gate failed{which}", f"read {MODEL_CARD}")
    return f"passed all {len(document['checks'])} checks"


def _tree() -> None:
    if changed := git.changes():
        remedy = "commit these files, or remove them"
        raise FixableError(f"not committed: {first_names(changed)}", remedy)


def _run() -> None:
    """The files are those of the last run, and nothing has changed since."""
    for check in (doctor.record, doctor.dvc, doctor.files, doctor.pipeline):
        check()


def _last_before(version: str) -> str | None:
    """The highest version below this one: a squash merge leaves it out of HEAD's ancestors."""
    lower = (each for each in registry.versions() if registry.parse(each) < registry.parse(version))
    return max(lower, key=registry.parse, default=None)


def _tag(version: str, commit: str, text: str, stage: str | None) -> list[str]:
    """Make all tags or none."""
    before = set(git.tags())
    try:
        git.run("tag", "--annotate", "--cleanup=whitespace", "--message", text, version, commit)
        made = [version, registry.register(version, commit, f"The model of {version}")]
        return made + (registry.assign(stage, version, f"{version} into {stage}") if stage else [])
    except BaseException:
        for name in set(git.tags()) - before:
            git.run("tag", "--delete", name)
        raise


def push_command(tags: list[str], *, branch: bool = True) -> str:
    """The one command that publishes these tags, and the branch if one is checked out.

    Full names: a branch may be called like a tag.
    """
    head = ["HEAD"] if branch and git.branch() else []
    names = [f"refs/tags/{tag}" for tag in tags]
    return shlex.join(["git", "push", "--atomic", git.remote(), *head, *names])


def releases() -> list[dict[str, Any]]:
    """Every release: version, stages, date, commit and headline metric; the newest first."""
    return [
        {
            "version": tag.name,
            "stages": tag.stages,
            "date": tag.date,
            "commit": tag.commit,
            **_headline(facts(tag.commit)),
        }
        for tag in registry.versions().values()
    ]


def _headline(recorded: Facts) -> dict[str, Any]:
    name = recorded["params"].get("select", {}).get("headline")
    interval = recorded["metrics"].get(name) or {"value": None, "low": None, "high": None}
    return {"metric": name, **interval}
