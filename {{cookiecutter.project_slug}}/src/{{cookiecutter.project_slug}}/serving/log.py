"""log: answers and outcomes in, Parquet files by day out; no request waits for them (Rule 29).

A request hands its arrays over, which takes microseconds; a thread makes tables of them and writes
them: `answers/day=2013-07-01/….parquet` and `feedback/day=2013-07-03/….parquet` below the folder,
each row on the day (UTC) that it was handed over. Several processes may log to one folder.

What a flush has written is whole and stays, whatever happens to the process. kill -9 loses what was
handed over since: at most `flush_seconds` or `flush_rows` and the flush under way. While the disk
is full, rows wait in the queue; only those that find it full are dropped, and counted.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..contract import Contract
from ..files import first_line
from ..scoring import Answers
from .log_files import DayFiles
from .log_tables import Answered, Entry, Outcome, by_file, tables

LOGGER = logging.getLogger(__name__)
COMPLAIN_EVERY = 60.0  # seconds


class Limits(NamedTuple):
    """How much may wait, when it is written, and when a file is large enough for the next one."""

    queue_rows: int = 100_000
    flush_rows: int = 4_000
    flush_seconds: float = 5.0
    file_bytes: int = 4_000_000
    file_rows: int = 10_000


class Counters(NamedTuple):
    """What became of the rows since the start, and how many wait now."""

    queued_rows: int
    written_rows: int
    dropped_rows: int
    write_errors: int


class PredictionLog:
    """The log of one process; `close` it to write what still waits."""

    def __init__(self, folder: Path, contract: Contract, limits: Limits | None = None) -> None:
        """Start the thread. The folder is made with the first flush."""
        self._contract = contract
        self._limits = limits or Limits()
        self._files = DayFiles(folder, self._limits.file_bytes, self._limits.file_rows)
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._waiting_rows = 0  # of those queued; the others are being written, or could not be
        self._queued = self._written = self._dropped = self._errors = 0
        self._complained = -COMPLAIN_EVERY
        self._due, self._closing, self._flushing = (threading.Event(), False, threading.Lock())
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

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
        """Hand over the rows of requests that were scored together; False when any were dropped.

        Args:
            request_ids: of the requests; the rows of each are numbered from 0.
            lengths: how many rows each request has, one or more.
            raw: columns of the contract, typed as the features take them; one may be left out.
            features: the model's features, float32 or texts.
            answers: what the scorer answered.
            model_version: of the model that answered; all its rows have the same features.
            role: champion or shadow.

        The arrays must not be changed afterwards.
        """
        now, rows = time.time_ns(), len(answers.prediction)
        which = (role, model_version, request_ids, lengths)
        return self._put(Answered(now, rows, *which, raw, features, answers))

    def feedback(self, request_id: str, row: int, outcome: Any) -> bool:
        """Hand over the true outcome of a row, typed as the target; False when it was dropped."""
        return self._put(Outcome(time.time_ns(), 1, request_id, row, outcome))

    def counters(self) -> Counters:
        """What became of the rows so far."""
        with self._lock:
            return Counters(self._queued, self._written, self._dropped, self._errors)

    def flush(self) -> None:
        """Write what waits, now, in this thread."""
        with self._flushing:
            with self._lock:
                entries, self._waiting, self._waiting_rows = self._waiting, [], 0
            for file, group in by_file(entries):
                made = tables(group, self._contract)
                lost = sum(entry.rows for entry in group) - sum(table.num_rows for table in made)
                self._lose(lost, f"{lost} rows fit no table")
                self._files.add(file, made)
            self._settle()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits and end the thread, within so many seconds; what is left is dropped."""
        with self._lock:
            self._closing = True
        self._due.set()
        self._thread.join(timeout)
        with self._lock:
            left = self._queued
        self._lose(left, f"{left} rows could not be written before the end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, entry: Answered | Outcome) -> bool:
        with self._lock:
            room = 0 if self._closing else self._limits.queue_rows - self._queued
            kept = entry if entry.rows <= room else entry.first(room)
            self._dropped += entry.rows - kept.rows
            self._queued += kept.rows
            before = self._waiting_rows
            self._waiting_rows = after = before + kept.rows
            if kept.rows:
                self._waiting.append(kept)
        if before < self._limits.flush_rows <= after:
            self._due.set()
        return kept is entry

    def _run(self) -> None:
        while not self._closing:
            self._due.wait(self._limits.flush_seconds)
            self._due.clear()
            self._flush_come_what_may()
        self._flush_come_what_may()

    def _flush_come_what_may(self) -> None:
        """A fault of the log is counted and told; it must end neither the thread nor a request."""
        dropped = self._dropped
        try:
            self.flush()
        except Exception as error:
            with self._lock:
                self._errors += 1
            self._complain(f"a flush failed: {first_line(error)}")
        if self._dropped > dropped:
            self._complain(f"{self._dropped} rows were dropped so far: the queue was full")

    def _settle(self) -> None:
        """Write the files; rows that could not be written stay in the queue."""
        done = self._files.write()
        with self._lock:
            self._queued -= done.rows
            self._written += done.rows
            self._errors += len(done.errors)
        for error in done.errors:
            self._complain(f"rows wait, since they could not be written: {error}")

    def _lose(self, rows: int, why: str) -> None:
        if not rows:
            return
        with self._lock:
            self._queued -= rows
            self._dropped += rows
        self._complain(why)

    def _complain(self, what: str) -> None:
        """Tell it, but not every time."""
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            LOGGER.warning("prediction log: %s", what)
