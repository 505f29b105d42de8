"""What a file was made from, and what was made from it, as documents with whole hashes.

drawing.py shows them to people.
"""

import json
from dataclasses import asdict
from hashlib import md5
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import METRICS, MODEL, MODEL_INFO

from .graph import File, Stage
from .versions import ENVIRONMENT, LOCK, Version, environments, last_changes, last_commit


def lineage(version: Version, path: str = MODEL.as_posix()) -> dict[str, Any]:
    """Trace a file back to its sources: a node for each file, before those it was made from."""
    root = find(version, path)
    steps = version.graph.trace(root)
    facts = [(step.file.path, step.file.hash) for step in steps]
    commits = last_changes(version, facts)
    if not steps[0].stages:  # only git keeps it
        commits[facts[0]] = last_commit(version, root.path)
    locks = environments(version, commits.values())
    nodes = [
        {
            **asdict(step.file),
            "made_by": [_stage(version, stage) for stage in step.stages],
            "made_from": list(step.inputs),
            "commit": commit and asdict(commit),
            "environment": {"file": ENVIRONMENT, "sha256": locks[commit]},
            **_of_model(version, step.file.path),
        }
        for step, commit in zip(steps, (commits[fact] for fact in facts), strict=True)
    ]
    return {**_described(version), "path": root.path, "nodes": nodes}


def impact(version: Version, path: str) -> dict[str, Any]:
    """The stages that used a file, directly or not, and what they made.

    A file in a folder that DVC tracks as a whole counts as that folder.
    """
    file, stages = version.graph.find(path), version.graph.impact(path)
    if not stages:
        file = find(version, path)
    outputs = [{"name": s.name, "files": [asdict(out) for out in s.outs]} for s in stages]
    counts_as = asdict(file) if file and file.path != path else None
    return {**_described(version), "path": path, "counts_as": counts_as, "stages": outputs}


def find(version: Version, path: str) -> File:
    """The file in the graph, or the recorded folder around it. Raises UserError for neither."""
    if file := version.graph.find(Path(path).as_posix()):
        return file
    raise UserError(f"{path} has no lineage: no stage of {LOCK} {version} reads or makes it")


def _described(version: Version) -> dict[str, Any]:
    return {"revision": version.revision, "base": version.base, "tags": list(version.tags)}


def _stage(version: Version, stage: Stage) -> dict[str, Any]:
    code = [asdict(file) for file in version.graph.code(stage)]
    return {
        "name": stage.name,
        "command": stage.command,
        "params": stage.params,
        "inputs": [asdict(file) for file in version.graph.inputs(stage)],
        "code" if stage.command else "imported_from": code,
    }


def _of_model(version: Version, path: str) -> dict[str, Any]:
    """The sha256 of the model, and its metrics unless they are of an earlier model."""
    if path != MODEL.as_posix():
        return {"sha256": None, "metrics": None}
    info, metrics = (_recorded(version, file.as_posix()) for file in (MODEL_INFO, METRICS))
    graph = version.graph
    outdated = any(graph.changed_deps(stage) for stage in graph.makers(METRICS.as_posix()))
    return {"sha256": info and info["sha256"], "metrics": None if outdated else metrics}


def _recorded(version: Version, path: str) -> Any:
    """A JSON document in git; None unless it is the one that dvc.lock records."""
    text, file = version.read(path), version.graph.find(path)
    same = text and file and md5(text, usedforsecurity=False).hexdigest() == file.hash
    return json.loads(text) if text and same else None
