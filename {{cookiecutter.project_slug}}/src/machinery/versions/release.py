"""Release a committed run as a version: a tag with notes, and a registered model."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from machinery.pipeline.files import CheckError, UserError, read_json, read_yaml
from machinery.pipeline.paths import GATE, METRICS, MODEL_CARD

from . import deps, doctor, git, registry
from .checking import FixableError, first_names
from .notes import facts, notes


class RefusedError(CheckError):
    """A refused release, with every reason and its remedy."""

    def __init__(self, version: str, refusals: list[FixableError]) -> None:
        """Write a line for each reason."""
        lines = [f"  - {refusal}: {refusal.remedy}" for refusal in refusals]
        super().__init__("\n".join([f"{version} is not released.", *lines]))
        self.refusals = refusals


@dataclass(frozen=True)
class Release:
    """A new release, and the command that publishes it."""

    version: str
    commit: str
    tags: list[str]
    notes: str
    push: str


def release(version: str, stage: str | None = None) -> Release:
    """Tag the current commit as a version and register its model; push nothing.

    Raises RefusedError if a check fails, and UserError for a malformed version or stage.
    """
    registry.parse(version)
    registry.check_stage(stage)
    if refusals := list(_refusals(version)):
        raise RefusedError(version, refusals)
    commit, previous = git.resolve("HEAD"), _last_before(version)
    text = notes(version, facts(commit), previous, facts(previous) if previous else None)
    tags = _tag(version, commit, text, stage)
    return Release(version, commit, tags, text, push_command(tags))


def _refusals(version: str) -> Iterator[FixableError]:
    checkout = doctor.Checkout()
    reproduced = partial(_reproduced, checkout)
    checks = (_declared, gate, _committed, reproduced, checkout.pushed, deps.check)
    for check in (partial(_unused, version), *checks):
        try:
            check()
        except FixableError as error:
            yield error
        except UserError as error:
            reason, _, remedy = str(error).partition("; ")
            yield FixableError(reason, remedy or "fix that, or restore it with 'git checkout'")


def _unused(version: str) -> None:
    """Check that the version is new, here and in git's remote, and that the commit has none."""
    names = {version, f"{registry.ARTIFACT}@{version}"}
    tags, commit = names & set(git.tags()), git.resolve("HEAD")
    if tags == names:
        remedy = "choose another; released versions never move"
        raise FixableError(f"{version} exists already", remedy)
    if tags:
        tag = tags.pop()
        remedy = f"git update-ref refs/removed/{tag} refs/tags/{tag} && git tag -d {tag}"
        raise FixableError(f"{version} is only half released", remedy)
    if names_here := [tag.version for tag in registry.versions().values() if tag.commit == commit]:
        raise FixableError(f"this commit is released as {names_here[0]}", "use that version")
    if git.run("remote"):  # a teammate may have published tags that were not fetched yet
        remote = git.remote()
        try:
            published = git.run("ls-remote", remote, *(f"refs/tags/{name}" for name in names))
        except UserError as error:
            remedy = "check the network, or the address in 'git remote -v'"
            raise FixableError(str(error), remedy) from None
        if published:
            remedy = f"fetch it with 'git fetch --tags {remote}', and choose another"
            raise FixableError(f"{version} exists already in {remote}", remedy)


def _declared() -> None:
    """Check that dvc.yaml declares the model: GTO itself takes any name."""
    if registry.ARTIFACT not in (read_yaml(Path("dvc.yaml")).get("artifacts") or {}):
        reason = f"dvc.yaml declares no artifact '{registry.ARTIFACT}'"
        raise FixableError(reason, "add it under artifacts there")


def gate() -> str:
    """Check that the gate passed: it has checks, and all of them passed."""
    read_json(METRICS)
    document = read_json(GATE)
    if not document["checks"]:
        raise FixableError("the gate has no checks", "run 'dvc repro'")
    failed = [check["name"] for check in document["checks"] if not check["passed"]]
    if failed or not document["passed"]:
        names = f" ({', '.join(failed)})" if failed else ""
        raise FixableError(f"the gate failed{names}", f"read {MODEL_CARD}")
    return f"passed all {len(document['checks'])} checks"


def _committed() -> None:
    if changes := git.changes():
        remedy = "commit these files, or remove them"
        raise FixableError(f"not committed: {first_names(changes)}", remedy)


def _reproduced(checkout: doctor.Checkout) -> None:
    """Check that the files are those of the last run, and nothing has changed since."""
    for check in (doctor.record, checkout.dvc, checkout.files, checkout.pipeline):
        check()


def _last_before(version: str) -> str | None:
    """The highest version below this one, which after a squash merge is no ancestor of HEAD."""
    lower = (v for v in registry.versions() if registry.parse(v) < registry.parse(version))
    return max(lower, key=registry.parse, default=None)


def _tag(version: str, commit: str, text: str, stage: str | None) -> list[str]:
    """Write all tags or none."""
    before = set(git.tags())
    try:
        git.run("tag", "--annotate", "--cleanup=whitespace", "--message", text, version, commit)
        tags = [version, registry.register(version, commit, f"The model of {version}")]
        return tags + (registry.assign(stage, version, f"{version} into {stage}") if stage else [])
    except BaseException:
        for name in set(git.tags()) - before:
            git.run("tag", "--delete", name)
        raise


def push_command(tags: list[str], *, branch: bool = True) -> str:
    """The command that publishes these tags, and the current branch if any.

    Full names, since a branch may have the name of a tag.
    """
    head = ["HEAD"] if branch and git.branch() else []
    names = [f"refs/tags/{tag}" for tag in tags]
    return shlex.join(["git", "push", "--atomic", git.remote(), *head, *names])


def releases() -> list[dict[str, Any]]:
    """Every release, newest first: version, stages, date, commit and headline metric."""
    rows = []
    for tag in registry.versions().values():
        recorded = facts(tag.commit)
        metric = recorded["params"].get("select", {}).get("headline")
        interval = recorded["metrics"].get(metric) or {"value": None, "low": None, "high": None}
        rows.append({**asdict(tag), "metric": metric, **interval})
    return rows
