"""drawing: a lineage in; a document, a Mermaid graph or tables for people out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from machinery.pipeline.markdown import cell, estimate

from .graph import File, Graph, Stage
from .history import Commit
from .lineage import Impact, Lineage, Node
from .notes import flat
from .versions import ENVIRONMENT, Sighting, Version

DIGITS = 8  # of a hash, for people
# In Mermaid a quote ends a label, and the others begin HTML, Markdown, an entity or a directive.
ESCAPES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\%'}


def document(lineage: Lineage) -> dict[str, Any]:
    """All of it for a program; hashes are whole."""
    return {
        **_version(lineage.version),
        "path": lineage.path,
        "nodes": [_node(node, lineage.version.graph) for node in lineage.nodes],
    }


def impact_document(impact: Impact) -> dict[str, Any]:
    """What was made from the path, for a program."""
    stages = [{"name": s.name, "files": [asdict(out) for out in s.outs]} for s in impact.stages]
    folder = asdict(impact.folder) if impact.folder else None
    said = {"path": impact.path, "counts_as": folder, "stages": stages}
    return _version(impact.version) | said


def mermaid(lineage: Lineage) -> str:
    """A flowchart from the sources to the file, for pages that draw Mermaid."""
    ids = {node.file.path: f"file{index}" for index, node in enumerate(lineage.nodes)}
    lines = ["flowchart TD"]
    for node in reversed(lineage.nodes):
        here = ids[node.file.path]
        lines.append(f"  {here}[({_label(node.file.path, node.file.hash[:DIGITS])})]")
        if any(stage.command for stage in node.stages):
            lines.append(f"  by_{here}([{_label(_makers(node), _when(node.commit))}]) --> {here}")
            lines += (f"  {ids[path]} --> by_{here}" for path in node.reads)
    return "\n".join(lines)


def table(lineage: Lineage) -> Iterator[str]:
    """Two lines for each file, the newest first; then model, environments and stages."""
    width = max(len(node.file.path) for node in lineage.nodes)
    for node in lineage.nodes:
        file, commit = node.file, node.commit
        yield f"{_row(file, width)}  {_makers(node)}"
        yield f"    {_when(commit)}" + (f"  {commit.author}: {commit.subject}" if commit else "")
    yield ""
    for node in lineage.nodes:
        if node.sha256:
            yield f"sha256 of {node.file.path}  {node.sha256}"
        for name, interval in (node.metrics or {}).items():
            yield f"{name:20}  {estimate(interval)}"
    for environment in dict.fromkeys(node.environment for node in lineage.nodes):
        yield f"{ENVIRONMENT:20}  {cell(environment)}"
    yield ""
    stages = {stage.name: stage for node in lineage.nodes for stage in node.stages}
    for stage in (stage for stage in stages.values() if stage.command):
        code = [dep.path for dep in lineage.version.graph.code(stage)]
        params = [f"{k}={v}" for file in stage.params.values() for k, v in flat(file)]
        yield "  ".join([stage.name, *code, *params])


def impact_table(impact: Impact) -> Iterator[str]:
    """A line for each file that was made from the path, in the order of the runs."""
    files = [(out, stage.name) for stage in impact.stages for out in stage.outs]
    width = max((len(file.path) for file, _ in files), default=0)
    for file, stage in files:
        yield f"{_row(file, width)}  by {stage}"


def _row(file: File, width: int) -> str:
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


def _version(version: Version) -> dict[str, Any]:
    return {"revision": version.revision, "base": version.base, "tags": list(version.tags)}


def _node(node: Node, graph: Graph) -> dict[str, Any]:
    return {
        **asdict(node.file),
        "sha256": node.sha256,
        "made_by": [_stage(stage, graph) for stage in node.stages],
        "made_from": list(node.reads),
        "commit": asdict(node.commit) if node.commit else None,
        "environment": {"file": ENVIRONMENT, "sha256": node.environment},
        "metrics": node.metrics,
    }


def _stage(stage: Stage, graph: Graph) -> dict[str, Any]:
    return {
        "name": stage.name,
        "command": stage.command,
        "params": stage.params,
        "inputs": [asdict(file) for file in graph.inputs(stage)],
        "code" if stage.command else "imported_from": [asdict(file) for file in graph.code(stage)],
    }


def _makers(node: Node) -> str:
    """Who made the file, in words: `by select`, `by train (8 stages)`, `from data/source.dvc`."""
    if not node.stages:
        return "in git"
    first, *others = node.stages
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
