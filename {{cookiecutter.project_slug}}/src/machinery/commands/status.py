"""Commands that show the last run, and check the checkout."""

import json
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any

import typer

from machinery.pipeline.files import UserError, read_json
from machinery.pipeline.markdown import cell
from machinery.pipeline.page import words
from machinery.pipeline.paths import GATE, METRICS, MODEL_CARD, MODEL_INFO, SELECTION
from machinery.versions import git, storage
from machinery.versions.checking import Check, first_names, run_checks

from . import Json

app = typer.Typer()


@app.command(epilog="Example: show --json | python -m json.tool")
def show(as_json: Json = False) -> None:
    """Show the model, its metrics and the gate. Exits with 1 if the gate failed."""
    model, metrics, gate = read_json(MODEL_INFO), read_json(METRICS), read_json(GATE)
    reason = f"{read_json(SELECTION)['why']}. {words.positive(model)}".strip()
    stale = _stale()
    if as_json:
        print(json.dumps({"model": model, "metrics": metrics, "gate": gate, "stale": stale}))
    else:
        _print(model["candidate"], reason, metrics, gate)
        if stale:
            print(f"Note: these metrics are of {_run()}, but {first_names(stale, 1)}.")
            print("'doctor' says what to type.\n")
    raise typer.Exit(0 if gate["passed"] else 1)


@app.command(epilog="Example: doctor --json | python -m json.tool")
def doctor(
    as_json: Json = False,
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Check what needs no data, as CI does.")
    ] = False,
    without_remote: Annotated[
        bool, typer.Option("--without-remote", envvar="WITHOUT_REMOTE", hidden=True)
    ] = False,
) -> None:
    """Check this checkout, and say what to type for each problem. Changes nothing."""
    from machinery.versions.doctor import all_checks, checks_without_data

    without = partial(checks_without_data, with_remote=not without_remote)
    report(without() if without_data else all_checks(), as_json=as_json)


def report(checks: Iterable[Check], *, as_json: bool) -> None:
    """Print each result at once, or one JSON document at the end. Exit with 1 unless all passed."""
    results = []
    for result in run_checks(checks):
        results.append(result)
        if not as_json:
            print(result)
    passed = all(result.passed for result in results)
    if as_json:
        print(json.dumps({"passed": passed, "checks": [result._asdict() for result in results]}))
    raise typer.Exit(0 if passed else 1)


def _stale() -> list[str] | None:
    """What has changed since the metrics' run; None if DVC cannot tell."""
    try:
        return storage.stale()
    except UserError:
        return None


def _run() -> str:
    """The run of metrics.json."""
    path = METRICS.as_posix()
    commit = git.run("log", "--max-count=1", "--format=%h of %as", "--", path)
    changed = not commit or git.run("status", "--porcelain", "--", path)
    return "a run that is not committed" if changed else f"the run committed in {commit}"


def _print(candidate: str, reason: str, metrics: dict[str, Any], gate: dict[str, Any]) -> None:
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
    console.print(f"\n[bold]{candidate}[/bold]: {reason}\n", values, checks, sep="\n")
    console.print(f"{verdict} See {MODEL_CARD}, or plot the curves with 'dvc plots show'.\n")
