"""cli: the command line of the project, for what dvc and git do not do themselves."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from . import ci, delivery, lineage, log, look, predict, report, serve, versions
from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project


class Commands(TyperGroup):
    """Commands whose UserError is one sentence on standard error and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    help="Look at the model, release it, roll it back. The pipeline is run by 'dvc repro'.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for module in (look, predict, report, serve, log, versions, lineage, ci, delivery):
    app.add_typer(module.app)


def run(project: Project) -> None:
    """Run the command that the user typed."""
    app(obj=project)
