"""ci: commands that the workflows call."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: report --output report.md && comment report.md")
def comment(
    file: Annotated[Path, typer.Argument(help="Markdown, as 'report --output' writes it.")],
) -> None:
    """Post a text on the pull request of the running CI job, always on the same comment.

    The job's summary gets it first: where nothing may be posted, a warning says so, and that is
    no failure.
    """
    from ..ci import comment as posting
    from ..ci.job import running

    posting.comment(file, running())
