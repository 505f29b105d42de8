"""Append answers and outcomes to the prediction log, one JSON line for each request.

Each line is a single `write` before the response is sent, so an answer that a client received is in
the log even after `kill -9`. Each process writes one file per day (UTC), for example
`2026-11-28-4711-9f86d081.jsonl`, so several processes can share a folder. `log compact` converts
the files of past days to Parquet; log_files.read reads both formats.

A file describes the columns of a model before its first answer, so it can be read without the
project that wrote it.

Strings in personal columns, and in features computed from them, are hashed with a key (HMAC-SHA256,
RFC 2104), so that rows of one person still belong together. Without a key they become null, and so
do all other personal values: there are so few possible numbers that any hash can be reversed.
"""

import hmac
import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import first_line
from machinery.pipeline.model.answers import Answers

from .rows import Columns

STANDARD_OUTPUT = Path("-")  # instead of a folder
LOGGER = logging.getLogger(__name__)


class ModelLine(msgspec.Struct, tag="model", tag_field="line"):
    """The types of a model's raw columns and features, and its classes."""

    model_version: str
    raw: Mapping[str, str]
    features: Mapping[str, str]  # number or string
    classes: list[str]


class AnswersLine(msgspec.Struct, tag="answers", tag_field="line", gc=False):
    """The rows of a request and their answers, by column; `answers` has the arrays of Answers."""

    time: datetime
    request_id: str
    role: str
    model_version: str
    raw: Columns
    features: Columns
    answers: Columns


class OutcomeLine(msgspec.Struct, tag="outcome", tag_field="line", gc=False):
    """The true outcome of one row."""

    time: datetime
    request_id: str
    row: int
    outcome: bool | int | float | str | None


Line = ModelLine | AnswersLine | OutcomeLine


class PredictionLog:
    """The log of one process, in a folder or on standard output.

    Rows that cannot be written are lost: `count(written, lost)` counts them, and the log reports
    the first loss and, in `close`, the total. No request fails because of them.
    """

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        count: Callable[[int, int], object],
        key: bytes | None = None,
    ) -> None:
        """Prepare the log; `key` hashes personal values."""
        self._folder, self._count = folder, count
        self._raw = {name: contract.columns[name].type for name in contract.known_before()}
        self._personal = [name for name in self._raw if contract.columns[name].personal]
        self._key, self._classes = key, contract.class_names
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._models: set[str] = set()  # described in the current file
        self._lost, self._is_failing = 0, False

    def answers(
        self,
        request_id: str,
        raw: Columns,
        features: Mapping[str, np.ndarray],
        answers: Answers,
        *,
        model_version: str,
        personal: Collection[str] = (),
        role: str = "champion",
    ) -> bool:
        """Append the rows of a request; False if they are lost.

        `raw` has the columns of the contract as plain values, None where missing; `features` those
        of the model, float32 or strings, and `personal` names those computed from a personal
        column; `role` is champion or shadow.
        """
        columns = {**raw, **{name: self._hash(raw[name]) for name in self._personal}}
        arrays = {name: part.tolist() for name, part in vars(answers).items() if part is not None}
        values = {name: array.tolist() for name, array in features.items()}
        values |= {name: self._hash(values[name]) for name in personal if name in values}
        now = datetime.now(UTC)
        line = AnswersLine(now, request_id, role, model_version, columns, values, arrays)
        types = {
            name: "number" if array.dtype.kind == "f" else "string"
            for name, array in features.items()
        }
        model = ModelLine(model_version, self._raw, types, self._classes)
        return self._append([line], len(answers.prediction), model)

    def feedback(self, outcomes: Iterable[tuple[str, int, Any]]) -> bool:
        """Append true outcomes (request_id, row, outcome); False if they are lost."""
        now = datetime.now(UTC)
        lines = [OutcomeLine(now, *outcome) for outcome in outcomes]
        return self._append(lines, len(lines))

    def close(self) -> None:
        """Report how many rows were lost."""
        if self._lost:
            LOGGER.error("%d rows of the prediction log were lost", self._lost)

    def _hash(self, values: Iterable[Any]) -> list[str | None]:
        """The hashes of strings, if there is a key; null for everything else."""
        key = self._key
        return [
            hmac.new(key, value.encode(), "sha256").hexdigest()
            if key and isinstance(value, str)
            else None
            for value in values
        ]

    def _append(
        self,
        lines: Sequence[AnswersLine | OutcomeLine],
        rows: int,
        model: ModelLine | None = None,
    ) -> bool:
        """Append the lines, after the description of their model if the file lacks it."""
        try:
            with self._open(lines[0].time) as file:
                if file.seekable() and not file.tell():
                    self._models.clear()  # a new file
                is_new = model is not None and model.model_version not in self._models
                data = msgspec.json.Encoder().encode_lines([model, *lines] if is_new else lines)
                written = file.write(data)
                if written < len(data):  # the disk is full: remove the partial line
                    if self._folder != STANDARD_OUTPUT:
                        file.truncate(file.tell() - written)
                    raise OSError("no space left on the device")
        except (OSError, TypeError, msgspec.MsgspecError) as error:
            self._lost += rows
            self._count(0, rows)
            if not self._is_failing:
                LOGGER.error("rows of the prediction log are lost: %s", first_line(error))
            self._is_failing = True
            return False
        if model is not None:
            self._models.add(model.model_version)
        self._is_failing = False
        self._count(rows, 0)
        return True

    def _open(self, time: datetime) -> FileIO:
        """Open the file of the day for appending; only its owner may read it."""
        if self._folder == STANDARD_OUTPUT:
            return FileIO(1, "a", closefd=False)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{time:%Y-%m-%d}-{self._name}.jsonl"
        return FileIO(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
