"""Champion and challenger: what git and DVC record at a commit, or in the checkout."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, parse_yaml
from machinery.pipeline.paths import MODEL_INFO
from machinery.versions import git, storage
from machinery.versions.graph import Stage
from machinery.versions.versions import LOCK, SHORTEST, Version, read

BRANCHES = ("main", "master", "trunk")  # used if the remote does not name its default


class AbsentError(UserError):
    """A recorded file is not available here: one sentence with the reason."""


@dataclass(frozen=True)
class Side:
    """One of the two models that are compared."""

    name: str  # as the user typed it
    version: Version

    def find(self, path: Path) -> Any:
        """A JSON or YAML document; None if there is none."""
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
        """A document. Raises UserError if there is none."""
        document = self.find(path)
        if document is None:
            raise UserError(f"there is no {path} {self.version}{self.version.remedy}")
        return document

    def fact(self, path: Path, name: str) -> Any:
        """A value of a document. Raises UserError if an older version wrote it without."""
        document = self.document(path)
        if name not in document:
            raise UserError(f"{path} {self.version} has no {name}{self.version.remedy}")
        return document[name]

    def stage(self, name: str) -> Stage:
        """The run of a stage in dvc.lock. Raises UserError if there is none."""
        for stage in self.version.graph.stages:
            if stage.name == name:
                return stage
        raise UserError(f"dvc.lock {self.version} records no run of {name}{self.version.remedy}")

    def md5(self, path: Path) -> str | None:
        """The hash of an output in dvc.lock."""
        out = self.version.graph.outs.get(path.as_posix())
        return out.hash if out else None

    def file(self, path: Path) -> Path:
        """The path of an output's content: here, in DVC's cache, or fetched from the remote.

        Raises AbsentError if it cannot be fetched.
        """
        if self.version.revision is None and path.is_file():
            return path
        if (md5 := self.md5(path)) is None:
            raise UserError(f"dvc.lock {self.version} does not record {path}")
        if path.is_file() and storage.md5_of(path) == md5:
            return path
        cached = storage.cache_path(md5)
        if not cached.is_file():
            try:
                storage.fetch(self.version.base, path.as_posix())
            except UserError as error:
                raise AbsentError(str(error)) from error
        if not storage.is_intact(cached):
            raise AbsentError(f"{path} {self.version} is missing or damaged in the cache: {cached}")
        return cached

    def __str__(self) -> str:
        """The name, and the commit unless the name is one."""
        short = self.version.base[:SHORTEST]
        return self.name if self.name.startswith(short) else f"{self.name} ({short})"


def find_challenger() -> Side:
    """The model of the checkout."""
    return Side("this checkout", read())


def find_champion(revision: str) -> Side | None:
    """The model of a revision; None if it has none yet. Raises UserError for an unknown one."""
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
