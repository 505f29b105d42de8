"""release: a committed run in; its tag, notes and registered model out, or what is against it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from machinery.pipeline.files import CheckError, UserError, read_json
from machinery.pipeline.paths import GATE, METRICS, MODEL_CARD
from . import deps, git, registry, remote, storage
from .checking import WrongError, some
from .notes import Facts, facts, notes


class Refusal(NamedTuple):
    """Why there is no release, and what to do about it."""

    reason: str
    remedy: str


class RefusedError(CheckError):
    """A release that may not be; `refusals` are all there are."""

    def __init__(self, version: str, refusals: list[Refusal]) -> None:
        """Say every reason with its remedy, a line each."""
        lines = [f"  - {each.reason}: {each.remedy}" for each in refusals]
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
    if found := list(refusals(version)):
        raise RefusedError(version, found)
    commit, previous = git.resolve("HEAD"), _last_before(version)
    text = notes(version, facts(commit), previous, facts(previous) if previous else None)
    tags = _tag(version, commit, text, stage)
    return Release(version, commit, tags, text, push_command(tags))


def refusals(version: str) -> Iterator[Refusal]:
    """All that is against releasing what is checked out as this version."""
    yield from _version(version)
    yield from _gate()
    yield from _tree()
    yield from _pipeline()
    yield from (Refusal(*sentence.rsplit("; ", 1)) for sentence in deps.missing())
    yield from _remote()


def _version(version: str) -> Iterator[Refusal]:
    wanted = {version, f"{registry.ARTIFACT}@{version}"}
    if wanted <= (made := wanted & set(git.tags())):
        yield Refusal(f"{version} exists already", "choose another; released versions never move")
    elif made:
        yield Refusal(f"{version} is only half released", f"git tag -d {made.pop()}")
    else:
        yield from _elsewhere(version, wanted)
    commit = git.resolve("HEAD")
    for tag in registry.versions().values():
        if tag.commit == commit:
            yield Refusal(f"this commit is released as {tag.name}", "use that version")
    if not registry.is_declared():
        name = registry.ARTIFACT
        yield Refusal(f"dvc.yaml declares no artifact '{name}'", "name it under artifacts there")


def _elsewhere(version: str, wanted: set[str]) -> Iterator[Refusal]:
    """The tags that a teammate has published and that were not fetched yet."""
    if not git.run("remote"):
        return
    try:
        names = [f"refs/tags/{name}" for name in wanted]
        published = git.run("ls-remote", "--tags", git.remote(), *names)
    except UserError as error:
        yield Refusal(str(error), "check the network, or the address in 'git remote -v'")
    else:
        if published:
            bring = f"bring it with 'git fetch --tags {git.remote()}', and choose another"
            yield Refusal(f"{version} exists already in {git.remote()}", bring)


def gate() -> str:
    """The gate passed: it made checks, and each of them passed."""
    read_json(METRICS)
    checks, passed = read_json(GATE)["checks"], read_json(GATE)["passed"]
    if not checks:
        raise WrongError("the gate has made no checks", "run 'dvc repro'")
    failed = [check["name"] for check in checks if not check["passed"]]
    if failed or not passed:
        which = f" ({', '.join(failed)})" if failed else ""
        raise WrongError(f"the gate failed{which}", f"read {MODEL_CARD}")
    return f"passed all {len(checks)} checks"


def _gate() -> Iterator[Refusal]:
    try:
        gate()
    except WrongError as wrong:
        yield Refusal(str(wrong), wrong.remedy)
    except UserError as error:
        reason, _, remedy = str(error).partition("; ")
        yield Refusal(reason, remedy)


def _tree() -> Iterator[Refusal]:
    if changed := git.changes():
        yield Refusal(f"not committed: {some(changed)}", "commit these files, or remove them")


def _pipeline() -> Iterator[Refusal]:
    try:
        if stages := storage.changes():
            remedy = "run 'dvc repro' ('dvc pull' first, in a fresh clone) and commit"
            yield Refusal(f"dvc.lock is stale at {some(stages)}", remedy)
    except UserError as error:
        yield Refusal(str(error), "fix that file, or restore it with 'git checkout'")


def _remote() -> Iterator[Refusal]:
    try:
        if lacking := remote.lacking():
            yield Refusal(f"the remote lacks {some(lacking)}", "run 'dvc push'")
    except WrongError as error:
        yield Refusal(str(error), error.remedy)


def _last_before(version: str) -> str | None:
    """The highest version below this one: a squash merge leaves it out of HEAD's ancestors."""
    lower = (each for each in registry.versions() if registry.parse(each) < registry.parse(version))
    return max(lower, key=registry.parse, default=None)


def _tag(version: str, commit: str, text: str, stage: str | None) -> list[str]:
    """Make all tags or none."""
    before = set(git.tags())
    made = [version]
    try:
        git.run("tag", "--annotate", "--cleanup=whitespace", "--message", text, version, commit)
        made += registry.register(version, commit, f"The model of {version}")
        if stage is not None:
            made += registry.assign(stage, version, f"{version} into {stage}")
    except BaseException:
        for name in set(git.tags()) - before:
            git.run("tag", "--delete", name)
        raise
    return made


def push_command(tags: list[str], *, branch: bool = True) -> str:
    """The one command that publishes these tags, and the branch if one is checked out.

    Full names: a branch may be called like a tag.
    """
    head = ["HEAD"] if branch and git.branch() else []
    names = [f"refs/tags/{tag}" for tag in tags]
    return shlex.join(["git", "push", "--atomic", git.remote(), *head, *names])


def releases() -> list[dict[str, Any]]:
    """Every release: version, stages, date, commit and headline metric; the newest first."""
    stages = registry.stages()
    return [
        {
            "version": tag.name,
            "stages": sorted(stage for stage, name in stages.items() if name == tag.name),
            "date": tag.date,
            "commit": tag.commit,
            **_headline(facts(tag.commit)),
        }
        for tag in registry.versions().values()
    ]


def _headline(found: Facts) -> dict[str, Any]:
    name = found["params"].get("select", {}).get("headline")
    interval = found["metrics"].get(name) or {"value": None, "low": None, "high": None}
    return {"metric": name, **interval}
