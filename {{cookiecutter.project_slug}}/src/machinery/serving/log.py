"""log: answers and outcomes in, Parquet files by day out; no request waits for them (Rule 29).

A request hands its arrays over, which takes microseconds: they are appended to a journal before
anybody is answered, and so outlive the process, kill -9 included (log_journal). Another process
makes files of the journal (log_process, log_writer): `answers/day=2013-07-01/….parquet` and
`feedback/day=2013-07-03/….parquet` below the folder, each row on the day (UTC) that it was handed
over. Several processes may log to one folder.

The journal is the queue. While the disk is full, rows wait in memory; those that find the queue
full are dropped, and counted. A journal that cannot be written is counted and told, and fails no
request.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from machinery.pipeline.model.answers import Answers
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import first_line
from .log_complaints import Complaints
from .log_journal import Journal
from .log_process import LogProcess
from .log_records import Answered, ENCODER, Layout, Outcome, layout, pack, schema

FILE_ROWS = 10_000


class Limits(NamedTuple):
    """How much may wait, when it is written, and when a file is large enough for the next one.

    `file_bytes` are the journal's, several times those of the file that is made of them.
    """

    queue_rows: int = 100_000
    flush_seconds: float = 5.0
    file_bytes: int = 4_000_000


class Counters(NamedTuple):
    """How many rows wait now, how many were dropped, and how often a write or the writer failed."""

    queued_rows: int
    dropped_rows: int
    write_errors: int


class PredictionLog:
    """The log of one process; `close` it to write what still waits."""

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        limits: Limits | None = None,
        *,
        writes: bool = True,
    ) -> None:
        """Start the process that writes the files, if it `writes`; else recover() will."""
        self._limits = limits or Limits()
        rows = max(1, min(FILE_ROWS, self._limits.queue_rows // 2))
        self._journal = Journal(folder, schema(contract), rows, self._limits.file_bytes)
        self._layouts: dict[Any, tuple[int, Layout]] = {}
        self._unkept: deque[tuple[bytes, int, int]] = deque()  # what the disk did not take yet
        self._queued = 0  # rows at most, since it was last looked at
        self._dropped = self._errors = 0
        self._closed = False
        self._complaints = Complaints()
        self._process: LogProcess | None = None
        if writes:
            self._process = LogProcess(folder, self._journal.token, self._limits.flush_seconds)

    def answers(
        self,
        request_ids: Sequence[str],
        lengths: Sequence[int],
        raw: Mapping[str, np.ndarray],
        features: Mapping[str, np.ndarray],
        answers: Answers,
        *,
        model_version: str,
        role: str = "champion",
    ) -> bool:
        """Hand over the rows of requests that were scored together; False when they were dropped.

        Args:
            request_ids: of the requests; the rows of each are numbered from 0.
            lengths: how many rows each request has, one or more.
            raw: columns of the contract, typed as the features take them; one may be left out.
            features: the model's features, float32 or texts.
            answers: what the scorer answered.
            model_version: of the model that answered.
            role: champion or shadow.
        """
        now, rows = time.time_ns(), len(answers.prediction)
        if not self._has_room(rows):
            return False
        try:
            which = (role, model_version, *raw, None, *features)
            if which not in self._layouts:
                found = layout(role, model_version, raw, features, answers)
                self._layouts[which] = self._journal.layout(found), found
            number, known = self._layouts[which]
            parts = pack(known, raw, features, answers)
            record = ENCODER.encode(Answered(number, now, request_ids, lengths, parts))
        except Exception as error:  # of a feature that is a number now and a text then
            self._drop(rows, f"{rows} rows are lost: {first_line(error)}")
            return False
        self._put(record, rows, now)
        return True

    def feedback(self, request_id: str, row: int, outcome: Any) -> bool:
        """Hand over the true outcome of a row, typed as the target; False when it was dropped."""
        if not self._has_room(1):
            return False
        now = time.time_ns()
        self._put(ENCODER.encode(Outcome(now, request_id, row, outcome)), 1, now)
        return True

    def counters(self) -> Counters:
        """What became of the rows so far."""
        waiting, _ = self._journal.rows()
        failures = self._process.failures if self._process else 0
        return Counters(waiting + self._unkept_rows(), self._dropped, self._errors + failures)

    def look(self) -> None:
        """Try once more what failed: to write, and to have a writer; not after the end."""
        if self._closed:
            return
        self._keep()
        if self._process is not None:
            self._process.look()

    def seal(self) -> None:
        """Have what waits written now."""
        self._journal.seal()
        self._wake()

    def close(self, timeout: float = 10.0) -> None:
        """Have what waits written, and wait for that so many seconds.

        What is not written by then stays in the journal.
        """
        if self._closed:
            return
        self._closed = True
        self._keep()
        if lost := self._unkept_rows():
            self._unkept.clear()
            self._drop(lost, f"{lost} rows could not be written before the end")
        self._journal.close()
        if self._process is not None:
            self._process.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _has_room(self, rows: int) -> bool:
        if self._closed:
            self._drop(rows, "rows came after the end")
            return False
        if self._queued + rows > self._limits.queue_rows and (
            self._look() + rows > self._limits.queue_rows
        ):
            self._drop(rows, f"{self._dropped + rows} rows were dropped so far: the queue is full")
            self._wake()
            return False
        return True

    def _look(self) -> int:
        self._queued = sum(self._journal.rows()) + self._unkept_rows()
        return self._queued

    def _unkept_rows(self) -> int:
        return sum(rows for _, rows, _ in self._unkept)

    def _put(self, record: bytes, rows: int, time: int) -> None:
        self._queued += rows
        self._unkept.append((record, rows, time))
        self._keep()

    def _keep(self) -> None:
        """Append what the journal does not hold yet, whatever comes of it."""
        sealed = False
        try:
            while self._unkept:
                sealed |= self._journal.append(*self._unkept[0])
                self._unkept.popleft()
        except OSError as error:
            self._errors += 1
            self._complaints.tell(
                f"kill -9 would lose rows, the journal fails: {first_line(error)}"
            )
        if sealed:
            self._wake()

    def _wake(self) -> None:
        if self._process is not None:
            self._process.wake()

    def _drop(self, rows: int, why: str) -> None:
        self._dropped += rows
        self._complaints.tell(why)
