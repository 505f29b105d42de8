"""Commands that replace the sample by a table of one's own, and convert later files of it."""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from machinery.pipeline.files import UserError, printable
from machinery.pipeline.paths import CONTRACT

if TYPE_CHECKING:
    from machinery.adopt.plan import Plan

app = typer.Typer()
Task = Literal["classification", "regression", "counts"]
Text = str | None


@app.command(epilog="Example: adopt titanic.csv --target survived")
def adopt(
    ctx: typer.Context,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    table: Annotated[str, typer.Argument(help="A file, a folder of parts, or a URL.")] = "",
    time: Annotated[Text, typer.Option(help="Column of times; the newest rows are tested.")] = None,
    group: Annotated[Text, typer.Option(help="Column of groups, e.g. persons, kept whole.")] = None,
    task: Annotated[Task | None, typer.Option(help="Kind of the target (guessed).")] = None,
    name: Annotated[Text, typer.Option(help="Name of the file in data/source.")] = None,
    encoding: Annotated[Text, typer.Option(help="Of a text file (guessed).")] = None,
    sql: Annotated[Text, typer.Option(help="A query, in place of TABLE.")] = None,
    database: Annotated[Text, typer.Option(help="SQLAlchemy URL for the query.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN.WHAT=VALUE", help="Overrule a decision."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite your edits.")] = False,
) -> None:
    """Replace the sample by a table of yours: contract, features, params, tests, canvas.

    Shows what it decided and why before it writes anything. What it writes is yours to edit.
    """
    from machinery.adopt import kinds, profile, read, swap, write

    _require_project()
    swap.refuse_unfinished()
    if not (force or dry_run):
        swap.refuse_edited(write.paths(ctx.obj.package).values())
    source = read.read(table, sql=sql, database=database, encoding=encoding)
    overrides = _overrides(change or [])
    interactive = sys.stdin.isatty() and not yes
    while True:
        columns = kinds.typed(source.table, _types(overrides))
        plan = profile.plan(columns, target, time=time, group=group, task=task, overrides=overrides)
        _print(source.notes, plan)
        if not (interactive and plan.questions):
            break
        answer = typer.prompt("Overrule with COLUMN.WHAT=VALUE, or Enter", "", show_default=False)
        if not answer:
            break
        overrides |= _overrides([answer])
    origin = write.address(database or table) + f" (`{sql}`)" * bool(sql)
    project = (ctx.obj.package, ctx.obj.command, _owner())
    about = write.About(*project, write.stem(name or table), origin, source.notes)
    with swap.staging() as folder:
        for note in write.write(plan, columns, about, folder):
            print(f"  {printable(note)}")
        if dry_run:
            print("\n".join(swap.difference()))
            return
        if interactive and not typer.confirm("Write these files?", default=True):
            raise typer.Exit(1)
        swap.swap()
    print(
        "\nWritten. Next:\n"
        "    make check test             the files as they are, and the tests that are now yours\n"
        "    dvc repro                   the whole pipeline\n"
        f"    {f'{ctx.obj.command} show':<26}  the metrics and the gate\n"
        "    git add . && git commit     what is marked 'to fill in' can be filled in later"
    )


@app.command(epilog="Example: convert april.csv data/source/april.parquet")
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file, a folder, or a URL.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="NAME.parquet.")],
    encoding: Annotated[Text, typer.Option(help="Of a text file (guessed).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.")] = False,
) -> None:
    """Convert a later file to the columns and types of contract.yaml, by the rules of adopt."""
    from machinery.adopt import kinds, read
    from machinery.pipeline.data import checks, contract
    from machinery.pipeline.files import write_table

    _require_project()
    if target.exists() and not force:
        raise UserError(f"{target} already exists; remove it or pass --force")
    converted = kinds.convert(read.read(source, encoding=encoding), contract.load())
    write_table(checks.for_pandas(converted.table, contract.load()), target)
    print(*map(printable, converted.notes), f"{target}: {len(converted.table):,} rows", sep="\n")


def _require_project() -> None:
    if not CONTRACT.is_file():
        raise UserError(f"there is no {CONTRACT}; run the command in the project's folder")


def _overrides(arguments: list[str]) -> dict[str, str]:
    """COLUMN.WHAT → VALUE."""
    pairs = [argument.partition("=") for argument in arguments]
    for key, _, value in pairs:
        if "." not in key or not value:
            raise UserError(f"--set {key}: write COLUMN.WHAT=VALUE, e.g. zip.type=string")
    return {key: value for key, _, value in pairs}


def _types(overrides: Mapping[str, str]) -> dict[str, str]:
    """Column → its stated type; a category is a string until all columns are read."""
    return {
        key.removesuffix(".type"): "string" if value == "category" else value
        for key, value in overrides.items()
        if key.endswith(".type")
    }


def _owner() -> str:
    """The first author in pyproject.toml."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [author["name"] for author in project.get("authors", []) if "name" in author]
    return str(names[0]) if names else "nobody yet"


def _print(notes: list[str], plan: "Plan") -> None:

    sections = {"Read": notes, "Decided": plan.decisions, "To check": plan.questions}
    for title, sentences in sections.items():
        if sentences:
            print(f"\n{title}:", *map(printable, sentences), sep="\n  ")
