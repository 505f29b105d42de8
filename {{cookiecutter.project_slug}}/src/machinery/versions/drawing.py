"""Draw the documents of lineage.py for people: as a Mermaid graph or as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from machinery.pipeline.files import printable
from machinery.pipeline.markdown import cell, estimate
from machinery.pipeline.paths import MODEL

from .notes import flat
from .versions import ENVIRONMENT

DIGITS = 8  # of a hash, for people
# In Mermaid a quote ends a label, and the others begin HTML, Markdown, an entity or a directive.
ESCAPES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\%'}

Node = Mapping[str, Any]


def mermaid(document: Mapping[str, Any]) -> str:
    """A flowchart from the sources to the file."""
    ids = {node["path"]: f"file{index}" for index, node in enumerate(document["nodes"])}
    lines = ["flowchart TD"]
    for node in reversed(document["nodes"]):
        file = ids[node["path"]]
        lines.append(f"  {file}[({_label(node['path'], node['hash'][:DIGITS])})]")
        if any(stage["command"] for stage in node["made_by"]):
            label = _label(_makers(node), _date(node["commit"]))
            lines.append(f"  by_{file}([{label}]) --> {file}")
            lines += (f"  {ids[path]} --> by_{file}" for path in node["made_from"])
    return "\n".join(lines)


def table(document: Mapping[str, Any]) -> Iterator[str]:
    """Two lines for each file, newest first; then model, environments and stages."""
    nodes, recorded_by = document["nodes"], document.get("recorded_by")
    width = max(len(node["path"]) for node in nodes)
    yield f"Where {document['path']} comes from in {_version(document)}"
    if recorded_by:
        yield from (f"Recorded by {_date(c)} {_author(c)}" for c in recorded_by["commits"])
        yield f"Tags of this model: {', '.join(recorded_by['tags']) or 'none'}"
    yield ""
    for node in nodes:
        commit = node["commit"]
        yield f"{_row(node, width)}  {_makers(node)}"
        yield f"    {_date(commit)}" + (f"  {_author(commit)}" if commit else "")
    yield ""
    for model in (node for node in nodes if node["path"] == MODEL.as_posix()):
        yield f"sha256 of {MODEL}  {cell(model['sha256'])}"
        for name, interval in (model["metrics"] or {}).items():
            yield f"{name:20}  {estimate(interval)}"
    for environment in dict.fromkeys(node["environment"]["sha256"] for node in nodes):
        yield f"{ENVIRONMENT:20}  {cell(environment)}"
    yield ""
    stages = {stage["name"]: stage for node in nodes for stage in node["made_by"]}
    for stage in (stage for stage in stages.values() if stage["command"]):
        code = [dep["path"] for dep in stage["code"]]
        params = [f"{k}={v}" for file in stage["params"].values() for k, v in flat(file)]
        yield "  ".join([stage["name"], *code, *params])


def impact_table(document: Mapping[str, Any]) -> Iterator[str]:
    """A line for each file that was made, in the order of the runs."""
    files = [(file, stage["name"]) for stage in document["stages"] for file in stage["files"]]
    width = max((len(file["path"]) for file, _ in files), default=0)
    yield f"What was made from {document['path']} in {_version(document)}"
    if document["counts_as"]:
        yield f"It is part of {document['counts_as']['path']}, which DVC tracks as a whole."
    yield ""
    yield from (f"{_row(file, width)}  by {name}" for file, name in files)
    if not files:
        yield "Nothing."


def _version(document: Mapping[str, Any]) -> str:
    kind = "commit" if document["revision"] else "the checkout, on"
    tags = f" ({', '.join(document['tags'])})" if document["tags"] else ""
    return f"{kind} {document['base'][:DIGITS]}{tags}"


def _row(file: Node, width: int) -> str:
    """Path, hash and size in columns."""
    return f"{file['path']:{width}}  {file['hash'][:DIGITS]:{DIGITS}}  {_size(file['size']):>7}"


def _makers(node: Node) -> str:
    """What made the file: `by select`, `by train (8 stages)`, `from data/source.dvc`."""
    if not node["made_by"]:
        return "in git"
    stage, *more = node["made_by"]
    name = f"{stage['name'].partition('@')[0]} ({len(more) + 1} stages)" if more else stage["name"]
    origins = "".join(f" from {dep['path']}" for dep in stage.get("imported_from", ()))
    return f"by {name}{origins}"


def _date(commit: Node | None) -> str:
    return f"{commit['sha'][:DIGITS]} {commit['date'][:10]}" if commit else "not committed"


def _author(commit: Node) -> str:
    return f"{commit['author']}: {commit['subject']}"


def _size(size: int | None) -> str:
    if size is None:
        return "–"
    power = min((len(str(size)) - 1) // 3, 3)
    return f"{size / 1000**power:.3g} {['B', 'kB', 'MB', 'GB'][power]}"


def _label(*lines: str) -> str:
    """A quoted Mermaid label."""
    return f'"{"<br/>".join(printable(line).translate(ESCAPES) for line in lines)}"'
