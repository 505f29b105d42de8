"""status: commands that show what the last run came to, and check the checkout."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from machinery.pipeline.files import UserError, read_json
from machinery.pipeline.markdown import cell
from machinery.pipeline.page import words
from machinery.pipeline.paths import GATE, METRICS, MODEL_CARD, MODEL_INFO, SELECTION
from machinery.versions import git
from machinery.versions.checking import Check, examine, first_names

app = typer.Typer()


@app.command(epilog="Example: show --json | python -m json.tool")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the model, its metrics and the gate. Exits with 1 when the gate failed."""
    model, metrics, gate = read_json(MODEL_INFO), read_json(METRICS), read_json(GATE)
    why = f"{read_json(SELECTION)['why']}. {words.positive(model)}".strip()
    stale = _stale()
    if as_json:
        print(json.dumps({"model": model, "metrics": metrics, "gate": gate, "stale": stale}))
    else:
        _print(model["candidate"], why, metrics, gate)
        if stale:
            print(f"Note: these figures are of {_run()}, but {first_names(stale, 1)}.")
            print("'doctor' says what to type.\n")
    raise typer.Exit(0 if gate["passed"] else 1)


@app.command(epilog="Example: doctor --json | python -m json.tool")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Check what needs no data, as CI does.")
    ] = False,
    without_remote: Annotated[
        bool, typer.Option("--without-remote", envvar="WITHOUT_REMOTE", hidden=True)
    ] = False,
) -> None:
    """Check this checkout, and say what to type where something is wrong. Changes nothing."""
    from machinery.versions import doctor as every

    clone = every.without_data(with_remote=not without_remote)
    checks = clone if without_data else every.CHECKS
    show_findings(checks, as_json=as_json)


def show_findings(checks: Iterable[Check], *, as_json: bool) -> None:
    """Print each finding as it comes, or one JSON document. Exits with 1 unless all passed."""
    findings = []
    for finding in examine(checks):
        findings.append(finding)
        if not as_json:
            print(finding)
    passed = all(finding.passed for finding in findings)
    if as_json:
        documents = [finding._asdict() for finding in findings]
        print(json.dumps({"passed": passed, "checks": documents}))
    raise typer.Exit(0 if passed else 1)


def _stale() -> list[str] | None:
    """What has changed since the run that the figures are of; None where DVC cannot tell."""
    try:
        from machinery.versions import storage

        return storage.stale()
    except (UserError, ImportError):
        return None


def _run() -> str:
    """Which run metrics.json is of."""
    path = METRICS.as_posix()
    commit = git.run("log", "--max-count=1", "--format=%h of %as", "--", path)
    changed = not commit or git.run("status", "--porcelain", "--", path)
    return "a run that is not committed" if changed else f"the run committed in {commit}"


def _print(candidate: str, why: str, metrics: dict[str, Any], gate: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    values = Table("metric", "value", "low", "high", title="Test metrics with confidence intervals")
    for name, interval in metrics.items():
        values.add_row(name, *(cell(interval[end]) for end in ("value", "low", "high")))
    checks = Table("check", "value", "limit", "", title="Gate")
    for check in gate["checks"]:
        mark = "[green]passed[/green]" if check["passed"] else "[red]failed[/red]"
        checks.add_row(check["name"], cell(check["value"]), cell(check["limit"]), mark)
    verdict = "[green]The gate passed.[/green]" if gate["passed"] else "[red]The gate failed.[/red]"
    console = Console(highlight=False)
    console.print(f"\n[bold]{candidate}[/bold]: {why}\n", values, checks, sep="\n")
    console.print(f"{verdict} Read on in {MODEL_CARD}, or draw the curves with 'dvc plots show'.\n")
