"""lineage: a version and a file in; what it was made from, or what was made from it, out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import METRICS, MODEL, MODEL_INFO

from .graph import File, Stage, Step
from .history import LOCK, Commit, facts_of, last_changes, last_commit
from .versions import Version, environments


@dataclass(frozen=True)
class Lineage:
    """Where a file comes from: the file first, then all that it was made from."""

    version: Version
    path: str
    steps: tuple[Step, ...]
    commits: Mapping[str, Commit | None]  # that last changed each path; None: not committed
    environments: Mapping[Commit | None, str | None]  # sha256 of requirements.lock at each
    sha256: str | None = None  # of the model
    metrics: Mapping[str, Mapping[str, float | None]] | None = None  # of the model


def lineage(version: Version, path: str = MODEL.as_posix()) -> Lineage:
    """Follow a file back to its sources."""
    file = find(version, path)
    steps = version.graph.trace(file)
    facts = {step.file.path: (step.file.path, step.file.hash) for step in steps if step.stages}
    changes = last_changes(version.base, facts.values(), tuple(version.tracked))
    commits = {
        place: changes[facts[place]] if place in facts else last_commit(version.base, place)
        for place in (step.file.path for step in steps)
    }
    info, metrics = (_recorded(version, path.as_posix()) for path in (MODEL_INFO, METRICS))
    makers = version.graph.makers(METRICS.as_posix())
    old = any(True for stage in makers for _ in version.graph.broken(stage))
    return Lineage(
        version,
        file.path,
        steps,
        commits,
        environments(version, commits.values()),
        info and info["sha256"],
        None if old else metrics,
    )


def impact(version: Version, path: str) -> tuple[File | None, tuple[Stage, ...]]:
    """The stages that ran on what a file holds; and the folder as which it counts, if it does."""
    file, stages = version.graph.find(path), version.graph.impact(path)
    if not stages:
        file = find(version, path)
    return file if file and file.path != path else None, stages


def runs(version: Version, stages: Iterable[Stage]) -> dict[str, Commit | None]:
    """For each stage, the commit since which dvc.lock says the same of its run."""
    names = {stage.name for stage in stages}
    facts = {fact for fact in facts_of({LOCK: version.lock}) if fact[0] in names}
    changes = last_changes(version.base, facts, tuple(version.tracked))
    return {name: commit for (name, _), commit in changes.items()}


def find(version: Version, path: str) -> File:
    """The file in the graph, or the recorded folder around it. Raises UserError for neither."""
    if file := version.graph.find(Path(path).as_posix()):
        return file
    raise UserError(f"{path} is in no lineage: no stage of {LOCK} {version} reads or makes it")


def _recorded(version: Version, path: str) -> Any:
    """A JSON document that a stage wrote into git; None where dvc.lock records another."""
    text, file = version.snapshot.read(path), version.graph.find(path)
    same = text and file and md5(text, usedforsecurity=False).hexdigest() == file.hash
    return json.loads(text) if text and same else None
