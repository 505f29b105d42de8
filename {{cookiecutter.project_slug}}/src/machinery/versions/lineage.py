"""lineage: a version and a file in; what it was made from, or what was made from it, out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import METRICS, MODEL, MODEL_INFO

from . import storage
from .graph import File, Stage, overlap, within
from .history import LOCK, Commit, facts_of, last_changes, last_commit
from .versions import Version, environments


@dataclass(frozen=True)
class Node:
    """A file on the way from the source to the model."""

    file: File
    stages: tuple[Stage, ...]  # that made it; none where git keeps the file itself
    reads: tuple[str, ...]  # what they made it from
    commit: Commit | None  # that last changed it; None while it is not committed
    environment: str | None  # sha256 of requirements.lock at that commit
    sha256: str | None = None  # of the model
    metrics: Mapping[str, Mapping[str, float | None]] | None = None  # of the model


@dataclass(frozen=True)
class Lineage:
    """Where a file comes from: the file first, then all that it was made from."""

    version: Version
    path: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Impact:
    """What was made from a file, or from the folder that DVC keeps it in."""

    version: Version
    path: str
    folder: File | None  # as which the path counts
    stages: tuple[Stage, ...]


def lineage(version: Version, path: str = MODEL.as_posix()) -> Lineage:
    """Follow a file back to its sources."""
    path = _normal(path)
    file = _find(version, path)
    steps = version.graph.trace(file) if file else ()
    facts = [(step.file.path, step.file.hash) for step in steps]
    changes = last_changes(version.base, facts, tuple(version.tracked))
    commits = [
        changes[fact] if step.stages else last_commit(version.base, step.file.path)
        for step, fact in zip(steps, facts, strict=True)
    ]
    locks = environments(version, commits)
    nodes = [
        Node(step.file, step.stages, step.reads, commit, locks[commit])
        for step, commit in zip(steps, commits, strict=True)
    ]
    details = _details(version)
    model = MODEL.as_posix()
    described = [replace(n, **details) if n.file.path == model else n for n in nodes]
    return Lineage(version, path, tuple(described))


def impact(version: Version, path: str) -> Impact:
    """Follow a file to all that was made from it."""
    path, file = _normal(path), None
    if not any(path in stage.params for stage in version.graph.stages):
        file = _find(version, path, folders=True)
    folder = file if file and within(path, file.path) else None
    return Impact(version, path, folder, version.graph.impact(path))


def runs(version: Version, stages: Iterable[Stage]) -> dict[str, Commit | None]:
    """For each stage, the commit since which dvc.lock says the same of its run."""
    names = {stage.name for stage in stages}
    facts = {fact for fact in facts_of({LOCK: version.lock}) if fact[0] in names}
    changes = last_changes(version.base, facts, tuple(version.tracked))
    return {name: commit for (name, _), commit in changes.items()}


def _normal(path: str) -> str:
    place = Path(path)
    if place.is_absolute() and place.is_relative_to(Path.cwd()):
        place = place.relative_to(Path.cwd())
    return place.as_posix()


def _find(version: Version, path: str, *, folders: bool = False) -> File | None:
    """The file in the graph, or the folder around it; with `folders` also a folder around files."""
    file = version.graph.find(path)
    if file and within(path, file.path) and not _has(file, path):
        raise UserError(f"{path} is not among the {file.files} files of {file.path} {version}")
    files = (file for stage in version.graph.stages for file in (*stage.deps, *stage.outs))
    if not file and not (folders and any(overlap(path, file.path) for file in files)):
        raise UserError(f"{path} is in no lineage: no stage of {LOCK} {version} reads or makes it")
    return file


def _has(folder: File, path: str) -> bool:
    """Whether the folder has the file, as far as DVC's cache knows: it lists no folder of code."""
    members = storage.listed(folder.hash)
    paths = (f"{folder.path}/{name}" for name in members or ())
    return members is None or any(path == member or within(member, path) for member in paths)


def _details(version: Version) -> dict[str, Any]:
    """The model's sha256 and metrics, where they are those that dvc.lock records."""
    info, metrics = (_recorded(version, path.as_posix()) for path in (MODEL_INFO, METRICS))
    makers = version.graph.makers(METRICS.as_posix())
    old = any(True for stage in makers for _ in version.graph.broken(stage))
    return {"sha256": info and info["sha256"], "metrics": None if old else metrics}


def _recorded(version: Version, path: str) -> Any:
    """A JSON document that a stage wrote into git; None where dvc.lock records another."""
    text, file = version.snapshot.read(path), version.graph.find(path)
    same = text and file and md5(text, usedforsecurity=False).hexdigest() == file.hash
    return json.loads(text) if text and same else None
