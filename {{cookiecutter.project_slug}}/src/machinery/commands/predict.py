"""The command that predicts every row of files of any size."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from . import Json

app = typer.Typer()
MAX_THREADS = 4


@app.command(
    epilog="Example: predict data/test.parquet predicted.parquet, or predict s3://bucket/in/ "
    "s3://bucket/out/ --force"
)
def predict(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="Parquet or CSV: file or folder.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="NAME.parquet, NAME.csv or NAME/.")],
    model: Annotated[Path, typer.Option(help="A checkout, or an unpacked model.")] = Path(),
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows that may break the contract.")
    ] = 0.01,
    allow_missing: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that IN may lack.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an OUT of predict.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Batches scored at a time (processors, up to 4).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict every row of IN, a path or s3:// address, which may be larger than the memory.

    OUT has the columns of IN, then the prediction, its probabilities and set or its interval, and
    the version of the model; it appears when every row is predicted. Rows that violate
    contract.yaml go to OUT.bad with the reason; if they are too many, exits with 1 and without OUT.
    In CSV an empty value is missing, whether quoted or not.
    """
    from machinery.bulk.run import Options, predict
    from machinery.pipeline.compute import parallel_map

    options = Options(
        model=model,
        max_bad=max_bad,
        missing=tuple(allow_missing or ()),
        force=force,
        threads=threads or min(os.cpu_count() or 1, MAX_THREADS),
    )
    with parallel_map(ctx.obj) as spread:
        summary = predict(ctx.obj.features(), source, target, options, spread)
    if as_json:
        print(json.dumps(summary))
        return
    print(f"{summary['output']}: {summary['predicted']} rows by model {summary['model_version']}")
    for reason, count in summary["violations"].items():
        print(f"  {reason}: {count}")
    if summary["bad"]:
        print(f"{summary['bad_output']}: {summary['bad']} rows that break the contract")
