"""The command that compares the model of this checkout with another one."""

import os
from pathlib import Path
from typing import Annotated

import typer

from machinery.pipeline.files import CheckError, write_text

app = typer.Typer()


@app.command(epilog="Example: report --against origin/main --output report.md --check")
def report(
    ctx: typer.Context,
    against: Annotated[
        str | None,
        typer.Option(metavar="REV", help="The champion's revision (the remote's default branch)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file, not standard output.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if the gate failed or the model is worse.")
    ] = False,
) -> None:
    """Compare the model of this checkout with another revision's on the same test rows.

    Writes Markdown: the verdict first, then metrics, slices, gate, what changed, and curves.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # idle threads cost more than they save

    from machinery.comparison.judgement import judge
    from machinery.comparison.text import text
    from machinery.pipeline.compute import parallel_map

    with parallel_map(ctx.obj) as spread:
        judgement = judge(against, spread)
    markdown = text(judgement, ctx.obj.command)
    if output is None:
        print(markdown, end="")
    else:
        write_text(markdown, output)
    if check and (reasons := judgement.refusals()):
        raise CheckError("; ".join(reasons))
