"""log: answers and outcomes, one line of JSON for each request, appended before it is answered.

An answer that was given is in the log even after `kill -9`, since each line is one `write`. Each
process has a file a day (UTC), such as `2026-11-28-4711-9f86d081.jsonl`, and several processes may
share a folder. `log compact` makes Parquet of the files of past days; log_files.read reads both.

A file describes the columns of a model before the first answer of it, so it can be read without the
project that wrote it.

Of personal columns, and of the features that are made from them, strings are hashed with a key
(HMAC-SHA256, RFC 2104), so that rows of one person still belong together. Without a key they are
null, and so is all that is no string: few numbers are possible, so that any hash can be reversed.
"""

import hmac
import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
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

STANDARD_OUTPUT = Path("-")  # in place of a folder
LOGGER = logging.getLogger(__name__)


class ModelLine(msgspec.Struct, tag="model", tag_field="line"):
    """The columns of a model's answers, raw ones and features by type, and its classes."""

    model_version: str
    raw: Mapping[str, str]
    features: Mapping[str, str]  # number or string
    classes: list[str]


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


Line = ModelLine | Answered | Outcome
ENCODER = msgspec.json.Encoder()


class PredictionLog:
    """The log of one process, in a folder or on standard output.

    Rows that cannot be written are lost: `count(written, lost)` counts them, and they are reported
    when the first is lost, and by `close`. No request fails because of them.
    """

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        count: Callable[[int, int], object],
        key: bytes | None = None,
    ) -> None:
        """`key` hashes what is personal."""
        self._folder, self._count = folder, count
        self._raw = {name: contract.columns[name].type for name in contract.known_before()}
        self._personal = {name for name in self._raw if contract.columns[name].personal}
        self._key, self._classes = key, contract.class_names
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file: FileIO | None = None
        self._models: set[str] = set()  # described in this file
        self._lost, self._losing = 0, False

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
        """Append the rows of a request; False when they are lost.

        Args:
            request_id: of the request; its rows are numbered from 0.
            raw: the contract's columns as plain values, None where missing.
            features: the model's features, float32 or strings.
            answers: what the scorer answered.
            model_version: of the model that answered.
            personal: the features that are made from a personal column.
            role: champion or shadow.
        """
        now = datetime.now(UTC)
        arrays = {name: part.tolist() for name, part in vars(answers).items() if part is not None}
        lists = {name: values.tolist() for name, values in features.items()}
        raw = {**raw, **{name: self._hidden(raw[name]) for name in self._personal}}
        lists |= {name: self._hidden(lists[name]) for name in personal if name in lists}
        line = Answered(now, request_id, role, model_version, raw, lists, arrays)
        return self._append([line], len(answers.prediction), features)

    def feedback(self, outcomes: Sequence[tuple[str, int, Any]]) -> bool:
        """Append true outcomes (request_id, row, outcome); False when they are lost."""
        now = datetime.now(UTC)
        return self._append([Outcome(now, *each) for each in outcomes], len(outcomes))

    def _hidden(self, values: Iterable[Any]) -> list[str | None]:
        """Strings as their hash, if there is a key; all else as null."""
        key = self._key
        return [
            hmac.new(key, value.encode(), "sha256").hexdigest()
            if key and isinstance(value, str)
            else None
            for value in values
        ]

    def close(self) -> None:
        """Report how many rows were lost, and close the file."""
        if self._lost:
            LOGGER.error("%d rows of the prediction log were lost", self._lost)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(
        self, lines: Sequence[Any], rows: int, features: Mapping[str, np.ndarray] | None = None
    ) -> bool:
        first, models = lines[0], []
        try:
            file = self._file_of(first.time.date().isoformat())
            if features is not None and first.model_version not in self._models:
                numbers = {name: each.dtype.kind == "f" for name, each in features.items()}
                kinds = {name: "number" if of else "string" for name, of in numbers.items()}
                models = [ModelLine(first.model_version, self._raw, kinds, self._classes)]
            self._write(ENCODER.encode_lines([*models, *lines]), file)
        except (OSError, TypeError, msgspec.MsgspecError) as error:
            self._lost += rows
            self._count(0, rows)
            if not self._losing:
                LOGGER.error("rows of the prediction log are lost: %s", first_line(error))
            self._losing = True
            return False
        self._models.update(model.model_version for model in models)
        self._losing = False
        self._count(rows, 0)
        return True

    def _file_of(self, day: str) -> FileIO:
        """The file of the day, opened again when it has been moved or removed."""
        if self._folder == STANDARD_OUTPUT:
            self._file = self._file or FileIO(os.dup(1), "a")
            return self._file
        path = self._folder / f"{day}-{self._name}.jsonl"
        if self._file is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(self._file.fileno())):
                    return self._file
            self._file.close()
            self._file = None
        self._folder.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        self._file = FileIO(path, "a")
        self._models.clear()
        return self._file

    def _write(self, data: bytes, file: FileIO) -> None:
        """Append whole lines, or nothing."""
        written = file.write(data)
        if written < len(data):  # the disk is full: remove the part of the line
            if self._folder != STANDARD_OUTPUT:
                file.truncate(os.fstat(file.fileno()).st_size - written)
            raise OSError("no space left on the device")
