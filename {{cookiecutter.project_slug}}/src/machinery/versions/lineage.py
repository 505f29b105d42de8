"""lineage: a version and a file in, what it was made from, or what was made from it, out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import METRICS, MODEL, MODEL_INFO
from . import storage
from .graph import File, Stage, Step, overlap, within
from .history import Commit, Fact, LOCK, facts_of, last_changes, last_commit
from .versions import SHORTEST, Version, environments, shallow


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
    warnings: tuple[str, ...]  # links that do not hold


@dataclass(frozen=True)
class Impact:
    """What was made from a file, or from the folder that DVC keeps it in."""

    version: Version
    path: str
    folder: File | None  # as which the path counts
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]  # what could not be known


def lineage(version: Version, path: str = MODEL.as_posix()) -> Lineage:
    """Follow a file back to its sources."""
    path = _normal(path)
    file = _find(version, path)
    steps = version.graph.trace(file) if file else ()
    commits = _commits(version, steps)
    locks = environments(version, commits)
    nodes = [
        Node(step.file, step.stages, step.reads, commit, locks[commit])
        for step, commit in zip(steps, commits, strict=True)
    ]
    stages = {stage.name: stage for step in steps for stage in step.stages}.values()
    warnings = [*_broken(version, stages), *_changed(version, stages), *shallow()]
    if file and within(path, file.path):
        warnings += _unlisted(file, path)
    for index, node in enumerate(nodes):
        if node.file.path == MODEL.as_posix():
            details, doubts = _details(version)
            nodes[index] = replace(node, **details)
            warnings += doubts
    return Lineage(version, path, tuple(nodes), tuple(dict.fromkeys(warnings)))


def impact(version: Version, path: str) -> Impact:
    """Follow a file to all that was made from it."""
    path, found = _normal(path), None
    if not any(path in stage.params for stage in version.graph.stages):
        found = _find(version, path, folders=True)
        folder = found if found and within(path, found.path) else None
    doubts = tuple(_unlisted(folder, path)) if folder else ()
    return Impact(version, path, folder, version.graph.impact(path), doubts)


def runs(version: Version, stages: Iterable[Stage]) -> dict[str, Commit | None]:
    """For each stage, the commit since which dvc.lock says the same of its run."""
    names = {stage.name for stage in stages}
    facts = {fact for fact in facts_of(version.lock, {}) if fact[0] in names}
    changes = last_changes(version.base, facts, tuple(version.tracked))
    return {name: commit for (name, _), commit in changes.items()}


def code(version: Version, stages: Iterable[Stage]) -> Iterator[tuple[Stage, File]]:
    """The single files in git that each stage depends on."""
    for stage in stages:
        for dep in version.graph.code(stage) if stage.command else ():
            if not dep.hash.endswith(".dir"):
                yield stage, dep


def _normal(path: str) -> str:
    place = Path(path)
    if place.is_absolute() and place.is_relative_to(Path.cwd()):
        place = place.relative_to(Path.cwd())
    return place.as_posix()


def _find(version: Version, path: str, *, folders: bool = False) -> File | None:
    """The file in the graph, or the folder around it; with `folders` also a folder around files."""
    found = version.graph.find(path)
    if found and within(path, found.path) and not _has(found, path):
        raise UserError(f"{path} is not among the {found.files} files of {found.path} {version}")
    files = (file for stage in version.graph.stages for file in (*stage.deps, *stage.outs))
    if not found and not (folders and any(overlap(path, file.path) for file in files)):
        raise UserError(f"{path} is in no lineage: no stage of {LOCK} {version} reads or makes it")
    return found


def _has(folder: File, path: str) -> bool:
    """Whether the folder has the file, as far as DVC's cache tells."""
    members = storage.listed(folder.hash)
    if members is None:
        return True
    paths = (f"{folder.path}/{name}" for name in members)
    return any(path == member or within(member, path) for member in paths)


def _unlisted(folder: File, path: str) -> Iterator[str]:
    """What the list of the folder's files would tell, where it is not here."""
    if storage.listed(folder.hash) is None:
        doubt = f"the list of {folder.path} is not here, so whether it has {path} is unknown"
        yield f"{doubt}: 'dvc pull {folder.path}' brings it"


def _commits(version: Version, steps: Sequence[Step]) -> list[Commit | None]:
    facts: list[Fact] = [(step.file.path, step.file.hash) for step in steps]
    changes = last_changes(version.base, facts, tuple(version.tracked))
    return [
        changes[fact] if step.stages else last_commit(version.base, step.file.path)
        for step, fact in zip(steps, facts, strict=True)
    ]


def _details(version: Version) -> tuple[dict[str, Any], list[str]]:
    """The model's sha256 and metrics, and why they are missing where they are not of this model."""
    info, metrics = MODEL_INFO.as_posix(), METRICS.as_posix()
    texts = {path: _recorded(version, path) for path in (info, metrics)}
    doubts = [
        f"{path} is not what {LOCK} records{version.remedy}"
        for path, text in texts.items()
        if not text
    ]
    doubts += (stale := list(_broken(version, version.graph.makers(metrics))))
    details: dict[str, Any] = {}
    if text := texts[info]:
        details["sha256"] = json.loads(text)["sha256"]
    if (text := texts[metrics]) and not stale:
        details["metrics"] = json.loads(text)
    return details, doubts


def _recorded(version: Version, path: str) -> bytes | None:
    """A document that a stage wrote into git, if it is the one that dvc.lock records."""
    text, file = version.snapshot.read(path), version.graph.find(path)
    return text if text and file and _is(text, file) else None


def _is(text: bytes, file: File) -> bool:
    return md5(text, usedforsecurity=False).hexdigest() == file.hash


def _broken(version: Version, stages: Iterable[Stage]) -> Iterator[str]:
    """Inputs that have been made anew since a stage read them."""
    for stage in stages:
        for was, now in version.graph.broken(stage):
            hashes = f"{was.hash[:SHORTEST]}, now it is {now.hash[:SHORTEST]}"
            yield f"{stage.name} read {was.path} as {hashes}{version.remedy}"


def _changed(version: Version, stages: Iterable[Stage]) -> Iterator[str]:
    """Code that is not, in this version, what the stages ran."""
    used = list(code(version, stages))
    texts = version.snapshot.read_all([file.path for _, file in used])
    changed: dict[str, list[str]] = {}
    for (stage, file), text in zip(used, texts, strict=True):
        if text is None or not _is(text, file):
            changed.setdefault(file.path, []).append(stage.name)
    for path, names in changed.items():
        ran = " and ".join(names) if len(names) < 3 else f"{len(names)} of these stages"
        yield f"{path} has changed since {ran} ran{version.remedy}"
