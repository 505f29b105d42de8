"""log: answers and outcomes in, Parquet files by day out; no request waits for them (Rule 29).

A request hands its arrays over, which takes microseconds; a thread makes tables of them and writes
them: `answers/day=2013-07-01/….parquet` and `feedback/day=2013-07-03/….parquet` below the folder,
each row on the day (UTC) that it was handed over. Several processes may log to one folder.

What was handed over outlives the process, kill -9 included: it stands in a journal before anybody
is answered (log_journal), whence the log that starts next in the folder takes it (log_recovery).
While the disk is full, rows wait in the queue; only those that find it full are dropped, and
counted. A journal that cannot be written is counted and told, and fails no request.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..contract import Contract
from ..files import first_line
from ..scoring import Answers
from .log_files import DayFiles
from .log_journal import Journal
from .log_recovery import recover
from .log_tables import (
    Answered,
    Blocks,
    Entry,
    File,
    Layout,
    Outcome,
    blocks,
    by_file,
    layout,
    tables,
)

LOGGER = logging.getLogger(__name__)
COMPLAIN_EVERY = 60.0  # seconds


class Limits(NamedTuple):
    """How much may wait, when it is written, and when a file is large enough for the next one."""

    queue_rows: int = 100_000
    flush_rows: int = 10_000
    flush_seconds: float = 5.0
    file_bytes: int = 4_000_000
    file_rows: int = 10_000


class Counters(NamedTuple):
    """What became of the rows since the start, and how many wait now.

    `recovered_rows` were killed processes', `torn_records` what these had not written whole.
    """

    queued_rows: int = 0
    written_rows: int = 0
    dropped_rows: int = 0
    write_errors: int = 0
    recovered_rows: int = 0
    torn_records: int = 0


class PredictionLog:
    """The log of one process; `close` it to write what still waits."""

    def __init__(self, folder: Path, contract: Contract, limits: Limits | None = None) -> None:
        """Start the thread. The folder is made with the first entry."""
        self._folder, self._contract = folder, contract
        self._limits, token = limits or Limits(), secrets.token_hex(4)
        self._files = DayFiles(folder, token, self._limits.file_bytes, self._limits.file_rows)
        self._journal = Journal(folder, token, contract)
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._waiting_rows = 0  # of those queued; the others are being written, or could not be
        self._queued = self._written = self._dropped = self._errors = 0
        self._recovered = self._torn = 0
        self._unkept = 0  # rows of those queued, at most, that stand in no journal
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

        The answers must not be changed afterwards.
        """
        now, rows = time.time_ns(), len(answers.prediction)
        which = (role, model_version, request_ids, lengths)
        try:
            columns = self._blocks(model_version, raw), self._blocks(model_version, features)
        except Exception as error:  # of a feature that is a number now and a text then
            with self._lock:
                self._dropped += rows
            self._complain(f"{rows} rows are lost: {first_line(error)}")
            return False
        return self._put(Answered(now, rows, *which, *columns, answers))

    def feedback(self, request_id: str, row: int, outcome: Any) -> bool:
        """Hand over the true outcome of a row, typed as the target; False when it was dropped."""
        return self._put(Outcome(time.time_ns(), 1, request_id, row, outcome))

    def counters(self) -> Counters:
        """What became of the rows so far."""
        with self._lock:
            now = (self._queued, self._written, self._dropped, self._errors)
            return Counters(*now, self._recovered, self._torn)

    def flush(self) -> None:
        """Write what waits, now, in this thread."""
        with self._flushing:
            with self._lock:
                entries, self._waiting, self._waiting_rows = self._waiting, [], 0
                segment = self._journal.rotate()
            for file, group in by_file(entries):
                self._add(file, group, segment)
            self._settle()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits and end the thread, within so many seconds.

        What is left stays in the journal for the next start, or is dropped if it is not there.
        """
        with self._lock:
            self._closing = True
        self._due.set()
        self._thread.join(timeout)
        with self._lock:
            lost = min(self._queued, self._unkept)
        self._lose(lost, f"{lost} rows could not be written before the end")
        if not self._thread.is_alive():  # else the lock on the journal ends with the process
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blocks(self, model_version: str, columns: Mapping[str, np.ndarray]) -> Blocks:
        which = (model_version, *columns)
        if which not in self._layouts:
            self._layouts[which] = layout(columns)
        return blocks(columns, self._layouts[which])

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
                self._keep(kept)
        if before < self._limits.flush_rows <= after:
            self._due.set()
        return kept is entry

    def _keep(self, entry: Entry) -> None:
        """Append to the journal, whatever comes of it."""
        try:
            self._journal.append(entry)
        except Exception as error:
            self._unkept += entry.rows
            self._errors += 1
            self._complain(f"kill -9 would lose rows, the journal fails: {first_line(error)}")

    def _run(self) -> None:
        self._come_what_may(self._recover)
        while not self._closing:
            self._due.wait(self._limits.flush_seconds)
            self._due.clear()
            self._come_what_may(self.flush)
        self._come_what_may(self.flush)

    def _come_what_may(self, do: Callable[[], None]) -> None:
        """A fault of the log is counted and told; it must end neither the thread nor a request."""
        dropped = self._dropped
        try:
            do()
        except Exception as error:
            with self._lock:
                self._errors += 1
            self._complain(f"the log failed: {first_line(error)}")
        if self._dropped > dropped:
            self._complain(f"{self._dropped} rows were dropped so far: the queue was full")

    def _recover(self) -> None:
        """Bring in what killed processes have left in the folder."""
        rows, torn, errors = recover(self._folder)
        with self._lock:
            self._recovered += rows
            self._torn += torn
            self._errors += len(errors)
        if rows or torn:
            LOGGER.warning("prediction log: %d rows of a killed process, %d torn", rows, torn)
        for error in errors:
            self._complain(f"a journal could not be recovered: {error}")

    def _add(self, file: File, group: list[Entry], segment: int) -> None:
        """Make tables of what belongs to one file; what they cannot hold is lost."""
        rows = sum(entry.rows for entry in group)
        try:
            made = tables(group, self._contract)
            self._files.add(file, made, segment)
        except Exception as error:  # of one group, which the others do not suffer for
            self._lose(rows, f"{rows} rows are lost: {first_line(error)}")
        else:
            lost = rows - sum(table.num_rows for table in made)
            self._lose(lost, f"{lost} rows fit no table")

    def _settle(self) -> None:
        """Write the files; rows that could not be written stay in the queue and in the journal."""
        done = self._files.write()
        waiting = self._files.waiting()
        with self._lock:
            self._queued -= done.rows
            self._written += done.rows
            self._errors += len(done.errors)
            if not self._waiting and not waiting:
                self._unkept = 0
        for error in done.errors:
            self._complain(f"rows could not be written: {error}")
        self._lose(done.lost, f"{done.lost} rows fit no file")
        self._journal.forget(waiting)

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
