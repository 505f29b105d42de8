"""drawing: the document of a lineage in; a Mermaid graph or tables for people out."""

from collections.abc import Iterator, Mapping
from typing import Any

from machinery.pipeline.markdown import cell, estimate
from machinery.pipeline.paths import MODEL

from .notes import flat
from .versions import ENVIRONMENT

DIGITS = 8  # of a hash, for people
# In Mermaid a quote ends a label, and the others begin HTML, Markdown, an entity or a directive.
ESCAPES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\%'}

Node = Mapping[str, Any]


def mermaid(document: Mapping[str, Any]) -> str:
    """A flowchart from the sources to the file, for pages that draw Mermaid."""
    ids = {node["path"]: f"file{index}" for index, node in enumerate(document["nodes"])}
    lines = ["flowchart TD"]
    for node in reversed(document["nodes"]):
        here = ids[node["path"]]
        lines.append(f"  {here}[({_label(node['path'], node['hash'][:DIGITS])})]")
        if any(stage["command"] for stage in node["made_by"]):
            made = _label(_makers(node), _when(node["commit"]))
            lines.append(f"  by_{here}([{made}]) --> {here}")
            lines += (f"  {ids[path]} --> by_{here}" for path in node["made_from"])
    return "\n".join(lines)


def table(document: Mapping[str, Any]) -> Iterator[str]:
    """Two lines for each file, the newest first; then model, environments and stages."""
    nodes, seen = document["nodes"], document.get("recorded_by", {})
    width = max(len(node["path"]) for node in nodes)
    yield f"Where {document['path']} comes from in {_version(document)}"
    yield from (f"Recorded by {_when(c)} {_who(c)}" for c in seen.get("commits", ()))
    if seen:
        yield f"It is the model of {', '.join(seen['tags'])}" if seen["tags"] else "No tag has it."
    yield ""
    for node in nodes:
        commit = node["commit"]
        yield f"{_row(node, width)}  {_makers(node)}"
        yield f"    {_when(commit)}" + (f"  {_who(commit)}" if commit else "")
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
        yield f"It counts as {document['counts_as']['path']}, which DVC keeps as a whole."
    yield ""
    yield from (f"{_row(file, width)}  by {name}" for file, name in files)
    if not files:
        yield "Nothing."


def plain(text: str) -> str:
    """Somebody's text on one line, without characters that steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _version(document: Mapping[str, Any]) -> str:
    place = "commit" if document["revision"] else "the checkout, on"
    tags = f" ({', '.join(document['tags'])})" if document["tags"] else ""
    return f"{place} {document['base'][:DIGITS]}{tags}"


def _row(file: Node, width: int) -> str:
    """Path, hash and size in columns."""
    return f"{file['path']:{width}}  {file['hash'][:DIGITS]:{DIGITS}}  {_size(file['size']):>7}"


def _makers(node: Node) -> str:
    """Who made the file, in words: `by select`, `by train (8 stages)`, `from data/source.dvc`."""
    if not node["made_by"]:
        return "in git"
    first, *others = node["made_by"]
    stage = first["name"].partition("@")[0]
    name = f"{stage} ({len(others) + 1} stages)" if others else first["name"]
    origins = "".join(f" from {dep['path']}" for dep in first.get("imported_from", ()))
    return f"by {name}{origins}"


def _when(commit: Node | None) -> str:
    return f"{commit['sha'][:DIGITS]} {commit['date'][:10]}" if commit else "not committed"


def _who(commit: Node) -> str:
    return f"{commit['author']}: {commit['subject']}"


def _size(size: int | None) -> str:
    if size is None:
        return "–"
    power = min((len(str(size)) - 1) // 3, 3)
    return f"{size / 1000**power:.3g} {['B', 'kB', 'MB', 'GB'][power]}"


def _label(*lines: str) -> str:
    """Text for a shape of Mermaid, in quotes."""
    return f'"{"<br/>".join(plain(line).translate(ESCAPES) for line in lines)}"'
