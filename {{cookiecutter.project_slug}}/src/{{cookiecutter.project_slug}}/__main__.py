"""The ways into this project: `python -m PACKAGE STAGE`, the command line, and the service."""

from typing import Any

from .project import ThisProject

project = ThisProject()


def command() -> None:
    """Run the command line, which pyproject.toml installs."""
    from machinery.commands.cli import run

    run(project)


def service() -> Any:
    """Make the service as an ASGI application, for the workers of uvicorn."""
    from machinery.serving.server import worker

    return worker(project)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer an event of AWS Lambda."""
    from machinery.serving.aws_lambda import answer

    return answer(project, event, context)


if __name__ == "__main__":
    from machinery.pipeline.run import main

    main(project)
