"""log_files: the folder of a prediction log in; a table of its rows, or its past days as Parquet.

A file of JSON lines becomes Parquet files of its name under `answers/day=…/` and `feedback/day=…/`,
and is removed once all of them are in place. As long as it is there, it alone counts: whatever a
compaction that was killed has left is not read, and is written again by the next one.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.files import UserError, first_line
from machinery.pipeline.model.answers import Answers, answer_columns

from .log import Answered, Line, ModelLine, Outcome, Types

TIME = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]
FEATURES = {"number": pa.float32(), "string": pa.string()}
ARRAYS = {"prediction": float, "decision": int, "members": bool, "low": float, "high": float}
BATCH_ROWS = 20_000
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
    `outcome_time`, null where no feedback came. The newest feedback of any later day counts. A line
    or a file that cannot be read is left out with a warning that names it.

    Raises:
        UserError: when there are no answers, or a column changed its type between models.
    """
    answers = _read(folder, "answers", days)
    if answers is None:
        when = "any day" if days is None else ", ".join(days)
        raise UserError(f"{folder} holds no answers of {when}; check the folder's name")
    later = None if days is None else [day for day in _days(folder) if day >= min(days)]
    joined = _join(answers, _read(folder, "feedback", later))
    return joined.sort_by([("time", "ascending"), *((name, "ascending") for name in KEY)])


def compact(folder: Path, now: datetime | None = None) -> Compacted:
    """Make Parquet of the files of past days. It may be killed and repeated at any moment.

    Raises:
        UserError: when a file cannot be written.
    """
    today = ((now or datetime.now(UTC)) - MARGIN).date().isoformat()
    rows, files, damaged = 0, 0, []
    for path in sorted(folder.glob("*.jsonl")):
        if path.name[:DAY] < today:
            lines = Lines(path)
            try:
                written = _compact(lines, folder)
            except OSError as error:
                raise UserError(f"{path} cannot be compacted: {first_line(error)}") from error
            rows, files = rows + sum(written), files + len(written)
            damaged += [path] * bool(lines.damaged)
            if lines.damaged and not lines.torn:
                path.rename(path.with_suffix(".damaged"))  # more than the last line: keep it
            else:
                path.unlink()
    return Compacted(rows, files, damaged)


