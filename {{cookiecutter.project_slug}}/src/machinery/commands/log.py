"""log: the commands of the prediction log."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
log = typer.Typer(help="The prediction log of the service.", no_args_is_help=True)
app.add_typer(log, name="log")


@log.callback()
def _group() -> None:
    """The prediction log of the service."""


@log.command(epilog="Example: log compact logs/predictions")
def compact(
    folder: Annotated[Path, typer.Argument(help="Folder of the log.")] = Path("logs/predictions"),
) -> None:
    """Make Parquet of the log's JSON lines of past days (UTC). It may be stopped and repeated."""
    from machinery.serving import log_files

    done = log_files.compact(folder)
    print(f"{done.rows} rows in {done.files} Parquet files")
    for path in done.damaged:
        print(f"{path} is kept, since some of its lines cannot be read; the others are compacted")
