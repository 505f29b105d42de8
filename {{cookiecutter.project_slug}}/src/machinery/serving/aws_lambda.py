"""aws_lambda: an event of a Function URL or an API Gateway in; the service's answer out.

Lambda freezes the process between events and forgets its disk. So the lines of the prediction log
go to the function's log, and a new model comes with a new image.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from mangum import Mangum

from machinery.pipeline.project import Project

from .app import make
from .log import PredictionLog
from .settings import load
from .telemetry import set_up_logs


class StandardOutput(PredictionLog):
    """A prediction log whose lines go to standard output."""

    def open(self, day: str) -> None:
        """Nothing needs to be opened."""

    def write(self, data: bytes) -> None:
        """Write whole lines."""
        os.write(1, data)
        self._size += len(data)


@cache
def _mangum(project: Project) -> Mangum:
    set_up_logs()
    settings = load(project, prediction_log=Path("(standard output)"))
    return Mangum(make(project, settings, StandardOutput), lifespan="off")


def answer(project: Project, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The answer to an event; the first one waits until the model is open."""
    reply: dict[str, Any] = _mangum(project)(event, context)
    return reply
