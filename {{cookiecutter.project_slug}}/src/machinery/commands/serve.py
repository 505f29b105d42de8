"""Commands that serve predictions, and compact their log."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
log = typer.Typer(help="The prediction log of the service.", no_args_is_help=True)
app.add_typer(log, name="log")


@app.command(epilog="Example: serve --demo --port 8000, then open http://127.0.0.1:8000/docs")
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes [1].")] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Answer without an API key, on this machine.")
    ] = False,
) -> None:
    """Serve the model of this folder until Ctrl-C. Settings: see .env.example."""
    from machinery.serving import server, settings

    options = {"host": host, "port": port, "workers": workers, "demo": demo or None}
    passed = {name: value for name, value in options.items() if value is not None}
    server.serve(ctx.obj, settings.load(ctx.obj, **passed), passed)


@log.command(epilog="Example: log compact logs/predictions")
def compact(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of the log.")] = Path("logs/predictions"),
) -> None:
    """Convert the log's JSON lines of past days (UTC) to Parquet. May be stopped and repeated.

    Removes days that are older than the setting PREDICTION_LOG_DAYS.
    """
    from machinery.serving import log_files, settings

    keep_days = settings.load(ctx.obj, demo=True, host="127.0.0.1").prediction_log_days
    done = log_files.compact(folder, keep_days=keep_days)
    print(f"{done.rows} rows in {done.files} Parquet files")
    if keep_days is not None:
        print(f"{len(done.removed)} days removed, older than {keep_days} days")
    for path in done.damaged:
        print(f"{path} stays, since some of its lines cannot be read; the others are compacted")
