"""ci: commands that CI jobs call: run, alarms, retrain, verify, pack and publish."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Version = Annotated[
    str, typer.Argument(envvar="MODEL_VERSION", help="A released version, as v1.2.0.")
]
Output = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the archive is.")]


@app.command(epilog="Example: reproduce, then the run is in run/")
def reproduce() -> None:
    """Run what the pull request of the running CI job made stale, and nothing else.

    Needs no data: it pulls what stale stages read. Pushes nothing: the run lies in run/, for
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

    Run it in a checkout of the base branch: the run is taken as data. Where the token may not
    push, a warning says so.
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
            envvar="RETRAIN_UNTIL",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="The new end of the data window; if not given, --months after the present one.",
            show_default=False,
        ),
    ] = None,
    months: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How far to move the window; if not given, to the end of the newest monitored "
            "window with outcomes, or one month.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of the prediction log, whose rows with outcomes are taken in; if not given, "
            "data/log where data/log.dvc imports it, or logs/predictions where that is monitored.",
            show_default=False,
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", envvar="RETRAIN_ANYWAY", help="Whatever the rule says.")
    ] = False,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the report is written.")
    ] = Path(".dvc/tmp/retrain.md"),
) -> None:
    """Move the data window, run the pipeline, and open one pull request with the report.

    Asks the rule first, where `monitor` has left reports/monitoring: where it says no, nothing is
    done. Takes in what the service logged and what came of it. Commits on the branch retrain/DATE
    and pushes it with its data. Where there are no newer rows, it says so and changes nothing.
    """
    from machinery.ci import pull_request, retrain
    from machinery.comparison.judgement import judge
    from machinery.comparison.text import text
    from machinery.pipeline.files import write_text
    from machinery.pipeline.markdown import plain

    try:
        made = retrain.plan(until, months, log, anyway=anyway)
        before = pull_request.pushed(made)
        taken = retrain.retrain(made)
    except retrain.NothingToDo as why:
        print(f"{why.begins}: {why}.")
        return
    body = text(judge(made.start), ctx.obj.command) + (f"\n{plain(taken)}\n" if taken else "")
    write_text(body, output)
    print(body.partition("\n")[0])
    print(pull_request.publish(made, before, body))


@app.command(epilog="Example: alarms")
def alarms(ctx: typer.Context) -> None:
    """Bring the issues of the code host in line with the alarms that `monitor` left.

    One open issue an alarm: opened, brought up to date, closed when it is over. Outside of a CI job
    it prints what it would do.
    """
    from machinery.ci.alarms import alarms as issues

    issues(ctx.obj.command)


@app.command(epilog="Example: verify v1.2.0")
def verify(
    version: Version,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check that the version checked out is whole, and may be published. Changes nothing."""
    from machinery.ci.distribution import checks

    from .status import show_findings

    show_findings(checks(version), as_json=as_json)


@app.command(epilog="Example: distribution v1.2.0 --output dist")
def distribution(ctx: typer.Context, version: Version, output: Output = Path("dist")) -> None:
    """Pack all that serves a released model into one archive, the same bytes every time."""
    from machinery.ci.distribution import distribution as pack

    print(pack(ctx.obj.command, version, output))


@app.command(epilog="Example: publish v1.2.0 --place release")
def publish(
    ctx: typer.Context,
    version: Version,
    output: Output = Path("dist"),
    place: Annotated[
        str, typer.Option(envvar="PUBLISH", help="'release', or nothing for nowhere.")
    ] = "",
) -> None:
    """Publish the archive of a version, from a CI job, where the setting PUBLISH says."""
    from machinery.ci.distribution import distribution as pack
    from machinery.ci.distribution import publish as put

    print(put(version, pack(ctx.obj.command, version, output), place))
