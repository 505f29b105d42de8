"""registry: versions and stages of the model, which are git tags: `model@v1.0.0`, `model#prod#1`.

GTO (https://github.com/iterative/gto) writes them, so that its commands and `dvc artifacts get`
understand them; they are read from git, in the order of GTO's counter and not of the clock.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from machinery.pipeline.files import UserError, read_yaml
from . import git

ARTIFACT = "model"
VERSION = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
STAGE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?")
ASSIGNED = re.compile(rf"{ARTIFACT}#(?P<stage>[^#!]+)(?P<cancel>!?)#(?P<count>\d+)")
FORMAT = "%(refname:strip=2) %(objectname) %(*objectname) %(creatordate:iso-strict)"


@dataclass(frozen=True)
class Tag:
    """A tag, its commit and its date with time zone."""

    name: str
    commit: str
    date: str


def parse(version: str) -> tuple[int, int, int]:
    """The three numbers of a version. Raises UserError for what is none."""
    if not (match := VERSION.fullmatch(version)):
        raise UserError(f"'{version}' is no version; write it as v1.2.0")
    major, minor, patch = (int(number) for number in match.groups())
    return major, minor, patch


def check_stage(stage: str | None) -> None:
    """Raises UserError for a stage that GTO would not take."""
    if stage is not None and not STAGE.fullmatch(stage):
        raise UserError(f"'{stage}' is no stage; use letters, digits, - and _, as in production")


def versions() -> dict[str, Tag]:
    """The released versions: tagged and registered. The newest first."""
    tags = _tags()
    found = [tag for tag in tags.values() if f"{ARTIFACT}@{tag.name}" in tags]
    found = [tag for tag in found if VERSION.fullmatch(tag.name)]
    found.sort(key=lambda tag: (datetime.fromisoformat(tag.date), parse(tag.name)), reverse=True)
    return {tag.name: tag for tag in found}


def find(version: str) -> Tag:
    """The tag of a released version. Raises UserError for what was not released."""
    parse(version)
    known = versions()
    if version not in known:
        names = f"known are {', '.join(known)}" if known else "there is none yet"
        raise UserError(f"there is no release {version}; {names} ('git fetch --tags' brings more)")
    return known[version]


def stages() -> dict[str, str]:
    """The commit that each stage is assigned to now."""
    held: dict[str, list[str]] = {}
    events = [(match, tag) for tag in _tags().values() if (match := ASSIGNED.fullmatch(tag.name))]
    for match, tag in sorted(events, key=lambda event: int(event[0]["count"])):
        commits = held.setdefault(match["stage"], [])
        if tag.commit in commits:
            commits.remove(tag.commit)
        if not match["cancel"]:
            commits.append(tag.commit)
    return {stage: commits[-1] for stage, commits in held.items() if commits}


def is_declared() -> bool:
    """Whether dvc.yaml declares the model as an artifact: GTO itself takes any name."""
    return ARTIFACT in (read_yaml(Path("dvc.yaml")).get("artifacts") or {})


def register(version: str, commit: str, message: str) -> list[str]:
    """Register the model of this commit as a version; return the new tags."""
    from gto import api

    return _new(lambda: api.register(".", ARTIFACT, commit, version=version, message=message))


def assign(stage: str, version: str, message: str) -> list[str]:
    """Assign the stage to a registered version; return the new tags, none if it had the stage."""
    from gto import api

    if stages().get(stage) == find(version).commit:
        return []
    return _new(
        lambda: api.assign(
            ".",
            ARTIFACT,
            stage,
            version=version,
            message=message,
            skip_registration=True,
            force=True,
        )
    )


def _new(write: Callable[[], object]) -> list[str]:
    before = set(git.tags())
    try:
        write()
    except Exception as error:  # of GTO, or of the git library below it
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"GTO could not write its tag: {said}") from error
    return sorted(set(git.tags()) - before)


def _tags() -> dict[str, Tag]:
    """All annotated tags by name; GTO ignores others, too."""
    lines = git.run("for-each-ref", f"--format={FORMAT}", "refs/tags").splitlines()
    parts = (line.split(" ") for line in lines)
    return {name: Tag(name, commit, date) for name, _, commit, date in parts if commit}
