"""staleness: the checkout in; what has changed there since the pipeline ran, in sentences, out.

A report on figures that do not belong to the code beside them would not be true. `dvc status` knows
more, and takes longer than the rest of a report.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from machinery.pipeline.paths import CANDIDATES, GATE, METRICS, MODEL, MODEL_INFO, PREDICTIONS
from machinery.versions.checking import some
from machinery.versions.graph import Stage
from machinery.versions.hashes import digest, md5_of
from machinery.versions.history import read_yaml
from .side import Side

Use = tuple[str, str]  # what has changed, and a stage that has not run since

READ = (MODEL, MODEL_INFO, METRICS, GATE, PREDICTIONS)


def stale(side: Side) -> list[str]:
    """Each thing that is not as dvc.lock records it, with the stages that have not run since."""
    stages = list(_stages(side))
    users: dict[str, list[str]] = {}
    for what, stage in (*_inputs(side, stages), *_code(side, stages), *_params(stages)):
        users.setdefault(what, []).append(stage)
    return [
        *_results(side),
        *(f"{what} has changed since {some(names)} ran" for what, names in users.items()),
    ]


def _stages(side: Side) -> Iterator[Stage]:
    """The stages that matter: dvc.lock also keeps those of candidates that are no more."""
    chosen = f"{CANDIDATES.as_posix()}/{side.document(MODEL_INFO)['candidate']}."
    for stage in side.version.graph.stages:
        made = any(out.path.startswith(chosen) for out in stage.outs)
        if stage.command and (made or "@" not in stage.name):
            yield stage


def _results(side: Side) -> Iterator[str]:
    for path in READ:
        file = side.recorded(path)
        if file is None or (path.is_file() and md5_of(path) != file.hash):
            yield f"{path} is not as dvc.lock records it"


def _inputs(side: Side, stages: Iterable[Stage]) -> Iterator[Use]:
    for stage in stages:
        for was, _ in side.version.graph.broken(stage):
            yield was.path, stage.name


def _code(side: Side, stages: Iterable[Stage]) -> Iterator[Use]:
    known: dict[str, str | None] = {}
    used = ((s, f) for s in stages for f in side.version.graph.code(s))
    for stage, file in used:
        if file.path not in known:
            known[file.path] = digest(Path(file.path))
        if known[file.path] != file.hash:
            yield file.path, stage.name


def _params(stages: Iterable[Stage]) -> Iterator[Use]:
    documents: dict[str, Mapping[str, Any]] = {}
    for stage in stages:
        for path, keys in stage.params.items():
            if path not in documents:
                text = Path(path).read_bytes() if Path(path).is_file() else b"{}"
                documents[path] = read_yaml(text, path)
            for key, value in keys.items():
                if _at(documents[path], key) != value:
                    yield f"{key} in {path}", stage.name


def _at(document: Any, key: str) -> Any:
    for part in key.split("."):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document
