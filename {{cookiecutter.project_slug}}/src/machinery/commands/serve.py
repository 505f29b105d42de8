"""serve: the command that answers requests online."""

import os
from typing import Annotated

import typer

app = typer.Typer()


@app.command(
    epilog="Example: serve --demo --port 8000, then open http://127.0.0.1:8000/openapi.json"
)
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer [1].")] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Answer without an API key, on this machine.")
    ] = False,
) -> None:
    """Answer requests with the model of this folder, until Ctrl-C. Settings: see .env.example."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a thread that a fork would lose
    from machinery.serving import server, settings

    found = settings.load(ctx.obj, host=host, port=port, workers=workers, demo=demo or None)
    server.serve(ctx.obj, found)
