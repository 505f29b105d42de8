"""Entry points: `python -m PACKAGE STAGE`, the command line, and the service."""

from typing import Any

from .project import ThisProject

project = ThisProject()


def command() -> None:
    """Run the command line, the script in pyproject.toml."""
    from machinery.commands.cli import run

    run(project)


def service() -> Any:
    """Create the ASGI application of the service, for uvicorn's workers."""
    from machinery.serving.server import worker

    return worker(project)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle an AWS Lambda event."""
    from machinery.serving.aws_lambda import answer

    return answer(project, event, context)


if __name__ == "__main__":
    from machinery.pipeline.run import main

    main(project)
