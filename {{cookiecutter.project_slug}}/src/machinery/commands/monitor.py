"""Commands that measure the model in production, and replay the past through the service."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from machinery.pipeline.files import CheckError, UserError, rounded
from machinery.pipeline.paths import CONTRACT

from . import Json

app = typer.Typer()
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
LOG = Path("logs/predictions")

From = Annotated[datetime | None, typer.Option("--from", formats=FORMATS, help="Start, included.")]
To = Annotated[datetime | None, typer.Option("--to", formats=FORMATS, help="End, excluded.")]


@app.command(epilog="Example: monitor --from 2013-08-01 --check")
def monitor(
    ctx: typer.Context,
    start: From = None,
    end: To = None,
    log: Annotated[Path, typer.Option(metavar="FOLDER", help="The prediction log.")] = LOG,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a limit is violated.")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Compare each window's outcomes with the metrics of evaluate; say whether to retrain.

    Writes reports/monitoring/index.html and, for Prometheus, monitoring.prom beside the log. For a
    part of the log (--from, --to) it writes only the page, since retrain and alerts use all of it.
    The windows, limits and the rule for retraining are `monitor` in params.yaml.
    """
    from machinery.monitoring import monitor as monitoring
    from machinery.monitoring import output
    from machinery.pipeline.compute import parallel_map

    if not CONTRACT.is_file():
        raise UserError(f"there is no {CONTRACT}; run the command in the folder of the project")
    if not log.is_dir():
        raise UserError(f"{log} is not a folder; name the prediction log with --log")
    model = monitoring.evaluated_model()
    with parallel_map(ctx.obj) as spread:
        report = monitoring.monitor(ctx.obj.features(), model, log, start, end, spread)
    output.write(report, model, ctx.obj.command, None if start or end else log)
    if as_json:
        print(json.dumps(rounded(report)))
    else:
        _print(report, model.headline)
    if check and report["alarms"]:
        alarms = (f"{alarm['name']}: {alarm['sentence']}" for alarm in report["alarms"])
        raise CheckError("; ".join(alarms))


@app.command(epilog="Example: replay --from 2013-08-01 --to 2014-01-01, beside serve --demo")
def replay(
    ctx: typer.Context,
    start: From = None,
    end: To = None,
    speed: Annotated[
        float | None, typer.Option(min=1, help="Seconds of data time per second (no pauses).")
    ] = None,
    outcome_after: Annotated[
        float, typer.Option(min=0, max=87_600, help="Hours of data time from a row to its outcome.")
    ] = 24,
    url: Annotated[str, typer.Option(help="A running service.")] = "http://127.0.0.1:8000",
) -> None:
    """Send rows of the source to a running service, and their outcomes when they are known.

    Without --from it starts where the data window ends (ingest.until). The service logs the rows
    like any others, so a second replay of the same rows is logged as well.
    """
    from machinery.monitoring.replay import Replay

    replay = Replay(ctx.obj, url, timedelta(hours=outcome_after), speed)
    try:
        replay.run(start, end)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        if replay.answered:
            print(f"{replay.answered:,} rows answered, {replay.delivered:,} outcomes delivered")
            if replay.refused:
                count, reason = len(replay.refused), replay.refused[0]
                print(f"{count:,} refused by the service, the first: {reason}")
            if log := replay.settings.prediction_log:
                print(f"Evaluate them with '{ctx.obj.command} monitor --log {log}'")


def _print(report: dict[str, Any], headline: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from machinery.monitoring.output import FOLDER
    from machinery.pipeline.markdown import cell

    bias = "calibration" if "calibration" in report["windows"][-1]["figures"] else "bias"
    table = Table("window", "rows", "outcomes", bias, headline, "coverage", "violates")
    for window in report["windows"]:
        metrics = [window["figures"].get(name, {}) for name in (bias, headline, "coverage")]
        values = (cell(metric.get("value")) for metric in metrics)
        notes = list(window["violations"])
        if not window["enough"]:
            notes.append("too few outcomes" if window["over"] else "not over")
        counts = (f"{window[name]:,}" for name in ("rows", "labelled"))
        table.add_row(escape(window["name"]), *counts, *values, ", ".join(notes) or "–")
    console = Console(highlight=False)
    console.print("\nWindow by window of data time", table, sep="\n")
    console.print(f"Model {report['model_version']} in {report['latest']}", markup=False)
    for alarm in report["alarms"]:
        sentence = escape(alarm["sentence"])
        console.print(f"[red]{alarm['name']}[/red] in {alarm['window']}: {sentence}")
    for fault, count in report["faults"].items():
        console.print(f"Note: {count:,} {fault}", markup=False)
    answer = "Retrain" if report["retrain"]["answer"] else "Do not retrain"
    console.print(f"[bold]{answer}[/bold]: {escape(report['retrain']['why'])}.")
    console.print(f"The rule: {report['retrain']['rule']}. See {FOLDER / 'index.html'}.\n")
