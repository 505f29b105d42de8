"""The command line of a project, for what dvc and git do not do themselves."""

import io
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project

# Each module of commands and its room: a project may delete rooms, and loses their commands.
ROOMS = {
    "adopt": "adopt",
    "status": "versions",
    "predict": "bulk",
    "report": "comparison",
    "search": "search",
    "serve": "serving",
    "monitor": "monitoring",
    "versions": "versions",
    "lineage": "versions",
    "ci": "ci",
}


class Commands(TyperGroup):
    """Commands that print a UserError as one sentence on standard error."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command, and exit with the error's code."""
        try:
            refuse_other_checkout(ctx.obj)
            return super().invoke(ctx)
        except UserError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    help="Show the model, release it, roll it back. 'dvc repro' runs the pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for module, room in ROOMS.items():
    if find_spec(f"machinery.{room}"):
        app.add_typer(import_module(f".{module}", __package__).app)


def refuse_other_checkout(project: Project) -> None:
    """Raise UserError if this is the code of another checkout than the current folder's."""
    here, running = Path("src", project.package), Path(str(sys.modules[project.package].__file__))
    if here.is_dir() and not here.samefile(running.parent):
        raise UserError(
            f"this command runs the code of {running.parent}, not of this folder: "
            "type 'make setup && source .venv/bin/activate' here"
        )


def run(project: Project) -> None:
    """Run the command of `sys.argv`."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports home otherwise
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # `?` for a character that the terminal lacks
    app(obj=project)
