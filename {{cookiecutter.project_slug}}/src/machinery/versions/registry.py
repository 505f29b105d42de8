"""The model's versions and stages, which are git tags such as `model@v1.0.0`, `model#prod#1`.

GTO (https://github.com/iterative/gto) reads and writes them, so its commands and `dvc artifacts
get` agree with ours.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from machinery.pipeline.files import UserError

from . import git

ARTIFACT = "model"
VERSION = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
STAGE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?")


@dataclass(frozen=True)
class Tag:
    """A released version, and the stages that it is assigned to now."""

    version: str
    commit: str
    date: str  # ISO 8601 with time zone
    stages: list[str]


def parse(version: str) -> tuple[int, int, int]:
    """The three numbers of a version. Raises UserError if it is not one."""
    if not (match := VERSION.fullmatch(version)):
        raise UserError(f"'{version}' is not a version; write it like v1.2.0")
    major, minor, patch = (int(number) for number in match.groups())
    return major, minor, patch


def check_stage(stage: str | None) -> None:
    """Raise UserError for a stage that GTO would refuse."""
    if stage is not None and not STAGE.fullmatch(stage):
        raise UserError(f"'{stage}' is not a stage; use letters, digits, - and _, e.g. production")


def versions() -> dict[str, Tag]:
    """The released versions, newest first: tagged, registered and not deprecated."""
    from gto import api
    from gto.exceptions import ArtifactNotFound

    try:
        rows = api.show(".", ARTIFACT, registered_only=True)
    except ArtifactNotFound:  # nothing was ever registered
        return {}
    tags = {*git.tags()}
    released = [r for r in rows if r["version"] in tags and VERSION.fullmatch(r["version"])]
    released.sort(key=lambda row: (row["created_at"], parse(row["version"])), reverse=True)
    return {
        row["version"]: Tag(
            row["version"],
            row["commit_hexsha"],
            row["created_at"].isoformat(),
            sorted(stage["stage"] for stage in row["stages"]),
        )
        for row in released
    }


def find(version: str) -> Tag:
    """The tag of a released version. Raises UserError if it is not released."""
    parse(version)
    released = versions()
    if version not in released:
        names = ", ".join(released) or "none"
        remedy = "'git fetch --tags' fetches more"
        raise UserError(f"no release {version} (released: {names}); {remedy}")
    return released[version]


def register(version: str, commit: str, message: str) -> str:
    """Register the model of this commit as a version; return the new tag."""
    from gto import api

    with _writing():
        return str(api.register(".", ARTIFACT, commit, version=version, message=message).tag)


def assign(stage: str, version: str, message: str) -> list[str]:
    """Assign the stage to a registered version; return the new tag, or none if it has the stage."""
    from gto import api

    if stage in find(version).stages:
        return []
    move = partial(api.assign, ".", ARTIFACT, skip_registration=True, force=True)
    with _writing():
        return [str(move(stage, version=version, message=message).tag)]


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of GTO, or of the git library that it uses
        message = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"GTO could not write its tag: {message}") from error
