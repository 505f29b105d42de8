"""Replay rows of the source through a running service, and deliver their outcomes.

Rows are sent in the order of their time, and each true outcome some hours of data time later, so
that predictions and outcomes arrive in the order in which they would have arrived.
"""

import time
from datetime import datetime, timedelta
from http.client import HTTPException
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import CheckError, UserError, first_line
from machinery.pipeline.params import Ingest
from machinery.pipeline.paths import CONTRACT, SOURCE
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project
from machinery.pipeline.stages.ingest import ingest, read
from machinery.serving import settings

TIMEOUT = 60.0
MAX_BATCH = 100  # rows, so that a request with many columns stays within the service's limit
Rows = list[dict[str, Any]]
OPENER = OpenerDirector()  # urlopen would use proxies, and send the key on to redirects
OPENER.add_handler(HTTPHandler())
OPENER.add_handler(HTTPSHandler())


class Event(NamedTuple):
    """When to send the rows of a batch, or all of their outcomes."""

    moment: np.datetime64
    is_outcome: bool
    start: int
    stop: int


class Replay:
    """Sends rows and outcomes, and counts those that were `answered` and `delivered`.

    `refused` has the reason for each row or outcome that the service refused.
    """

    def __init__(self, project: Project, url: str, delay: timedelta, speed: float | None) -> None:
        """Outcomes come `delay` after their rows; `speed` is in seconds of data time a second."""
        if not url.startswith(("http://", "https://")):
            raise UserError(f"--url {url} is not a URL such as http://127.0.0.1:8000")
        self._project, self._url, self._delay, self._speed = project, url.rstrip("/"), delay, speed
        self.answered = self.delivered = 0
        self.refused: list[str] = []
        self.settings = settings.load(project, demo=True)
        self._headers = {"Content-Type": "application/json"}
        for key in self.settings.api_keys[:1]:
            self._headers["Authorization"] = f"Bearer {key.get_secret_value()}"

    def run(self, start: datetime | None, end: datetime | None) -> None:
        """Replay the rows of the source from `start` (by default the end of the data window) on.

        Raises:
            UserError: when there are no rows, or the service does not answer or refuses a request.
            CheckError: when it refuses every row.
        """
        contract = contracts.load()
        rows = source_rows(self._project, contract, start, end)
        times, outcomes = rows[contract.time].to_numpy(), rows[contract.target]
        inputs = rows.select(
            [name for name in contract.known_before() if name in rows.schema.names]
        )
        feedback: dict[int, Rows] = {}  # by the first row of its batch
        batch_rows = min(MAX_BATCH, self.settings.max_rows)
        events = timeline(times, np.timedelta64(self._delay), batch_rows)
        begin = time.monotonic()
        for event in track(events, f"replay to {self._url}", len(events)):
            if self._speed:
                passed = (event.moment - times[0]) / np.timedelta64(1, "s")
                time.sleep(max(0, begin + passed / self._speed - time.monotonic()))
            batch = slice(event.start, event.stop)
            if event.is_outcome:
                delivered, _ = self._post("/feedback", feedback.pop(event.start))
                self.delivered += len(delivered)
            else:
                answered, reply = self._post("/predict", inputs[batch].to_pylist())
                self.answered += len(answered)
                values = outcomes[batch].to_pylist()
                feedback[event.start] = [
                    {"request_id": reply["request_id"], "row": row, "outcome": values[position]}
                    for row, position in enumerate(answered)
                ]
        if not self.answered:
            raise CheckError(f"{self._url} refused every row: {self.refused[0]}")

    def _post(self, path: str, rows: Rows) -> tuple[list[int], dict[str, Any]]:
        """Send the rows; the positions of those that were not refused, and the reply to them."""
        positions = [*range(len(rows))]
        while positions:
            status, reply = self._ask(path, [rows[position] for position in positions])
            row, error = reply.get("row"), reply.get("error", "it is not this project's service")
            if status == 200 and "request_id" in reply:
                return positions, reply
            if status != 422 or row is None:
                prefix = settings.prefix(self._project)
                hints = {
                    401: f"; set {prefix}API_KEYS to a key of the service",
                    413: f"; lower {prefix}MAX_ROWS to send fewer rows at a time",
                }
                fault = f"{self._url}{path} answered with status {status}: {error}"
                raise UserError(fault + hints.get(status, ""))
            self.refused.append(error.removeprefix(f"Row {row}: "))
            del positions[row]
        return [], {}

    def _ask(self, path: str, rows: Rows) -> tuple[int, dict[str, Any]]:
        data = msgspec.json.encode(rows)
        try:
            request = Request(f"{self._url}{path}", data, self._headers)
            with OPENER.open(request, timeout=TIMEOUT) as response:
                status, body = response.status, response.read()
        except (OSError, HTTPException, ValueError) as error:
            remedy = f"start a service with '{self._project.command} serve --demo'"
            fault = f"{self._url} does not answer ({first_line(error)})"
            raise UserError(f"{fault}; {remedy}") from None
        try:
            return status, msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return status, {}


def timeline(times: np.ndarray, delay: np.timedelta64, batch_rows: int) -> list[Event]:
    """Events in order: batches of rows of one hour, and the outcomes of each batch."""
    hours = times.astype("datetime64[h]")
    edges = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist(), len(times)]
    events = []
    for first, last in pairwise(edges):
        for start in range(first, last, batch_rows):
            stop = min(start + batch_rows, last)
            events.append(Event(times[start], False, start, stop))
            events.append(Event(times[stop - 1] + delay, True, start, stop))
    return sorted(events)


def source_rows(
    project: Project, contract: Contract, start: datetime | None, end: datetime | None
) -> pa.Table:
    """The rows of the source in the span, sorted by time.

    Raises:
        UserError: when there are none, or the contract has no time column.
    """
    if contract.time is None:
        raise UserError(f"{CONTRACT} names no time column; replay needs one to order the rows")
    params = sections.load(Ingest)
    start = start or params.until or datetime.min
    span = f"from {start} on" + f" and before {end}" * (end is not None)
    no_rows = UserError(f"{SOURCE} has no row {span}; choose --from and --to, or add its months")
    if end is not None and end <= start:
        raise no_rows
    source = read(project.source(), params.model_copy(update={"until": end}))
    rows = ingest(source, end, contract)
    rows = rows.filter(pc.greater_equal(rows[contract.time], start))
    if not len(rows):
        raise no_rows
    return rows
