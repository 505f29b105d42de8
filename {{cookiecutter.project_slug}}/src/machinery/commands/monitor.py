"""monitor: how the model does in production, by its log and the outcomes; a past to try it on."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from machinery.pipeline.files import CheckError, UserError, rounded
from machinery.pipeline.paths import CONTRACT

app = typer.Typer()
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

From = Annotated[
    datetime | None, typer.Option("--from", formats=FORMATS, help="First moment of data time.")
]
To = Annotated[
    datetime | None, typer.Option("--to", formats=FORMATS, help="Moment before which it ends.")
]


@app.command(epilog="Example: monitor --from 2013-08-01 --check")
def monitor(
    ctx: typer.Context,
    start: From = None,
    end: To = None,
    log: Annotated[Path, typer.Option(metavar="FOLDER", help="Of the prediction log.")] = Path(
        "logs/predictions"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 where a limit is violated.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare outcomes with what evaluate promised, window by window; say whether to retrain.

    Writes reports/monitoring/index.html and, for Prometheus, monitoring.prom beside the log; of a
    part of the log (--from, --to) the page alone, since retrain and alerts go by the whole. The
    windows, limits and the rule for retraining are `monitor` in params.yaml.
    """
    from machinery.monitoring import monitor as monitoring
    from machinery.monitoring import output
    from machinery.pipeline.compute import parallel_map

    if not CONTRACT.is_file():
        raise UserError(f"{CONTRACT} is not here; run the command in the folder of the project")
    if not log.is_dir():
        raise UserError(f"{log} is no folder; name the folder of the prediction log with --log")
    model = monitoring.evaluated_model()
    with parallel_map(ctx.obj) as spread:
        report = monitoring.monitor(ctx.obj.features(), model, log, start, end, spread)
    output.write(report, model, ctx.obj.command, None if start or end else log)
    if as_json:
        print(json.dumps(rounded(report)))
    else:
        _print(report, model.headline)
    if check and report["alarms"]:
        raise CheckError(
            "; ".join(f"{each['name']}: {each['sentence']}" for each in report["alarms"])
        )


@app.command(epilog="Example: replay --from 2013-08-01 --to 2014-01-01, beside serve --demo")
def replay(
    ctx: typer.Context,
    start: From = None,
    end: To = None,
    speed: Annotated[
        float | None, typer.Option(min=1, help="Seconds of data time a second; no pause without.")
    ] = None,
    outcome_after: Annotated[
        float, typer.Option(min=0, max=87_600, help="Hours of data time from a row to its outcome.")
    ] = 24,
    url: Annotated[str, typer.Option(help="Of a running service.")] = "http://127.0.0.1:8000",
) -> None:
    """Send rows of the source through a running service, and their outcomes when they are known.

    Without --from they start where the data window ends (ingest.until). The service logs them as
    any other rows, so a second replay of the same rows is logged beside the first.
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
                print(f"Look at them with '{ctx.obj.command} monitor --log {log}'")


def _print(report: dict[str, Any], headline: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from machinery.monitoring.output import FOLDER
    from machinery.pipeline.markdown import cell

    bias = "calibration" if "calibration" in report["windows"][-1]["figures"] else "bias"
    table = Table("window", "rows", "outcomes", bias, headline, "coverage", "violates")
    for window in report["windows"]:
        figures = [
            window["figures"].get(name, {}).get("value") for name in (bias, headline, "coverage")
        ]
        no_verdict = "too few outcomes" if window["over"] else "not over"
        told = [*window["violations"], *([] if window["enough"] else [no_verdict])]
        counts = (f"{window[name]:,}" for name in ("rows", "labelled"))
        table.add_row(escape(window["name"]), *counts, *map(cell, figures), ", ".join(told) or "–")
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
    console.print(f"The rule: {report['retrain']['rule']}. Read on in {FOLDER / 'index.html'}.\n")
