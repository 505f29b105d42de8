"""aws_lambda: an event of a Function URL or an API Gateway in; the service's answer out.

Lambda freezes the process between events and discards its disk. So the lines of the prediction log
go to the function's log, and a new model comes with a new image.
"""

from functools import cache
from typing import Any

from mangum import Mangum

from machinery.pipeline.project import Project

from .app import make
from .log import STANDARD_OUTPUT
from .settings import load
from .telemetry import set_up_logs


@cache
def _mangum(project: Project) -> Mangum:
    set_up_logs()
    return Mangum(make(project, load(project, prediction_log=STANDARD_OUTPUT)), lifespan="off")


def answer(project: Project, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The answer to an event; the first one waits until the model is open."""
    reply: dict[str, Any] = _mangum(project)(event, context)
    return reply
