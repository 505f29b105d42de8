"""answers: what the lineage command was asked in, the answer printed."""

import json
import sys
from dataclasses import asdict
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT, MODEL
from . import drawing
from .history import read_yaml
from .lineage import Lineage, impact, lineage, runs
from .openlineage import Run, events
from .versions import Sighting, Version, environments, locate, sightings


def trace(what: str | None, digits: str | None, form: str, project: str) -> None:
    """Print where a file comes from, or the model that has a sha256 with these digits."""
    seen = _seen(what, digits)
    version, path = locate(seen.commits[0].sha if seen else what)
    if form == "openlineage":
        _print_json(_events(version, path, project))
        return
    found = lineage(version, path or MODEL.as_posix())
    if form == "mermaid":
        print(drawing.mermaid(found))
    elif form == "json":
        _print_json(drawing.document(found) | ({"recorded_by": asdict(seen)} if seen else {}))
    elif form:
        raise UserError("--json, --mermaid and --openlineage are three answers; ask for one")
    else:
        _print_lineage(found, seen)


def follow(what: str | None, digits: str | None, path: str, form: str) -> None:
    """Print what was made from a file."""
    if form not in ("", "json"):
        raise UserError("--impact is a table or, with --json, a document; it has no other form")
    seen = _seen(what, digits)
    version, other = locate(seen.commits[0].sha if seen else what)
    if other:
        raise UserError(f"--impact follows {path}; name a revision beside it, not {other}")
    found = impact(version, path)
    if form == "json":
        _print_json(drawing.impact_document(found))
        return
    console = _console()
    console.print(f"What was made from {path} in {drawing.heading(version)}")
    if found.folder:
        console.print(f"It counts as {found.folder.path}, which DVC keeps as a whole.")
    console.print("", drawing.impact_table(found) if found.stages else "Nothing.", sep="\n")
    _print_warnings(console, found.warnings)


def _seen(what: str | None, digits: str | None) -> Sighting | None:
    if what and digits:
        raise UserError(f"--sha256 finds its own revision; leave out {what}")
    return sightings(digits) if digits else None


def _print_lineage(found: Lineage, seen: Sighting | None) -> None:
    console = _console()
    console.print(f"Where {found.path} comes from in {drawing.heading(found.version)}")
    for line in drawing.sighting(seen) if seen else ():
        console.print(line)
    for table in (drawing.files_table, drawing.facts_table, drawing.stages_table):
        console.print("", table(found), sep="\n")
    _print_warnings(console, found.warnings)


def _print_warnings(console: Any, warnings: tuple[str, ...]) -> None:
    if warnings:
        console.print()
    for warning in warnings:
        console.print(f"warning: {drawing.plain(warning)}")


def _events(version: Version, path: str | None, project: str) -> list[dict[str, Any]]:
    """The events of each run that led to the path; without one, of each run of the version."""
    graph = version.graph
    led = {s.name for node in lineage(version, path).nodes for s in node.stages} if path else None
    stages = [s for s in graph.ordered if s.command and (led is None or s.name in led)]
    commits = runs(version, stages)
    if missing := [stage.name for stage in stages if commits.get(stage.name) is None]:
        raise UserError(f"the run of {missing[0]} has no time: it is not committed")
    locks = environments(version, commits.values())
    contract = read_yaml(version.snapshot.read(CONTRACT.as_posix()) or b"{}", str(CONTRACT))
    return [
        event
        for stage in stages
        if (commit := commits[stage.name])
        for event in events(Run(stage, commit, locks[commit]), graph, contract, project)
    ]


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def _console() -> Any:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 100  # no narrower in a file or a pipe
    return Console(width=width, markup=False, emoji=False, highlight=False)
