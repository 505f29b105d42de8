"""log_files: the folder of a prediction log in; a table of its rows, or its past days as Parquet.

A file of JSON lines becomes Parquet files of its name under `answers/day=…/` and `feedback/day=…/`,
and is removed once all of them are in place. While it exists, it alone counts: what a compaction
that was killed has left is not read, and is written again by the next one.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.files import UserError, first_line, read_arrow, replace
from machinery.pipeline.model.answers import Answers, answer_columns

from .log import Answered, Line, ModelLine, Outcome

TIME = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]
OUTCOME = ["outcome", "outcome_time"]
FEATURES = {"number": pa.float32(), "string": pa.string()}
ARRAYS = {"prediction": float, "decision": int, "members": bool, "low": float, "high": float}
BATCH_BYTES = 50_000_000  # of lines, which become one Parquet file for each model
MARGIN = timedelta(minutes=1)  # after midnight, until which a line of yesterday may be written
DAY = 10  # characters of a date, with which names of files begin
LOGGER = logging.getLogger(__name__)
FAULTS = (pa.ArrowException, AttributeError, LookupError, OverflowError, TypeError, ValueError)
DECODER = msgspec.json.Decoder(Line)


class Compacted(NamedTuple):
    """Rows that went into so many Parquet files, files with unreadable lines, days removed."""

    rows: int
    files: int
    damaged: list[Path]
    removed: list[str]


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
    answers = [*_tables(folder, "answers", lambda day: days is None or day in days)]
    if not answers:
        when = "any day" if days is None else ", ".join(days)
        raise UserError(f"{folder} holds no answers of {when}; check the folder's name")
    outcomes = newest_outcomes(folder, min(days or [""]))
    try:
        every = pa.concat_tables(answers, promote_options="default")
    except pa.ArrowException as error:
        raise UserError(
            f"{folder}: a column changed its type ({first_line(error)}); read fewer days"
        ) from error
    joined = with_outcomes(every, outcomes)
    return joined.sort_by([("time", "ascending"), *((name, "ascending") for name in KEY)])


def stream(
    folder: Path, damaged: Callable[[int], object], spread: ParallelMap = local_map
) -> Iterator[pa.Table]:
    """The answers of every day, file by file; `damaged` is called with lines that are unreadable.

    Columns are those of `read` without the outcome; a file has those of one model.
    """
    yield from _tables(folder, "answers", lambda _: True, damaged, spread)


def newest_outcomes(folder: Path, since: str = "") -> pa.Table | None:
    """The newest outcome of each row, from feedback of the day `since` on; None without any.

    Columns: request_id, row, outcome, outcome_time, and `times`, how often it was given.
    """
    tables = [*_tables(folder, "feedback", lambda day: day >= since)]
    if not tables:
        return None
    if len({table.schema.field("outcome").type for table in tables}) > 1:
        tables = [_cast(table, "outcome", pa.string()) for table in tables]
    ordered = pa.concat_tables(tables).sort_by([("time", "ascending")])
    last = [("outcome", "last"), ("time", "last"), ("time", "count")]
    newest = ordered.group_by(KEY, use_threads=False).aggregate(last)
    columns = [*KEY, "outcome_last", "time_last", "time_count"]
    return newest.select(columns).rename_columns([*KEY, *OUTCOME, "times"])


def with_outcomes(answers: pa.Table, outcomes: pa.Table | None) -> pa.Table:
    """The answers with the outcome given last, and when; null where there is none."""
    if outcomes is None:
        nulls = [pa.nulls(len(answers)), pa.nulls(len(answers), TIME)]
        return answers.append_column(OUTCOME[0], nulls[0]).append_column(OUTCOME[1], nulls[1])
    theirs = outcomes.filter(pc.is_in(outcomes["request_id"], answers["request_id"]))
    return answers.join(theirs.drop_columns("times"), keys=KEY, join_type="left outer")


def compact(folder: Path, now: datetime | None = None, keep_days: int | None = None) -> Compacted:
    """Make Parquet of the files of past days. It may be killed and repeated at any moment.

    A file with lines that cannot be read is not removed but renamed to `.damaged`. What is older
    than `keep_days` full days is removed; None keeps all.

    Raises:
        UserError: when a file cannot be written or removed.
    """
    date = ((now or datetime.now(UTC)) - MARGIN).date()
    today = date.isoformat()
    rows, files, damaged = 0, 0, []
    for path in sorted(folder.glob("*.jsonl")):
        day = path.name[:DAY]
        if day >= today:
            continue
        lines = Lines(path)
        try:
            for number, (kind, table) in enumerate(lines.tables()):
                _write(table, folder / kind / f"day={day}" / f"{path.stem}.{number}.parquet")
                rows, files = rows + table.num_rows, files + 1
            if lines.damaged:
                damaged.append(path.rename(path.with_suffix(".damaged")))
            else:
                path.unlink()
        except OSError as error:
            raise UserError(f"{path} cannot be compacted: {first_line(error)}") from error
    first = "" if keep_days is None else (date - timedelta(days=keep_days)).isoformat()
    return Compacted(rows, files, damaged, _remove(folder, first))


def _remove(folder: Path, first: str) -> list[str]:
    """Remove all that was logged before the `first` day to keep; the days removed."""
    removed = set()
    dated = ("answers/day={}", "feedback/day={}", "{}-*.damaged")
    for path in (path for name in dated for path in folder.glob(name.format("????-??-??"))):
        day = path.name.removeprefix("day=")[:DAY]
        if day < first:
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                raise UserError(f"{path} cannot be removed: {first_line(error)}") from error
            removed.add(day)
    return sorted(removed)


class Lines:
    """A file of JSON lines; `damaged` counts those that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path, self.damaged = path, 0

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Tables of `answers`, each of one model, and of `feedback`."""
        models: dict[str, ModelLine] = {}
        with self.path.open("rb") as file:
            while texts := file.readlines(BATCH_BYTES):
                answers: dict[str, list[Answered]] = {}
                outcomes: list[Outcome] = []
                for text in texts:
                    match _record(text):
                        case ModelLine() as model:
                            models[model.model_version] = model
                        case Outcome() as outcome:
                            outcomes.append(outcome)
                        case Answered(model_version=version) as answered if version in models:
                            answers.setdefault(version, []).append(answered)
                        case _:  # or the line that describes its columns is damaged
                            self.damaged += 1
                for version, records in answers.items():
                    make = partial(_answers, model=models[version])
                    yield from self._made("answers", make, records)
                if outcomes:
                    yield from self._made("feedback", _outcomes, outcomes)
        if self.damaged:
            LOGGER.warning("%s: %d lines cannot be read", self.path, self.damaged)

    def _made(
        self, kind: str, make: Callable[[Any], pa.Table], records: list[Any]
    ) -> Iterator[tuple[str, pa.Table]]:
        """The table of the records, without those that are JSON and yet no line of a log."""
        try:
            yield kind, make(records)
        except FAULTS:
            good = [each for each in records if _makes(make, each)]
            self.damaged += len(records) - len(good)
            if good:
                yield kind, make(good)


def _makes(make: Callable[[Any], pa.Table], record: Any) -> bool:
    try:
        make([record])
    except FAULTS:
        return False
    return True


def _record(text: bytes) -> Line | None:
    try:
        record: Line = DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return record


def _answers(records: list[Answered], model: ModelLine) -> pa.Table:
    rows = [(each, row) for each in records for row in range(len(each.answers["prediction"]))]

    def joined(part: str, name: str) -> list[Any]:
        return [value for each in records for value in getattr(each, part)[name]]

    columns = {
        "request_id": pa.array([each.request_id for each, _ in rows]),
        "row": pa.array([row for _, row in rows], pa.int32()),
        "time": pa.array([each.time for each, _ in rows], TIME),
        "role": pa.array([each.role for each, _ in rows]),
        "model_version": pa.array([each.model_version for each, _ in rows]),
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
            "outcome": _values([each.outcome for each in records]),
        }
    )


def _values(outcomes: list[Any]) -> pa.Array:
    """Outcomes of one type, or as text: feedback before and after the contract was changed.

    Raises:
        TypeError: for a list or an object, which is no outcome.
    """
    if any(isinstance(each, list | dict) for each in outcomes):
        raise TypeError("a list or an object is no outcome")
    try:
        return pa.array(outcomes)
    except pa.ArrowException:
        return pa.array([each if isinstance(each, str) else json.dumps(each) for each in outcomes])


def _of_lines(kind: str, path: Path) -> tuple[list[pa.Table], int] | None:
    """The tables of a file of lines, and how many cannot be read; None where it is gone."""
    lines = Lines(path)
    with suppress(FileNotFoundError):
        return [table for of, table in lines.tables() if of == kind], lines.damaged
    return None


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, table[name].cast(kind))


def _write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that only its owner may read, and that a power cut does not take."""

    def write(part: Path) -> None:
        part.touch(0o600)
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())

    replace(path, write)


def _tables(
    folder: Path,
    kind: str,
    wanted: Callable[[str], bool],
    damaged: Callable[[int], object] = lambda _: None,
    spread: ParallelMap = local_map,
) -> Iterator[pa.Table]:
    """Tables of the wanted days; what a compaction makes Parquet meanwhile is read once."""
    stems = set()
    every = (path for path in sorted(folder.glob("*.jsonl")) if path.is_file())
    paths = [path for path in every if wanted(path.name[:DAY])]
    reads = paths[:1]  # the oldest stands for all: the newest may still grow
    for path, read in zip(paths, spread(_of_lines, kind, paths, reads=reads), strict=True):
        if read is not None:
            tables, count = read
            yield from tables
            damaged(count)
            stems.add(path.stem)
        elif path.exists():
            raise UserError(f"{path} is not there for every worker; give them the whole folder")
    for path in sorted(folder.glob(f"{kind}/day=*/[!.]*.parquet")):
        day = path.parent.name.removeprefix("day=")
        if wanted(day) and path.name.split(".")[0] not in stems:
            yield read_arrow(path)
