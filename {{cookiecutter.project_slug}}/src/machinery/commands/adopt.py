"""adopt: a table of one's own in the sample's place; later files of it in the contract's types."""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT

if TYPE_CHECKING:
    from machinery.adopt.plan import Plan

app = typer.Typer()
Task = Literal["classification", "regression", "counts"]


@app.command(epilog="Example: adopt titanic.csv --target survived")
def adopt(
    ctx: typer.Context,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="What is to be predicted.")],
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A file, a folder of parts, or a URL.")
    ] = "",
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When a row was; the newest are tested.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whose rows stay together, e.g. a person.")
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What the target is; guessed without.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the file in data/source.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of a text file, e.g. cp1252; guessed without.")
    ] = None,
    sql: Annotated[str | None, typer.Option(metavar="QUERY", help="In place of TABLE.")] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="That QUERY is for, as SQLAlchemy writes it.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN.WHAT=VALUE", help="Overrule what is decided."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference alone.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what you edited.")] = False,
) -> None:
    """Put a table of yours in the sample's place: contract, features, params, tests, canvas.

    Says what it decided and why, and writes nothing before that. What it writes is yours to edit.
    """
    from machinery.adopt import kinds, profile, read, swap, write

    _require_project()
    swap.refuse_unfinished()
    if not (force or dry_run):
        swap.refuse_edited(write.paths(ctx.obj.package).values())
    given = read.read(table, sql=sql, database=database, encoding=encoding)
    overrides = _overrides(change or [])
    asking = sys.stdin.isatty() and not yes
    while True:
        columns = kinds.typed(given.table, _types(overrides))
        plan = profile.plan(columns, target, time=time, group=group, task=task, overrides=overrides)
        _print(given.notes, plan)
        if not (asking and plan.questions):
            break
        answer = typer.prompt("Overrule with COLUMN.WHAT=VALUE, or Enter", "", show_default=False)
        if not answer:
            break
        overrides |= _overrides([answer])
    origin = write.address(database or table) + f" (`{sql}`)" * bool(sql)
    whose = (ctx.obj.package, ctx.obj.command, _owner())
    about = write.About(*whose, write.stem(name or table), origin, given.notes)
    with swap.place() as folder:
        for note in write.write(plan, columns, about, folder):
            print(f"  {_line(note)}")
        if dry_run:
            print("\n".join(swap.difference()))
            return
        if asking and not typer.confirm("Write these files?", default=True):
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
    encoding: Annotated[str | None, typer.Option(help="As of adopt.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.")] = False,
) -> None:
    """Turn a later file into the columns and types of contract.yaml, by the rules of adopt."""
    from machinery.adopt import kinds, read
    from machinery.pipeline.data import checks, contract
    from machinery.pipeline.files import write_table

    _require_project()
    if target.exists() and not force:
        raise UserError(f"{target} is there already; --force overwrites it")
    given = kinds.convert(read.read(source, encoding=encoding), contract.load())
    write_table(checks.for_pandas(given.table, contract.load()), target)
    print(*map(_line, given.notes), f"{target}: {len(given.table):,} rows", sep="\n")


def _require_project() -> None:
    if not CONTRACT.is_file():
        raise UserError(f"{CONTRACT} is not here; run the command in the folder of the project")


def _overrides(given: list[str]) -> dict[str, str]:
    """COLUMN.WHAT → VALUE."""
    pairs = [each.partition("=") for each in given]
    for what, _, value in pairs:
        if "." not in what or not value:
            raise UserError(f"--set {what}: write COLUMN.WHAT=VALUE, such as zip.type=string")
    return {what: value for what, _, value in pairs}


def _types(overrides: Mapping[str, str]) -> dict[str, str]:
    """Column → the type that it must have; a category is a string until all columns are seen."""
    pairs = ((*what.rpartition("."), value) for what, value in overrides.items())
    types = {column: value for column, _, what, value in pairs if what == "type"}
    return {column: "string" if each == "category" else each for column, each in types.items()}


def _owner() -> str:
    """Who answers for the project, by pyproject.toml."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [each["name"] for each in project.get("authors", []) if "name" in each]
    return str(names[0]) if names else "nobody yet"


def _print(notes: list[str], plan: "Plan") -> None:
    told = {"Read": notes, "Decided": plan.decisions, "To check": plan.questions}
    for title, sentences in told.items():
        if sentences:
            print(f"\n{title}:", *map(_line, sentences), sep="\n  ")


def _line(sentence: str) -> str:
    """On one line, and without characters that a terminal would obey: headers may have any."""
    return "".join(each if each.isprintable() else " " for each in sentence)
