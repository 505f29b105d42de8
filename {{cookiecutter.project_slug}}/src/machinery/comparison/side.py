"""side: a revision in; the documents and files that stand for it in a comparison out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, parse_yaml
from machinery.pipeline.paths import MODEL_INFO
from machinery.versions import git, storage
from machinery.versions.graph import Stage
from machinery.versions.storage import FOLDER, md5_of
from machinery.versions.versions import LOCK, SHORTEST, Version, read

BRANCHES = ("main", "master", "trunk")  # where the remote does not say which is its default


class AbsentError(UserError):
    """What dvc.lock records cannot be had here: one sentence with why."""


@dataclass(frozen=True)
class Side:
    """Champion or challenger: what git and DVC record at a commit, or in the checkout."""

    name: str  # as the user called it
    version: Version

    def find(self, path: Path) -> Any:
        """A JSON or YAML document; None where it is not there."""
        text = self.version.read(path.as_posix())
        if not text:
            return None
        if path.suffix != ".json":
            return parse_yaml(text, str(path))
        try:
            return json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is not readable JSON: {error}") from error

    def document(self, path: Path) -> Any:
        """A document. Raises UserError where it is not there."""
        found = self.find(path)
        if found is None:
            raise UserError(f"{path} is not there {self.version}{self.version.remedy}")
        return found

    def fact(self, path: Path, name: str) -> Any:
        """A value of a document. Raises UserError where another version wrote it without."""
        document = self.document(path)
        if name not in document:
            raise UserError(f"{path} {self.version} has no {name}{self.version.remedy}")
        return document[name]

    def stage(self, name: str) -> Stage:
        """What dvc.lock records of a stage. Raises UserError where that is nothing."""
        for stage in self.version.graph.stages:
            if stage.name == name:
                return stage
        raise UserError(f"dvc.lock {self.version} records no run of {name}{self.version.remedy}")

    def recorded(self, path: Path) -> str | None:
        """The hash of an output in dvc.lock."""
        file = self.version.graph.find(path.as_posix())
        return file.hash if file and file.path == path.as_posix() else None

    def file(self, path: Path) -> Path:
        """Where the bytes of an output that DVC keeps lie; fetched from the remote if they must.

        Raises AbsentError if they cannot be had.
        """
        if self.version.revision is None and path.is_file():
            return path
        md5 = self.recorded(path)
        if md5 is None or md5.endswith(FOLDER):
            raise UserError(f"dvc.lock {self.version} does not record {path}")
        if path.is_file() and md5_of(path) == md5:
            return path
        place = storage.cache_path(md5)
        if not place.is_file():
            try:
                storage.fetch(self.version.base, path.as_posix())
            except UserError as error:
                raise AbsentError(str(error)) from error
        if not storage.is_intact(place):
            raise AbsentError(f"{path} {self.version} is lost or damaged in the cache: {place}")
        return place

    def __str__(self) -> str:
        """The name, and the commit where the name is not already one."""
        short = self.version.base[:SHORTEST]
        return self.name if self.name.startswith(short) else f"{self.name} ({short})"


def checkout() -> Side:
    """The challenger: what lies in the checkout."""
    return Side("this checkout", read())


def champion(revision: str) -> Side | None:
    """What is recorded at a revision; None where the pipeline has not made a model yet.

    Raises UserError for a revision that git does not know.
    """
    commit = git.resolve(revision)
    if git.file(commit, LOCK) is None:
        return None
    side = Side(revision, read(commit))
    return side if side.find(MODEL_INFO) else None


def default_branch() -> str:
    """The remote's default branch, as far as this clone knows."""
    remote = git.remote()
    for name in (f"{remote}/HEAD", *(f"{remote}/{name}" for name in BRANCHES), *BRANCHES):
        try:
            git.resolve(name)
        except UserError:
            continue
        return name
    raise UserError("this clone knows no default branch of a remote; name one: --against REV")
