"""aws_lambda: an event of a Function URL or an API Gateway in; the service's answer to it out.

Lambda freezes the process between events and forgets its disk, so no log is kept in files here and
no new model is looked for: answers go to the function's log, a model comes with a new image.
"""

import json
import logging
import os
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from typing import Any

import structlog

from machinery.pipeline.project import Project

Event = dict[str, Any]
Handler = Callable[[Event, Any], Event]
PREDICT = "/predict"


@cache
def _handler(project: Project) -> Handler:
    """Open the model and make what Lambda calls.

    Raises:
        UserError: for settings that are wrong, and when there is no model in the folder.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from mangum import Mangum

    from . import app, server, settings, telemetry

    server.preload(project)
    telemetry.set_up_logs()
    logging.getLogger("mangum.http").setLevel(logging.WARNING)  # requests are logged already
    service = Mangum(app.make(project, settings.load(project, prediction_log="")), lifespan="off")
    log = structlog.get_logger()

    def handle(event: Event, context: Any) -> Event:
        answer: Event = service(event, context)
        if answer["statusCode"] == 200 and event.get("rawPath", event.get("path")) == PREDICT:
            log.info("prediction", rows=_rows(event), answer=json.loads(answer["body"]))
        return answer

    return handle


def answer(project: Project, event: Event, context: Any) -> Event:
    """The answer to an event; the first one waits until the model is open."""
    return _handler(project)(event, context)


def _rows(event: Event) -> Any:
    body = event["body"]
    return json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
