"""Commands that release, list and restore versions, and update the machinery."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from machinery.pipeline.markdown import estimate

from . import Json

app = typer.Typer()


@app.command(epilog="Example: release v1.2.0 --stage production")
def release(
    version: Annotated[str, typer.Argument(help="The new version, e.g. v1.2.0.")],
    stage: Annotated[str | None, typer.Option(help="A stage to assign, e.g. production.")] = None,
    as_json: Json = False,
) -> None:
    """Tag this commit as a version and register its model. Exits with 1 if a check fails.

    Pushes nothing: it prints the command that does.
    """
    from machinery.versions.release import RefusedError
    from machinery.versions.release import release as tag

    try:
        released = tag(version, stage)
    except RefusedError as error:
        if as_json:
            refusals = [{"reason": str(r), "remedy": r.remedy} for r in error.refusals]
            print(json.dumps({"version": version, "released": False, "refusals": refusals}))
        raise
    if as_json:
        print(json.dumps({"released": True, **asdict(released)}))
    else:
        tags = ", ".join(released.tags)
        print(f"{released.notes}\nCreated the tags {tags}. Publish them:\n\n    {released.push}")


@app.command(epilog="Example: releases --json | python -m json.tool")
def releases(as_json: Json = False) -> None:
    """List the releases, newest first: stages, date, commit and headline metric."""
    from machinery.versions.release import releases as read

    rows = read()
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("There is no release here: 'release v1.0.0' makes one, 'git fetch --tags' gets more.")
    for row in rows:
        commit = f"{row['date'][:10]}  {row['commit'][:10]}"
        metric = f"{row['metric']} {estimate(row)}"
        print(f"{row['version']:10}  {commit}  {metric}  {', '.join(row['stages'])}".rstrip())


@app.command(epilog="Example: rollback v1.1.0 --stage production")
def rollback(
    version: Annotated[str, typer.Argument(help="A released version, e.g. v1.1.0.")],
    stage: Annotated[str | None, typer.Option(help="A stage to assign to it again.")] = None,
    as_json: Json = False,
) -> None:
    """Restore a release on a branch of its own: code, data, model and metrics, all verified.

    Never overwrites work that is not committed. A rollback that fails changes nothing.
    """
    from machinery.versions.rollback import rollback as restore

    restored = restore(version, stage)
    if as_json:
        print(json.dumps(asdict(restored)))
        return
    print(f"{version} is restored on the branch {restored.branch}, commit {restored.commit[:10]}:")
    print(f"{restored.files} files, {restored.bytes / 1e6:.1f} MB, each with its recorded hash.\n")
    for name, interval in restored.metrics.items():
        print(f"    {name:20} {estimate(interval)}")
    print()
    if restored.other_packages:
        print("It was locked to other packages: run 'make setup' before you run its code.")
    if restored.tags:
        print(f"Created the tag {restored.tags[0]}. Publish it:\n\n    {restored.push}")


@app.command(epilog="Example: update ../template")
def update(
    source: Annotated[str, typer.Argument(help="The template's folder or git address.")],
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="A tag, branch or commit of the template.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an edited machinery.")] = False,
) -> None:
    """Replace src/machinery by the template's, and list what else changed there."""
    from machinery.versions.update import update as replace

    done = replace(source, revision, force=force)
    print(f"src/machinery was {done.before} and is {done.after}; {len(done.files)} files changed.")
    if done.elsewhere:
        since = f"since {done.since}" if done.since else "(or you changed here)"
        print(f"Review what else changed in the template {since}:")
        print("".join(f"    {name}\n" for name in done.elsewhere), end="")
    if done.files:
        print("Now run 'make setup', 'dvc repro' and 'report', which compares the metrics.")
