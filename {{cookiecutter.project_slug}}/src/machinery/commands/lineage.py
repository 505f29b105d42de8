"""The command that shows what a file was made from, and what was made from it."""

import json
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from machinery.pipeline.files import UserError, parse_yaml, printable
from machinery.pipeline.paths import CONTRACT, MODEL

from . import Json

app = typer.Typer()
WIDTH = 100  # columns


@app.command(epilog="Example: lineage v1.1.0, or lineage --sha256 34e71b6b, or lineage --mermaid")
def lineage(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="A revision, a file, or REVISION:FILE.")] = "",
    sha256: Annotated[
        str | None, typer.Option(metavar="HASH", help="Find the commits that record this model.")
    ] = None,
    impact: Annotated[
        str | None, typer.Option(metavar="FILE", help="Show what was made from this file instead.")
    ] = None,
    as_json: Json = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid graph.")] = False,
    openlineage: Annotated[
        bool, typer.Option("--openlineage", help="Print the OpenLineage events of each stage.")
    ] = False,
) -> None:
    """Show what the model, or another file, was made from, and by whom."""
    from machinery.versions import drawing, versions
    from machinery.versions import lineage as tracing

    if as_json + mermaid + openlineage > 1 or (impact is not None and mermaid + openlineage):
        raise UserError("ask for one of --json, --mermaid, --openlineage; --impact has only --json")
    if target and sha256:
        raise UserError(f"--sha256 finds its own revision; leave out {target}")
    model = versions.find_model(sha256) if sha256 else None
    version, path = versions.locate(model["commits"][0]["sha"] if model else target or None)
    if impact is not None and path:
        raise UserError(f"--impact follows {impact}; name a revision beside it, not {path}")
    if openlineage:
        _print_json(_events(version, path, ctx.obj.package))
        return
    if impact is not None:
        document = tracing.impact(version, Path(impact).as_posix())
    else:
        document = tracing.lineage(version, path or MODEL.as_posix())
        document |= {"recorded_by": model} if model else {}
    if as_json:
        _print_json(document)
    elif mermaid:
        print(drawing.mermaid(document))
    else:
        lines = drawing.table(document) if impact is None else drawing.impact_table(document)
        for line in map(printable, lines):
            print(textwrap.fill(line, WIDTH, subsequent_indent="    "))


def _events(version: Any, path: str | None, project: str) -> list[dict[str, Any]]:
    """The events of the runs that led to the path, or of all runs of the version."""
    from machinery.bridges.openlineage import Run, events
    from machinery.versions.lineage import find
    from machinery.versions.versions import environments, last_changes, run_of

    graph = version.graph
    steps = graph.trace(find(version, path)) if path else ()
    names = {stage.name for step in steps for stage in step.stages}
    runs = {run_of(s): s for s in graph.ordered if s.command and (not path or s.name in names)}
    commits = last_changes(version, runs)
    if missing := [name for (name, _), commit in commits.items() if commit is None]:
        raise UserError(f"the run of {missing[0]} has no time: it is not committed")
    locks = environments(version, commits.values())
    contract = parse_yaml(version.read(CONTRACT.as_posix()) or b"{}", str(CONTRACT))
    return [
        event
        for run, commit in commits.items()
        if commit
        for event in events(Run(runs[run], commit, locks[commit]), graph, contract, project)
    ]


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
