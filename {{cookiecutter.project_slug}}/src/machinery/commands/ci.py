"""Commands that CI jobs call."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from . import Json

app = typer.Typer()
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

Version = Annotated[
    str, typer.Argument(envvar="MODEL_VERSION", help="A released version, e.g. v1.2.0.")
]
Output = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the archive.")]


@app.command(epilog="Example: reproduce, then the run is in run/")
def reproduce() -> None:
    """Run only what the pull request of this CI job made stale.

    Needs no data: it pulls what stale stages read. Pushes nothing: it leaves the run in run/, for
    `record` in a job that may write and runs no code of the pull request.
    """
    from machinery.ci.job import running
    from machinery.ci.reproduce import reproduce as run

    run(running())


@app.command(epilog="Example: record run, then dvc.lock and the reports are on the branch")
def record(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `reproduce` left.")],
) -> None:
    """Push the data of a pull request's run, and its dvc.lock and reports to the branch.

    Run it in a checkout of the base branch: the run is treated as data. Warns if the token may not
    push.
    """
    from machinery.ci.job import running
    from machinery.ci.record import record as push

    push(folder, running())


@app.command(epilog="Example: retrain --until 2013-09-01")
def retrain(
    ctx: typer.Context,
    until: Annotated[
        datetime | None,
        typer.Option(
            envvar="RETRAIN_UNTIL", formats=FORMATS, help="New end of the data (see --months)."
        ),
    ] = None,
    months: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Months to move the window by (to the end of the newest monitored window with "
            "outcomes, or 1).",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Prediction log, whose rows with outcomes are added (data/log if data/log.dvc "
            "imports it, or logs/predictions if that is monitored).",
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", envvar="RETRAIN_ANYWAY", help="Whatever the rule says.")
    ] = False,
    output: Annotated[Path, typer.Option(metavar="FILE", help="File for the report.")] = Path(
        ".dvc/tmp/retrain.md"
    ),
) -> None:
    """Move the data window, run the pipeline, and open one pull request with the report.

    Does nothing if the rule in reports/monitoring, where `monitor` left one, says not to retrain,
    or if there are no newer rows. Adds logged rows that have an outcome. Commits on the branch
    retrain/DATE and pushes it with its data.
    """
    from machinery.ci import pull_request, retrain
    from machinery.comparison.judgement import judge
    from machinery.comparison.text import text
    from machinery.pipeline.files import write_text
    from machinery.pipeline.markdown import plain

    try:
        plan = retrain.plan(until, months, log, anyway=anyway)
        before = pull_request.pushed(plan)
        added = retrain.retrain(plan)
    except retrain.NothingToDo as reason:
        print(f"{reason.begins}: {reason}.")
        return
    body = text(judge(plan.start), ctx.obj.command) + (f"\n{plain(added)}\n" if added else "")
    write_text(body, output)
    print(body.partition("\n")[0])
    print(pull_request.publish(plan, before, body))


@app.command(epilog="Example: alarms")
def alarms(ctx: typer.Context) -> None:
    """Open, update and close issues on the code host for the alarms of `monitor`, one for each.

    Outside of a CI job, prints what it would do.
    """
    from machinery.ci.alarms import alarms as update

    update(ctx.obj.command)


@app.command(epilog="Example: verify v1.2.0")
def verify(version: Version, as_json: Json = False) -> None:
    """Check that the version is checked out, complete, and may be published. Changes nothing."""
    from machinery.ci.distribution import checks

    from .status import report

    report(checks(version), as_json=as_json)


@app.command(epilog="Example: distribution v1.2.0 --output dist")
def distribution(ctx: typer.Context, version: Version, output: Output = Path("dist")) -> None:
    """Pack all that serves a released model into one reproducible archive."""
    from machinery.ci.distribution import distribution as pack

    print(pack(ctx.obj.command, version, output))


@app.command(epilog="Example: publish v1.2.0 --place release")
def publish(
    ctx: typer.Context,
    version: Version,
    output: Output = Path("dist"),
    place: Annotated[str, typer.Option(envvar="PUBLISH", help="'release', or empty.")] = "",
) -> None:
    """Publish the archive of a version from a CI job, where the setting PUBLISH says."""
    from machinery.ci.distribution import distribution as pack
    from machinery.ci.distribution import publish as upload

    print(upload(version, pack(ctx.obj.command, version, output), place))
