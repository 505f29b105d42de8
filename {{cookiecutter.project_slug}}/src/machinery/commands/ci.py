"""ci: the command that the report job calls."""

import typer

app = typer.Typer()


@app.command(epilog="Example: reproduce, then dvc.lock and the reports are on the branch")
def reproduce() -> None:
    """Run what the pull request of the running CI job made stale, and nothing else.

    Needs no data: it pulls what stale stages read. Pushes the data of the run and commits
    dvc.lock and the reports to the branch; where the token may not, a warning says so.
    """
    from machinery.ci.job import running
    from machinery.ci.reproduce import reproduce as run

    run(running())
