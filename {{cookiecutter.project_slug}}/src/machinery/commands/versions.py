"""versions: commands that release, list, restore and explain versions."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from machinery.pipeline.markdown import estimate

app = typer.Typer()


@app.command(epilog="Example: release v1.2.0 --stage production")
def release(
    version: Annotated[str, typer.Argument(help="The new version, e.g. v1.2.0.")],
    stage: Annotated[str | None, typer.Option(help="A stage to assign, e.g. production.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tag this commit as a version and register its model. Exits with 1 when a check fails.

    Pushes nothing: it prints the command that does.
    """
    from machinery.versions import release as releasing

    try:
        made = releasing.release(version, stage)
    except releasing.RefusedError as refused:
        if as_json:
            refusals = [{"reason": str(r), "remedy": r.remedy} for r in refused.refusals]
            print(json.dumps({"version": version, "released": False, "refusals": refusals}))
        raise
    if as_json:
        print(json.dumps({"released": True, **asdict(made)}))
    else:
        print(
            f"{made.notes}\nMade the tags {', '.join(made.tags)}. Publish them:\n\n    {made.push}"
        )


@app.command(epilog="Example: releases --json | python -m json.tool")
def releases(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the releases, newest first: stages, date, commit and headline metric."""
    from machinery.versions.release import releases as listed

    rows = listed()
    if as_json:
        print(json.dumps(rows))
    elif rows:
        _print_releases(rows)
    else:
        print(
            "There is no release here: 'release v1.0.0' makes one, 'git fetch --tags' gets others."
        )


@app.command(epilog="Example: rollback v1.1.0 --stage production")
def rollback(
    version: Annotated[str, typer.Argument(help="A released version, e.g. v1.1.0.")],
    stage: Annotated[str | None, typer.Option(help="A stage to assign to it again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Restore a release on a branch of its own: code, data, model and metrics, all verified.

    Work that is not committed is never overwritten; a rollback that fails changes nothing.
    """
    from machinery.versions.rollback import rollback as restore

    done = restore(version, stage)
    if as_json:
        print(json.dumps(asdict(done)))
        return
    print(f"{version} is restored on the branch {done.branch}, commit {done.commit[:10]}:")
    print(f"{done.files} files, {done.bytes / 1e6:.1f} MB, each with the hash that was recorded.\n")
    for name, interval in done.metrics.items():
        print(f"    {name:20} {estimate(interval)}")
    print()
    if done.other_packages:
        print("It was locked to other packages: run 'make setup' before you run its code.")
    if done.tags:
        print(f"Made the tag {', '.join(done.tags)}. Publish it:\n\n    {done.push}")


@app.command(epilog="Example: update ../template")
def update(
    source: Annotated[str, typer.Argument(help="The template's folder or git address.")],
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="A tag, branch or commit of the template.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a machinery that was edited here.")
    ] = False,
) -> None:
    """Replace src/machinery by the template's, and say what else changed there."""
    from machinery.versions.update import update as replace

    done = replace(source, revision, force=force)
    print(f"src/machinery was {done.before} and is {done.after}; {len(done.files)} files changed.")
    if done.elsewhere:
        since = f"since {done.since}" if done.since else "(or you changed here)"
        print(f"What else changed in the template {since}, for you to look at:")
        print("".join(f"    {name}\n" for name in done.elsewhere), end="")
    if done.files:
        print("Now run 'make setup', 'dvc repro' and 'report', which says what the figures do.")


def _print_releases(releases: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("version", "stages", "date", "commit", "headline metric")
    for each in releases:
        figures = f"{each['metric']} {estimate(each)}"
        stages, date = ", ".join(each["stages"]), each["date"][:10]
        table.add_row(each["version"], stages, date, each["commit"][:10], figures)
    Console(highlight=False).print(table)
