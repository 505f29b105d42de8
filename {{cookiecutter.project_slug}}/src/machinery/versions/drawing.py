"""drawing: a lineage in; a document, a Mermaid graph or tables for people out."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from machinery.pipeline.markdown import cell, estimate
from machinery.pipeline.paths import MODEL

from .graph import File, Graph, Stage, Step
from .history import Commit
from .lineage import Lineage
from .notes import flat
from .versions import ENVIRONMENT, Sighting, Version

DIGITS = 8  # of a hash, for people
# In Mermaid a quote ends a label, and the others begin HTML, Markdown, an entity or a directive.
ESCAPES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\%'}


def document(lineage: Lineage) -> dict[str, Any]:
    """All of it for a program; hashes are whole."""
    return {
        **described(lineage.version),
        "path": lineage.path,
        "nodes": [_node(lineage, step) for step in lineage.steps],
    }


def mermaid(lineage: Lineage) -> str:
    """A flowchart from the sources to the file, for pages that draw Mermaid."""
    ids = {step.file.path: f"file{index}" for index, step in enumerate(lineage.steps)}
    lines = ["flowchart TD"]
    for step in reversed(lineage.steps):
        file, here = step.file, ids[step.file.path]
        lines.append(f"  {here}[({_label(file.path, file.hash[:DIGITS])})]")
        if any(stage.command for stage in step.stages):
            made = _label(_makers(step), _when(lineage.commits[file.path]))
            lines.append(f"  by_{here}([{made}]) --> {here}")
            lines += (f"  {ids[path]} --> by_{here}" for path in step.reads)
    return "\n".join(lines)


def table(lineage: Lineage) -> Iterator[str]:
    """Two lines for each file, the newest first; then model, environments and stages."""
    width = max(len(step.file.path) for step in lineage.steps)
    for step in lineage.steps:
        commit = lineage.commits[step.file.path]
        yield f"{row(step.file, width)}  {_makers(step)}"
        yield f"    {_when(commit)}" + (f"  {commit.author}: {commit.subject}" if commit else "")
    yield ""
    if MODEL.as_posix() in lineage.commits:
        yield f"sha256 of {MODEL}  {cell(lineage.sha256)}"
        for name, interval in (lineage.metrics or {}).items():
            yield f"{name:20}  {estimate(interval)}"
    commits = lineage.commits.values()
    for environment in dict.fromkeys(lineage.environments[commit] for commit in commits):
        yield f"{ENVIRONMENT:20}  {cell(environment)}"
    yield ""
    stages = {stage.name: stage for step in lineage.steps for stage in step.stages}
    for stage in (stage for stage in stages.values() if stage.command):
        code = [dep.path for dep in lineage.version.graph.code(stage)]
        params = [f"{k}={v}" for file in stage.params.values() for k, v in flat(file)]
        yield "  ".join([stage.name, *code, *params])


def impact_table(stages: Iterable[Stage]) -> list[str]:
    """A line for each file that the stages made, in the order of their runs."""
    files = [(out, stage.name) for stage in stages for out in stage.outs]
    width = max((len(file.path) for file, _ in files), default=0)
    return [f"{row(file, width)}  by {name}" for file, name in files] or ["Nothing."]


def row(file: File, width: int) -> str:
    """Path, hash and size in columns."""
    return f"{file.path:{width}}  {file.hash[:DIGITS]:{DIGITS}}  {_size(file):>7}"


def sighting(seen: Sighting) -> Iterator[str]:
    """Which commits recorded a model, and which tags have it."""
    for commit in seen.commits:
        yield f"Recorded by {_when(commit)} {commit.author}: {commit.subject}"
    yield f"It is the model of {', '.join(seen.tags)}" if seen.tags else "No tag has it."


def heading(version: Version) -> str:
    """Which version it is."""
    place = "the checkout, on" if version.revision is None else "commit"
    tags = f" ({', '.join(version.tags)})" if version.tags else ""
    return f"{place} {version.base[:DIGITS]}{tags}"


def plain(text: str) -> str:
    """Somebody's text on one line, without characters that steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def described(version: Version) -> dict[str, Any]:
    """Which version it is, for a program."""
    return {"revision": version.revision, "base": version.base, "tags": list(version.tags)}


def _node(lineage: Lineage, step: Step) -> dict[str, Any]:
    commit, model = lineage.commits[step.file.path], step.file.path == MODEL.as_posix()
    return {
        **asdict(step.file),
        "sha256": lineage.sha256 if model else None,
        "made_by": [_stage(stage, lineage.version.graph) for stage in step.stages],
        "made_from": list(step.reads),
        "commit": asdict(commit) if commit else None,
        "environment": {"file": ENVIRONMENT, "sha256": lineage.environments[commit]},
        "metrics": lineage.metrics if model else None,
    }


def _stage(stage: Stage, graph: Graph) -> dict[str, Any]:
    return {
        "name": stage.name,
        "command": stage.command,
        "params": stage.params,
        "inputs": [asdict(file) for file in graph.inputs(stage)],
        "code" if stage.command else "imported_from": [asdict(file) for file in graph.code(stage)],
    }


def _makers(step: Step) -> str:
    """Who made the file, in words: `by select`, `by train (8 stages)`, `from data/source.dvc`."""
    if not step.stages:
        return "in git"
    first, *others = step.stages
    name = f"{first.name.partition('@')[0]} ({len(others) + 1} stages)" if others else first.name
    origins = "".join(f" from {dep.path}" for dep in first.deps if first.command is None)
    return f"by {name}{origins}"


def _when(commit: Commit | None) -> str:
    return f"{commit.sha[:DIGITS]} {commit.date[:10]}" if commit else "not committed"


def _size(file: File) -> str:
    if file.size is None:
        return "–"
    power = min((len(str(file.size)) - 1) // 3, 3)
    return f"{file.size / 1000**power:.3g} {['B', 'kB', 'MB', 'GB'][power]}"


def _label(*lines: str) -> str:
    """Text for a shape of Mermaid, in quotes."""
    return f'"{"<br/>".join(plain(line).translate(ESCAPES) for line in lines)}"'
