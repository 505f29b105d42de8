"""versions: commands that release, list, restore and explain versions."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from machinery.pipeline.markdown import estimate

app = typer.Typer()


@app.command(epilog="Example: release v1.2.0 --stage production")
def release(
    version: Annotated[str, typer.Argument(help="The new version, as v1.2.0.")],
    stage: Annotated[str | None, typer.Option(help="A stage to assign, as production.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tag this commit as a version and register its model. Exits with 1 when a check says no.

    Pushes nothing: it prints the command that does.
    """
    from machinery.versions import release as releasing

    try:
        made = releasing.release(version, stage)
    except releasing.RefusedError as refused:
        if as_json:
            refusals = [refusal._asdict() for refusal in refused.refusals]
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

    found = listed()
    if as_json:
        print(json.dumps(found))
    elif found:
        _print_releases(found)
    else:
        print("There is no release yet; 'release v1.0.0' makes the first.")


@app.command(epilog="Example: rollback v1.1.0 --stage production")
def rollback(
    version: Annotated[str, typer.Argument(help="A released version, as v1.1.0.")],
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


@app.command(epilog="Example: lineage v1.1.0, or lineage --sha256 1bfac2e5, or lineage --mermaid")
def lineage(
    ctx: typer.Context,
    what: Annotated[
        str | None, typer.Argument(help="A revision, a file, or REVISION:FILE.", show_default=False)
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HASH", help="Find the commits that record this model.")
    ] = None,
    impact: Annotated[
        str | None, typer.Option(metavar="FILE", help="Show what was made from this file instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid graph.")] = False,
    openlineage: Annotated[
        bool, typer.Option("--openlineage", help="Print the OpenLineage events of each stage.")
    ] = False,
) -> None:
    """Show what the model, or another file, was made from, and by whom."""
    from machinery.versions import answers

    forms = {"json": as_json, "mermaid": mermaid, "openlineage": openlineage}
    form = " ".join(name for name, asked in forms.items() if asked)
    if impact is None:
        answers.trace(what, sha256, form, ctx.obj.package)
    else:
        answers.follow(what, sha256, impact, form)


def _print_releases(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("version", "stages", "date", "commit", "headline metric")
    for each in found:
        figures = f"{each['metric']} {estimate(each)}"
        stages, date = ", ".join(each["stages"]), each["date"][:10]
        table.add_row(each["version"], stages, date, each["commit"][:10], figures)
    Console(highlight=False).print(table)
