"""Answer events of a Lambda Function URL or an API Gateway.

Lambda freezes the process between events and discards its disk, so the prediction log is written to
the function's log, and a new model needs a new image.
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
    """Answer an event; the first one waits until the model is loaded."""
    reply: dict[str, Any] = _mangum(project)(event, context)
    return reply
