"""Run the service with uvicorn."""

import os
import signal
import socket
import sys
from collections.abc import Mapping
from math import ceil
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.applications import Starlette

from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project

from .settings import METRICS_FOLDER, Settings, load, prefix

KEEP_ALIVE = 30  # seconds that a connection may be idle


def serve(project: Project, settings: Settings, options: Mapping[str, Any]) -> None:
    """Answer requests until SIGTERM or SIGINT.

    uvicorn starts several workers as new processes, which read their settings from the environment;
    the `options` of the command line are added to it.

    Raises:
        UserError: if the address is in use, or there is no model.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))  # before and after uvicorn's own handlers
    _check_address(settings)
    config: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # the client's address is not used
        "timeout_keep_alive": KEEP_ALIVE,
        "timeout_graceful_shutdown": ceil(settings.grace_seconds),
    }
    app = service(project, settings)  # fail here: uvicorn would restart the workers endlessly
    if settings.workers == 1:
        uvicorn.run(app, **config)
        return
    for name, value in options.items():
        os.environ[f"{prefix(project)}{name.upper()}"] = str(value)
    with TemporaryDirectory(prefix="serve-", ignore_cleanup_errors=True) as folder:
        os.environ[METRICS_FOLDER] = folder
        uvicorn.run(f"{project.package}.__main__:service", factory=True, **config)


def service(project: Project, settings: Settings | None = None) -> Starlette:
    """The ASGI application of one process; settings default to those of the environment."""
    from .app import Service, application  # only after METRICS_FOLDER is set
    from .telemetry import set_up_logs

    set_up_logs()
    return application(Service(project.features(), settings or load(project)))


def worker(project: Project) -> Starlette:
    """The application of a worker that uvicorn starts; exits with one sentence if it fails."""
    try:
        return service(project)
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _check_address(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        raise UserError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another --port"
        ) from None
