"""replay: rows of the source and a running service in; its answers and their outcomes in its log.

Rows are sent in the order of their time, and each true outcome some hours of data time later, so
that predictions and outcomes come in the order in which they would have come.
"""

import time
from contextlib import closing
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import CheckError, UserError, first_line
from machinery.pipeline.params import Ingest
from machinery.pipeline.paths import CONTRACT, SOURCE
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project
from machinery.pipeline.stages.ingest import ingest, read
from machinery.serving import settings

IDLE = 1.0  # seconds after which the other side may have closed the connection
TIMEOUT = 60.0
Rows = list[dict[str, Any]]


class Event(NamedTuple):
    """When the rows of a batch are to be predicted, or all of their outcomes are there."""

    moment: np.datetime64
    is_outcome: bool
    start: int
    stop: int


class Replay:
    """Sends rows and outcomes. `answered`, `delivered` and `refused` say which of them arrived."""

    def __init__(self, project: Project, url: str, delay: timedelta, speed: float | None) -> None:
        """Outcomes come `delay` after their rows; `speed` is in seconds of data time a second."""
        self._project, self._delay, self._speed = project, delay, speed
        self._url = url.rstrip("/")
        self.answered = self.delivered = 0
        self.refused: dict[str, list[str]] = {"/predict": [], "/feedback": []}
        self.settings = settings.load(project, demo=True)
        self._max_rows = self.settings.max_rows
        self._headers = {"Content-Type": "application/json"}
        for key in self.settings.api_keys[:1]:
            self._headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        try:
            parts = urlsplit(self._url)
            kind = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
            self._connection = kind(parts.netloc, timeout=TIMEOUT)
        except (KeyError, ValueError, HTTPException):
            raise UserError(f"--url {url} is not a URL such as http://127.0.0.1:8000") from None
        self._base = parts.path

    def run(self, start: datetime | None, end: datetime | None) -> None:
        """Replay the rows of the source from `start` on (the model's data window's end).

        Raises:
            UserError: when there are none, or the service is not there or refuses all requests.
            CheckError: when it refuses each of the rows.
        """
        contract, times, rows = rows_of(self._project, start, end)
        known = rows.select([name for name in contract.known_before() if name in rows.schema.names])
        outcomes = rows[contract.target]
        waiting: dict[int, Rows] = {}  # feedback, by the first row of its batch
        events = timeline(times, np.timedelta64(self._delay))
        begin = time.monotonic()
        with closing(self._connection):
            for event in track(events, f"replay to {self._url}", len(events)):
                if self._speed:
                    passed = (event.moment - times[0]) / np.timedelta64(1, "s")
                    self._sleep(begin + passed / self._speed - time.monotonic())
                batch = slice(event.start, event.stop)
                if not event.is_outcome:
                    waiting[event.start] = self._predict(known[batch], outcomes[batch].to_pylist())
                elif feedback := waiting.pop(event.start):
                    answers = self._post("/feedback", feedback)
                    self.delivered += sum(len(places) for places, _ in answers)
        if not self.answered:
            raise CheckError(f"{self._url} refused every row: {self.refused['/predict'][0]}")

    def _sleep(self, seconds: float) -> None:
        if seconds > IDLE:
            self._connection.close()  # the next request opens it again
        time.sleep(max(seconds, 0))

    def _predict(self, rows: pa.Table, outcomes: list[Any]) -> Rows:
        """The feedback to give on the rows that were answered."""
        feedback: Rows = []
        for places, reply in self._post("/predict", rows.to_pylist()):
            self.answered += len(places)
            about = ((row, outcomes[place]) for row, place in enumerate(places))
            of = {"request_id": reply["request_id"]}
            feedback += [{**of, "row": row, "outcome": outcome} for row, outcome in about]
        return feedback

    def _post(self, path: str, rows: Rows) -> list[tuple[list[int], dict[str, Any]]]:
        """Each answer, and the places of its rows in `rows`: without those that are refused."""
        waiting, answers = [[*range(len(rows))]], []
        while waiting:
            places, most = waiting.pop(), self._max_rows
            if len(places) > most:
                waiting += [places[most:], places[:most]]
                continue
            status, reply = self._ask(path, [rows[place] for place in places])
            row, error = reply.get("row"), reply.get("error", "it is not this project's service")
            if status == 200 and "request_id" in reply:
                answers.append((places, reply))
            elif status == 413 and len(places) > 1:
                self._max_rows = len(places) // 2
                waiting.append(places)
            elif status == 422 and row is not None:
                self.refused[path].append(error.removeprefix(f"Row {row}: "))
                del places[row]
                waiting += [places] if places else []
            else:
                keys = f"; set {settings.prefix(self._project)}API_KEYS as the service has it"
                refused = f"{self._url}{path} answered with status {status}: {error}"
                raise UserError(refused + keys * (status == 401))
        return answers

    def _ask(self, path: str, rows: Rows) -> tuple[int, dict[str, Any]]:
        try:
            body = msgspec.json.encode(rows)
            self._connection.request("POST", f"{self._base}{path}", body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            remedy = f"start a service with '{self._project.command} serve --demo'"
            fault = f"{self._url} does not answer ({first_line(error)})"
            raise UserError(f"{fault}; {remedy}") from None
        try:
            return answer.status, msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return answer.status, {}


def timeline(times: np.ndarray, delay: np.timedelta64) -> list[Event]:
    """What happens when: the rows of an hour are predicted at once, and so are their outcomes."""
    hours = times.astype("datetime64[h]")
    cuts = (np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist()
    batches = [*zip([0, *cuts], [*cuts, len(times)], strict=True)]
    asked = [Event(times[start], False, start, stop) for start, stop in batches]
    return sorted(asked + [Event(times[each.stop - 1] + delay, True, *each[2:]) for each in asked])


def rows_of(
    project: Project, start: datetime | None, end: datetime | None
) -> tuple[contracts.Contract, np.ndarray, pa.Table]:
    """The contract, and the times and rows of the source in the span, sorted by time.

    Raises:
        UserError: when there are none, or rows have no time.
    """
    contract, params = contracts.load(), sections.load(Ingest)
    if contract.time is None:
        raise UserError(f"{CONTRACT} names no time column; replay needs one to order the rows")
    start = start or params.until or datetime.min
    span = f"from {start} on" + f" and before {end}" * (end is not None)
    none = UserError(f"{SOURCE} has no row {span}; choose --from and --to, or add its months")
    if end is not None and end <= start:
        raise none
    source = read(project.source(), params.model_copy(update={"until": end}))
    rows = ingest(source, end, contract)
    rows = rows.filter(pc.greater_equal(rows[contract.time], start))
    if not len(rows):
        raise none
    return contract, rows[contract.time].to_numpy(), rows
