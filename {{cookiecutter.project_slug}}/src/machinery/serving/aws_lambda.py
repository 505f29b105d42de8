"""aws_lambda: an event of a Function URL or an API Gateway in; the service's answer out.

Lambda freezes the process between events and discards its disk. So the lines of the prediction log
go to the function's log, and a new model comes with a new image.
"""

from functools import cache
from typing import Any

from mangum import Mangum

from machinery.pipeline.project import Project

from .log import STANDARD_OUTPUT
from .server import service
from .settings import load


@cache
def _mangum(project: Project) -> Mangum:
    settings = load(project, prediction_log=STANDARD_OUTPUT)
    return Mangum(service(project, settings), lifespan="off")


def answer(project: Project, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The answer to an event; the first one waits until the model is open."""
    reply: dict[str, Any] = _mangum(project)(event, context)
    return reply
