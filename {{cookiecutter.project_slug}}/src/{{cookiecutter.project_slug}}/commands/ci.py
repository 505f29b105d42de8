"""ci: commands that the workflows call."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: reproduce, then dvc.lock and the reports are on the branch")
def reproduce() -> None:
    """Run what the pull request of the running CI job made stale, and nothing else.

    Needs no data: it pulls what stale stages read. Pushes the data of the run and commits
    dvc.lock and the reports to the branch; where the token may not, a warning says so.
    """
    from ..ci.job import running
    from ..ci.reproduce import reproduce as run

    run(running())


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