class Lines:
    """A file of JSON lines; `damaged` counts those that cannot be read, `torn` if only the last."""

    def __init__(self, path: Path) -> None:
        self.path, self.damaged, self.torn = path, 0, False

    def tables(self, kind: str | None = None) -> Iterator[tuple[str, tuple[Any, ...], pa.Table]]:
        """Tables of `answers` and `feedback`, each with its kind and its layout."""
        batches: dict[tuple[Any, ...], Batch] = {}
        for layout, record in self._records():
            if kind not in (None, layout[0]):
                continue
            batch = batches.setdefault(layout, Batch())
            if batch.add(record) >= BATCH_ROWS:
                yield layout[0], layout, batches.pop(layout).table(layout)
        for layout, batch in batches.items():
            yield layout[0], layout, batch.table(layout)

    def _records(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Each answer or outcome with the layout of its table."""
        types, features = Types({}, "number", []), dict[str, dict[str, str]]()
        self.damaged, self.torn = 0, False
        with self.path.open("rb") as file:
            for text in file:
                try:
                    record = DECODER.decode(text)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    self.damaged += 1
                    self.torn = self.damaged == 1 and not text.endswith(b"\n")
                    continue
                match record:
                    case Types():
                        types = record
                        columns = tuple(types.raw.items())
                        classes = tuple(types.classes)
                    case ModelLine():
                        features[record.model_version] = record.features
                    case Answered():
                        made = tuple(features.get(record.model_version, {}).items())
                        yield ("answers", columns, made, classes), record
                    case Outcome():
                        yield ("feedback", types.target), record
        if self.damaged:
            LOGGER.warning("%s: %d lines cannot be read", self.path, self.damaged)


class Batch:
    """Records of one layout, which become one table."""

    def __init__(self) -> None:
        self._records: list[Any] = []
        self._rows = 0

    def add(self, record: Any) -> int:
        """Add a record; the number of rows so far."""
        self._records.append(record)
        self._rows += _rows(record)
        return self._rows

    def table(self, layout: tuple[Any, ...]) -> pa.Table:
        """The rows of all records."""
        if layout[0] == "feedback":
            return _outcomes(self._records, layout[1])
        return _answers(self._records, *layout[1:])


def _rows(record: Answered | Outcome) -> int:
    return len(record.answers["prediction"]) if isinstance(record, Answered) else 1


def _answers(records: list[Answered], raw: Any, features: Any, classes: Sequence[str]) -> pa.Table:
    lengths = [_rows(each) for each in records]

    def repeated(values: list[Any], kind: pa.DataType) -> pa.Array:
        places = np.repeat(np.arange(len(records)), lengths)
        return pa.array(values, kind).take(pa.array(places))

    def joined(part: str, name: str) -> list[Any]:
        columns = (
            getattr(each, part).get(name) or [None] * length
            for each, length in zip(records, lengths, strict=True)
        )
        return [value for column in columns for value in column]

    columns = {
        "request_id": repeated([each.request_id for each in records], pa.string()),
        "row": pa.array(np.concatenate([np.arange(each, dtype=np.int32) for each in lengths])),
        "time": repeated([each.time for each in records], TIME),
        "role": repeated([each.role for each in records], pa.string()),
        "model_version": repeated([each.model_version for each in records], pa.string()),
    }
    for name, kind in raw:
        columns[f"raw_{name}"] = _typed(joined("raw", name), kind)
    for name, kind in features:
        columns[f"feature_{name}"] = pa.array(joined("features", name), FEATURES[kind])
    names = records[0].answers
    answers = Answers(**{name: np.array(joined("answers", name), ARRAYS[name]) for name in names})
    return pa.table(columns | answer_columns(answers, classes))


def _outcomes(records: list[Outcome], target: str) -> pa.Table:
    return pa.table(
        {
            "request_id": pa.array([each.request_id for each in records], pa.string()),
            "row": pa.array([each.row for each in records], pa.int32()),
            "time": pa.array([each.time for each in records], TIME),
            "outcome": _typed([each.outcome for each in records], target),
        }
    )


def _typed(values: list[Any], kind: str) -> pa.Array:
    if kind == "datetime":
        values = [None if each is None else datetime.fromisoformat(each) for each in values]
    return pa.array(values, arrow_type(kind))


def _compact(lines: Lines, folder: Path) -> list[int]:
    """Write the Parquet files of a file of lines; the rows of each."""
    day, stem = lines.path.name[:DAY], lines.path.stem
    writers: dict[tuple[Any, ...], pq.ParquetWriter] = {}
    paths: list[tuple[Path, Path]] = []
    rows: dict[tuple[Any, ...], int] = {}
    try:
        with ExitStack() as stack:
            for kind, layout, table in lines.tables():
                if layout not in writers:
                    path = folder / kind / f"day={day}" / f"{stem}.{len(writers)}.parquet"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part = path.with_name(f".{path.name}.part")
                    paths.append((part, path))
                    sink = stack.enter_context(open(part, "wb", opener=_private))  # noqa: PTH123
                    writer = pq.ParquetWriter(sink, table.schema, compression="zstd")
                    writers[layout] = stack.enter_context(writer)
                writers[layout].write_table(table)
                rows[layout] = rows.get(layout, 0) + table.num_rows
        for part, path in paths:
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        for part, _ in paths:
            part.unlink(missing_ok=True)
    return [*rows.values()]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _days(folder: Path) -> set[str]:
    days = {path.name[:DAY] for path in folder.glob("*.jsonl")}
    return days | {path.name.removeprefix("day=") for path in folder.glob("*/day=*")}


def _read(folder: Path, kind: str, days: Sequence[str] | None) -> pa.Table | None:
    wanted = sorted(_days(folder) if days is None else set(days))
    found = [table for day in wanted for table in _tables(folder, kind, day)]
    if not found:
        return None
    try:
        return pa.concat_tables(found, promote_options="default")
    except pa.ArrowException as error:
        raise UserError(
            f"{folder}: a column changed its type ({first_line(error)}); read fewer days"
        ) from error


def _tables(folder: Path, kind: str, day: str) -> list[pa.Table]:
    """The tables of a day; read again when a compaction has taken a file away meanwhile."""
    while True:
        lines = {path.stem: path for path in sorted(folder.glob(f"{day}-*.jsonl"))}
        tables = [
            table
            for path in sorted((folder / kind / f"day={day}").glob("[!.]*.parquet"))
            if path.name.split(".")[0] not in lines
            if (table := _parquet(path)) is not None
        ]
        try:
            for path in lines.values():
                tables += [table for _, _, table in Lines(path).tables(kind)]
        except FileNotFoundError:
            continue
        return tables


def _parquet(path: Path) -> pa.Table | None:
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        LOGGER.warning("%s is left out: %s", path, first_line(error))
        return None


def _join(answers: pa.Table, outcomes: pa.Table | None) -> pa.Table:
    """The answers with the outcome given last, and when."""
    names = ["outcome", "outcome_time"]
    if outcomes is None:
        empty = [pa.nulls(len(answers)), pa.nulls(len(answers), TIME)]
        return answers.append_column(names[0], empty[0]).append_column(names[1], empty[1])
    ordered = outcomes.sort_by([("time", "ascending")])
    last = [("outcome", "last"), ("time", "last")]
    newest = ordered.group_by(KEY, use_threads=False).aggregate(last)
    newest = newest.select([*KEY, "outcome_last", "time_last"]).rename_columns([*KEY, *names])
    return answers.join(newest, keys=KEY, join_type="left outer")
