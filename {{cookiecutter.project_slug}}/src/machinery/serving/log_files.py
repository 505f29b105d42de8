"""log_files: the folder of a prediction log in; a table of its rows, or its past days as Parquet.

A file of JSON lines becomes Parquet files of its name under `answers/day=…/` and `feedback/day=…/`,
and is removed once all of them are in place. While it exists, it alone counts: what a compaction
that was killed has left is not read, and is written again by the next one.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.files import UserError, first_line, read_arrow, replace
from machinery.pipeline.model.answers import Answers, answer_columns

from .log import Answered, Line, ModelLine, Outcome

TIME = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]
FEATURES = {"number": pa.float32(), "string": pa.string()}
ARRAYS = {"prediction": float, "decision": int, "members": bool, "low": float, "high": float}
BATCH_BYTES = 50_000_000  # of lines, which become one Parquet file for each model
MARGIN = timedelta(minutes=1)  # after midnight, until which a line of yesterday may be written
DAY = 10  # characters of a date, with which names of files begin
LOGGER = logging.getLogger(__name__)
DECODER = msgspec.json.Decoder(Line)


class Compacted(NamedTuple):
    """How many rows went into how many Parquet files, and the files with unreadable lines."""

    rows: int
    files: int
    damaged: list[Path]


def read(folder: Path, days: Sequence[str] | None = None) -> pa.Table:
    """Every answer of the days (`2026-11-28`; all by default), in the order of time.

    Columns: request_id, row, time, role, model_version; `raw_*` as the contract types it;
    `feature_*` as the model saw it; the answer as in data/predictions.parquet; `outcome` and
    `outcome_time`, null where no feedback came. The newest feedback of any later day counts. Lines
    that cannot be read are left out, with a warning that names the file.

    Raises:
        UserError: when there are no answers, a Parquet file cannot be read, or a column changed its
            type between models.
    """
    answers = _read(folder, "answers", lambda day: days is None or day in days)
    if answers is None:
        when = "any day" if days is None else ", ".join(days)
        raise UserError(f"{folder} holds no answers of {when}; check the folder's name")
    outcomes = _read(folder, "feedback", lambda day: days is None or day >= min(days))
    joined = _join(answers, outcomes)
    return joined.sort_by([("time", "ascending"), *((name, "ascending") for name in KEY)])


def compact(folder: Path, now: datetime | None = None) -> Compacted:
    """Make Parquet of the files of past days. It may be killed and repeated at any moment.

    A file with lines that cannot be read is not removed but renamed to `.damaged`.

    Raises:
        UserError: when a file cannot be written.
    """
    today = ((now or datetime.now(UTC)) - MARGIN).date().isoformat()
    done = Compacted(0, 0, [])
    for path in sorted(folder.glob("*.jsonl")):
        if path.name[:DAY] >= today:
            continue
        lines = Lines(path)
        try:
            for number, (kind, table) in enumerate(lines.tables()):
                name = f"{path.stem}.{number}.parquet"
                _write(table, folder / kind / f"day={path.name[:DAY]}" / name)
                done = Compacted(done.rows + table.num_rows, done.files + 1, done.damaged)
            if lines.damaged:
                path.rename(path.with_suffix(".damaged"))
                done.damaged.append(path.with_suffix(".damaged"))
            else:
                path.unlink()
        except OSError as error:
            raise UserError(f"{path} cannot be compacted: {first_line(error)}") from error
    return done


class Lines:
    """A file of JSON lines; `damaged` counts those that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path, self.damaged = path, 0
        self._models: dict[str, ModelLine] = {}

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Tables of `answers`, each of one model, and of `feedback`."""
        with self.path.open("rb") as file:
            while texts := file.readlines(BATCH_BYTES):
                batches: dict[str | None, list[Any]] = {}
                for record in self._records(texts):
                    model = record.model_version if isinstance(record, Answered) else None
                    batches.setdefault(model, []).append(record)
                for model, records in batches.items():
                    yield self._table(model, records)
        if self.damaged:
            LOGGER.warning("%s: %d lines cannot be read", self.path, self.damaged)

    def _records(self, texts: list[bytes]) -> Iterator[Answered | Outcome]:
        for text in texts:
            try:
                record = DECODER.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.damaged += 1
                continue
            if isinstance(record, ModelLine):
                self._models[record.model_version] = record
            elif isinstance(record, Outcome) or record.model_version in self._models:
                yield record
            else:
                self.damaged += 1  # the line that describes its columns is damaged

    def _table(self, model: str | None, records: list[Any]) -> tuple[str, pa.Table]:
        if model is None:
            return "feedback", _outcomes(records)
        return "answers", _answers(records, self._models[model])


def _answers(records: list[Answered], model: ModelLine) -> pa.Table:
    lengths = [len(each.answers["prediction"]) for each in records]

    def repeated(name: str, kind: pa.DataType) -> pa.Array:
        places = np.repeat(np.arange(len(records)), lengths)
        return pa.array([getattr(each, name) for each in records], kind).take(pa.array(places))

    def joined(part: str, name: str) -> list[Any]:
        return [value for each in records for value in getattr(each, part)[name]]

    columns = {
        "request_id": repeated("request_id", pa.string()),
        "row": pa.array(np.concatenate([np.arange(each, dtype=np.int32) for each in lengths])),
        "time": repeated("time", TIME),
        "role": repeated("role", pa.string()),
        "model_version": repeated("model_version", pa.string()),
    }
    for name, kind in model.raw.items():
        values = joined("raw", name)
        if kind == "datetime":
            values = [each and datetime.fromisoformat(each) for each in values]
        columns[f"raw_{name}"] = pa.array(values, arrow_type(kind))
    for name, kind in model.features.items():
        columns[f"feature_{name}"] = pa.array(joined("features", name), FEATURES[kind])
    names = records[0].answers
    answers = Answers(**{name: np.array(joined("answers", name), ARRAYS[name]) for name in names})
    return pa.table(columns | answer_columns(answers, model.classes))


def _outcomes(records: list[Outcome]) -> pa.Table:
    return pa.table(
        {
            "request_id": [each.request_id for each in records],
            "row": pa.array([each.row for each in records], pa.int32()),
            "time": pa.array([each.time for each in records], TIME),
            "outcome": [each.outcome for each in records],
        }
    )


def _write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that only its owner may read, and that a power cut does not take."""

    def write(part: Path) -> None:
        with open(part, "wb", opener=_private) as file:  # noqa: PTH123
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())

    replace(path, write)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(folder: Path, kind: str, wanted: Callable[[str], bool]) -> pa.Table | None:
    """The rows of the wanted days; read again when a compaction has removed a file meanwhile."""
    while True:
        lines = [path for path in sorted(folder.glob("*.jsonl")) if wanted(path.name[:DAY])]
        stems = {path.stem for path in lines}
        tables = [
            read_arrow(path)
            for path in sorted(folder.glob(f"{kind}/day=*/[!.]*.parquet"))
            if wanted(path.name[:DAY]) and path.name.split(".")[0] not in stems
        ]
        try:
            for path in lines:
                tables += [table for of, table in Lines(path).tables() if of == kind]
            return pa.concat_tables(tables, promote_options="default") if tables else None
        except FileNotFoundError:
            continue
        except pa.ArrowException as error:
            raise UserError(
                f"{folder}: a column changed its type ({first_line(error)}); read fewer days"
            ) from error


def _join(answers: pa.Table, outcomes: pa.Table | None) -> pa.Table:
    """The answers with the outcome given last, and when."""
    names = ["outcome", "outcome_time"]
    if outcomes is None:
        nulls = [pa.nulls(len(answers)), pa.nulls(len(answers), TIME)]
        return answers.append_column(names[0], nulls[0]).append_column(names[1], nulls[1])
    ordered = outcomes.sort_by([("time", "ascending")])
    last = [("outcome", "last"), ("time", "last")]
    newest = ordered.group_by(KEY, use_threads=False).aggregate(last)
    newest = newest.select([*KEY, "outcome_last", "time_last"]).rename_columns([*KEY, *names])
    return answers.join(newest, keys=KEY, join_type="left outer")
