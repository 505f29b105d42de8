"""log: answers and outcomes in; one line of JSON for each request, appended to a file, out.

A worker appends each line with one `write` before it answers, so an answer that was given stands in
the log even after `kill -9`. Each process has a file a day (UTC) of its own, such as
`2026-11-28-4711-9f86d081.jsonl`, and several processes may log to one folder. `log compact` makes
Parquet of the files of past days; log_files.read reads both.

A file begins with the types of the contract's columns, and names the features of a model before the
first answer of it, so it can be read without the project that wrote it.
"""

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import first_line
from machinery.pipeline.model.answers import Answers

REPORT_SECONDS = 60.0  # between two reports of lost lines
LOGGER = logging.getLogger(__name__)

Columns = Mapping[str, Sequence[Any]]


class Types(msgspec.Struct, tag="types", tag_field="line"):
    """The contract's part: raw columns and the target by type, and the names of the classes."""

    raw: Mapping[str, str]
    target: str
    classes: list[str]


class ModelLine(msgspec.Struct, tag="model", tag_field="line"):
    """The features of a model, `number` or `string` each."""

    model_version: str
    features: dict[str, str]


class Answered(msgspec.Struct, tag="answers", tag_field="line", gc=False):
    """The rows of a request and their answers, by column; `answers` has the arrays of Answers."""

    time: datetime
    request_id: str
    role: str
    model_version: str
    raw: Any
    features: Any
    answers: Any


class Outcome(msgspec.Struct, tag="outcome", tag_field="line", gc=False):
    """The true outcome of one row."""

    time: datetime
    request_id: str
    row: int
    outcome: Any


Line = Types | ModelLine | Answered | Outcome
ENCODER = msgspec.json.Encoder()


class PredictionLog:
    """The log of one process.

    Lines that cannot be written are lost: they are counted by `count(rows written, rows lost)`, and
    reported at once, at most every minute, and by `close`. No request fails for them.
    """

    def __init__(
        self, folder: Path, contract: Contract, count: Callable[[int, int], object]
    ) -> None:
        self._folder, self._count = folder, count
        columns = contract.columns
        raw = {name: columns[name].type for name in contract.known_before()}
        self._types = Types(raw, columns[contract.target].type, contract.class_names)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._day, self._path = "", ""
        self._descriptor, self._size, self._inode = -1, 0, 0
        self._models: set[str] = set()  # named in this file
        self._lost = self._reported = 0
        self._report_at = 0.0

    def answers(
        self,
        request_id: str,
        raw: Columns,
        features: Mapping[str, np.ndarray],
        answers: Answers,
        *,
        model_version: str,
        role: str = "champion",
    ) -> bool:
        """Append the rows of a request; False when they are lost.

        Args:
            request_id: of the request; its rows are numbered from 0.
            raw: the contract's columns as plain values, None where missing.
            features: the model's features, float32 or strings.
            answers: what the scorer answered.
            model_version: of the model that answered.
            role: champion or shadow.
        """
        now = datetime.now(UTC)
        arrays = {name: part.tolist() for name, part in vars(answers).items() if part is not None}
        lists = {name: values.tolist() for name, values in features.items()}
        line = Answered(now, request_id, role, model_version, raw, lists, arrays)
        kinds = {
            name: "number" if values.dtype.kind == "f" else "string"
            for name, values in features.items()
        }
        return self._append([line], now, len(answers.prediction), ModelLine(model_version, kinds))

    def feedback(self, outcomes: Sequence[tuple[str, int, Any]]) -> bool:
        """Append true outcomes (request_id, row, outcome); False when they are lost."""
        now = datetime.now(UTC)
        return self._append([Outcome(now, *each) for each in outcomes], now, len(outcomes))

    def close(self) -> None:
        """Report what was lost, and close the file."""
        if self._lost:
            LOGGER.error("%d rows of the prediction log were lost", self._lost)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Append whole lines to the file of this process, or nothing.

        Raises:
            OSError: when they cannot be written, as on a full disk.
        """
        written = os.write(self._descriptor, data)
        if written < len(data):  # the disk is full: take the beginning of the line away again
            os.ftruncate(self._descriptor, self._size)
            raise OSError(f"no space left for {self._path}")
        self._size += written

    def open(self, day: str) -> None:
        """Open the file of the day, unless it is open and still lies where it was made."""
        if day == self._day and self._descriptor >= 0:
            with suppress(FileNotFoundError):  # somebody moved it, or its folder, away
                if os.stat(self._path).st_ino == self._inode:  # noqa: PTH116
                    return
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.mkdir(parents=True, exist_ok=True)
        path = str(self._folder / f"{day}-{self._name}.jsonl")
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        found = os.fstat(self._descriptor)
        self._day, self._path, self._size, self._inode = day, path, found.st_size, found.st_ino
        self._models.clear()

    def _append(
        self, lines: list[Any], now: datetime, rows: int, model: ModelLine | None = None
    ) -> bool:
        try:
            self.open(now.date().isoformat())
            if model is not None and model.model_version not in self._models:
                lines.insert(0, model)
            if self._size == 0:
                lines.insert(0, self._types)
            self.write(ENCODER.encode_lines(lines))
        except (OSError, TypeError, msgspec.MsgspecError) as error:
            self._lose(rows, first_line(error), now.timestamp())
            return False
        if model is not None:
            self._models.add(model.model_version)
        self._count(rows, 0)
        return True

    def _lose(self, rows: int, reason: str, now: float) -> None:
        self._lost += rows
        self._count(0, rows)
        if now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            new, self._reported = self._lost - self._reported, self._lost
            LOGGER.error("%d rows of the prediction log are lost: %s", new, reason)
