"""drawing: a lineage in; a document, a Mermaid graph or tables for people out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from machinery.pipeline.markdown import cell, estimate

from .graph import File, Graph, Stage
from .history import Commit
from .lineage import Impact, Lineage, Node
from .notes import flat
from .versions import ENVIRONMENT, Sighting, Version

if TYPE_CHECKING:
    from rich.table import Table

DIGITS = 8  # of a hash, for people
CHANGED = "last changed by"
NARROW = 28  # what is left of 100 columns beside the longest path
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


def files_table(lineage: Lineage) -> "Table":
    """A row for each file, the newest first; fits 100 columns."""
    rows = _table("file, and what made it", "md5", "size", CHANGED)
    for node in lineage.nodes:
        subject = node.commit.subject if node.commit else ""
        author = node.commit.author if node.commit else ""
        rows.add_row(
            plain(node.file.path) + f"\n  {plain(_makers(node))}",
            node.file.hash[:DIGITS],
            _size(node.file),
            f"{_when(node.commit)} {plain(author)}\n{plain(subject)}",
        )
    return rows


def impact_table(impact: Impact) -> "Table":
    """A row for each file that was made from the path, in the order of the runs."""
    rows = _table("stage", "file", "md5", "size")
    for stage in impact.stages:
        for out in stage.outs:
            name = stage.name if out is stage.outs[0] else ""
            rows.add_row(plain(name), plain(out.path), out.hash[:DIGITS], _size(out))
    return rows


def facts_table(lineage: Lineage) -> "Table":
    """Of the model its hash and metrics; the environments; of each stage its code and params."""
    rows = _table("", "", header=False)
    model = next((node for node in lineage.nodes if node.sha256), None)
    if model:
        rows.add_row("sha256", f"{model.sha256} ({plain(model.file.path)})")
        for name, interval in (model.metrics or {}).items():
            rows.add_row(plain(name), estimate(interval))
    for environment in dict.fromkeys(cell(node.environment) for node in lineage.nodes):
        rows.add_row(ENVIRONMENT, environment)
    stages = {stage.name: stage for node in lineage.nodes for stage in node.stages}
    for stage in stages.values():
        code = [dep.path for dep in lineage.version.graph.code(stage) if stage.command]
        params = [f"{k}={v}" for file in stage.params.values() for k, v in flat(file)]
        if code or params:
            rows.add_row(plain(stage.name), plain("  ".join([*code, *params])))
    return rows


def sighting(seen: Sighting) -> Iterator[str]:
    """Which commits recorded a model, and which tags have it."""
    for commit in seen.commits:
        yield plain(f"Recorded by {_when(commit)} {commit.author}: {commit.subject}")
    yield f"It is the model of {plain(', '.join(seen.tags))}" if seen.tags else "No tag has it."


def heading(version: Version) -> str:
    """Which version it is."""
    place = "the checkout, on" if version.revision is None else "commit"
    tags = f" ({', '.join(version.tags)})" if version.tags else ""
    return plain(f"{place} {version.base[:DIGITS]}{tags}")


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


def _table(*columns: str, header: bool = True) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=header)
    for column in columns:
        if column == CHANGED:
            table.add_column(column, no_wrap=True, overflow="ellipsis", max_width=NARROW)
        else:
            table.add_column(column, overflow="fold")
    return table
