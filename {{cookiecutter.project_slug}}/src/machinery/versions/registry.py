"""registry: versions and stages of the model, which are git tags: `model@v1.0.0`, `model#prod#1`.

GTO (https://github.com/iterative/gto) writes and reads them, so that its own commands and `dvc
artifacts get` agree with what is said here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from machinery.pipeline.files import UserError

from . import git

ARTIFACT = "model"
VERSION = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
STAGE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?")


@dataclass(frozen=True)
class Tag:
    """A released version: its commit, its date with time zone, and the stages that it has now."""

    name: str
    commit: str
    date: str
    stages: list[str]


def parse(version: str) -> tuple[int, int, int]:
    """The three numbers of a version. Raises UserError for anything else."""
    if not (match := VERSION.fullmatch(version)):
        raise UserError(f"'{version}' is not a version; write it like v1.2.0")
    major, minor, patch = (int(number) for number in match.groups())
    return major, minor, patch


def check_stage(stage: str | None) -> None:
    """Raises UserError for a stage that GTO would not take."""
    if stage is not None and not STAGE.fullmatch(stage):
        raise UserError(f"'{stage}' is not a stage; use letters, digits, - and _, e.g. production")


def versions() -> dict[str, Tag]:
    """The released versions: tagged, registered and not deprecated. The newest first."""
    from gto import api
    from gto.exceptions import ArtifactNotFound

    try:
        rows = api.show(".", ARTIFACT, registered_only=True)
    except ArtifactNotFound:  # nothing was ever registered
        return {}
    tagged = {*git.tags()}
    released = [r for r in rows if r["version"] in tagged and VERSION.fullmatch(r["version"])]
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
    """The tag of a released version. Raises UserError for what was not released."""
    parse(version)
    known = versions()
    if version not in known:
        names = f"known are {', '.join(known)}" if known else "none is registered"
        raise UserError(f"there is no release {version}; {names} ('git fetch --tags' brings more)")
    return known[version]


def register(version: str, commit: str, message: str) -> str:
    """Register the model of this commit as a version; return the new tag."""
    from gto import api

    with _written():
        return str(api.register(".", ARTIFACT, commit, version=version, message=message).tag)


def assign(stage: str, version: str, message: str) -> list[str]:
    """Assign the stage to a registered version; return the new tag, none if it had the stage."""
    from gto import api

    if stage in find(version).stages:
        return []
    with _written():
        made = api.assign(
            ".",
            ARTIFACT,
            stage,
            version=version,
            message=message,
            skip_registration=True,
            force=True,
        )
    return [str(made.tag)]


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of GTO, or of the git library below it
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"GTO could not write its tag: {said}") from error
