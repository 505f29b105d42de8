"""Read the folder of a prediction log, and convert its past days to Parquet.

A file of JSON lines becomes Parquet files of the same name in `answers/day=…/` and
`feedback/day=…/`, and is removed once all of them are written. While it exists, it alone is read:
the Parquet files of an interrupted compaction are ignored, and the next compaction overwrites them.
"""

import json
import logging
import os
import shutil
from collections import Counter
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

from .log import AnswersLine, Line, ModelLine, OutcomeLine

TIME = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]
OUTCOME = ["outcome", "outcome_time"]
FEATURES = {"number": pa.float32(), "string": pa.string()}
ARRAYS = {"prediction": float, "decision": int, "members": bool, "low": float, "high": float}
BATCH_BYTES = 50_000_000  # of lines, which become one Parquet file for each model
MARGIN = timedelta(minutes=1)  # after midnight, lines of yesterday may still be written
DAY = slice(10)  # the date at the start of a file name
LOGGER = logging.getLogger(__name__)
FAULTS = (pa.ArrowException, LookupError, OverflowError, TypeError, ValueError)


class Compacted(NamedTuple):
    """Rows and Parquet files written, files with unreadable lines, and days removed."""

    rows: int
    files: int
    damaged: list[Path]
    removed: list[str]


def read(folder: Path, days: Sequence[str] | None = None) -> pa.Table:
    """The answers of the days (e.g. `2026-11-28`; all by default), ordered by time.

    Columns: request_id, row, time, role, model_version; `raw_*` with the types of the contract;
    `feature_*` as passed to the model; the answer as in data/predictions.parquet; `outcome` and
    `outcome_time`, null without feedback. The latest feedback counts, whatever its day. Unreadable
    lines are left out, with a warning that names the file.

    Raises:
        UserError: if there are no answers, a Parquet file cannot be read, or a column has another
            type in another model.
    """
    answers = [*stream(folder, days=days)]
    if not answers:
        when = "any day" if days is None else ", ".join(days)
        raise UserError(f"{folder} contains no answers of {when}; check the folder's name")
    try:
        table = pa.concat_tables(answers, promote_options="default")
    except pa.ArrowException as error:
        raise UserError(
            f"{folder}: a column changed its type ({first_line(error)}); read fewer days"
        ) from error
    joined = with_outcomes(table, newest_outcomes(folder))
    return joined.sort_by([(name, "ascending") for name in ("time", *KEY)])


def stream(
    folder: Path,
    damaged: Callable[[int], object] = lambda _: None,
    spread: ParallelMap = local_map,
    *,
    kind: str = "answers",
    days: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """The answers of the days (or their feedback), in tables of one model each.

    Columns are those of `read` without the outcome. `damaged` is called with the number of
    unreadable lines of each file. A file that is compacted meanwhile is read once.
    """
    stems = set()
    files = (path for path in sorted(folder.glob("*.jsonl")) if path.is_file())
    paths = [path for path in files if days is None or path.name[DAY] in days]
    reads = paths[:1]  # enough to compare the folders: newer files may still grow
    for path, result in zip(paths, spread(_read_lines, kind, paths, reads=reads), strict=True):
        if result is not None:
            tables, count = result
            yield from tables
            damaged(count)
            stems.add(path.stem)
        elif path.exists():
            raise UserError(f"{path} is missing on a worker; give all workers the whole folder")
    for path in sorted(folder.glob(f"{kind}/day=*/[!.]*.parquet")):
        day = path.parent.name.removeprefix("day=")
        if (days is None or day in days) and path.name.split(".")[0] not in stems:
            yield read_arrow(path)


def newest_outcomes(folder: Path) -> pa.Table | None:
    """The latest outcome of each row; None without feedback.

    Columns: request_id, row, outcome, outcome_time, and `times`, the number of outcomes received.
    """
    tables = [*stream(folder, kind="feedback")]
    if not tables:
        return None
    types = {table.schema.field("outcome").type for table in tables}
    if len(types) > 1 or pa.null() in types:  # which Arrow cannot aggregate
        text = pa.field("outcome", pa.string())
        tables = [table.cast(table.schema.set(table.num_columns - 1, text)) for table in tables]
    ordered = pa.concat_tables(tables).sort_by([("time", "ascending")])
    last = [("outcome", "last"), ("time", "last"), ("time", "count")]
    newest = ordered.group_by(KEY, use_threads=False).aggregate(last)
    columns = [*KEY, "outcome_last", "time_last", "time_count"]
    return newest.select(columns).rename_columns([*KEY, *OUTCOME, "times"])


def with_outcomes(answers: pa.Table, outcomes: pa.Table | None) -> pa.Table:
    """The answers with their latest outcome and its time; null where there is none."""
    if outcomes is None:
        nulls = [pa.nulls(len(answers)), pa.nulls(len(answers), TIME)]
        return answers.append_column(OUTCOME[0], nulls[0]).append_column(OUTCOME[1], nulls[1])
    matching = outcomes.filter(pc.is_in(outcomes["request_id"], answers["request_id"]))
    return answers.join(matching.drop_columns("times"), keys=KEY, join_type="left outer")


def compact(folder: Path, now: datetime | None = None, keep_days: int | None = None) -> Compacted:
    """Convert the files of past days to Parquet. Safe to kill and repeat at any moment.

    A file with unreadable lines is not removed but renamed to `.damaged`. Days older than
    `keep_days` full days are removed; None keeps all.

    Raises:
        UserError: if a file cannot be written or removed.
    """
    date = ((now or datetime.now(UTC)) - MARGIN).date()
    rows, files, damaged = 0, 0, []
    for path in sorted(folder.glob("*.jsonl")):
        day = path.name[DAY]
        if day >= date.isoformat():
            continue
        unreadable: Counter[str] = Counter()
        try:
            for number, (kind, table) in enumerate(_tables(path, unreadable)):
                _write(table, folder / kind / f"day={day}" / f"{path.stem}.{number}.parquet")
                rows, files = rows + len(table), files + 1
            if unreadable:
                damaged.append(path.rename(path.with_suffix(".damaged")))
            else:
                path.unlink()
        except OSError as error:
            raise UserError(f"{path} cannot be compacted: {first_line(error)}") from error
    first = "" if keep_days is None else (date - timedelta(days=keep_days)).isoformat()
    return Compacted(rows, files, damaged, _remove_before(first, folder))


def _remove_before(first: str, folder: Path) -> list[str]:
    """Remove everything logged before the day; returns the days removed."""
    removed = set()
    for pattern in ("answers/day={}", "feedback/day={}", "{}-*.damaged"):
        for path in folder.glob(pattern.format("????-??-??")):
            day = path.name.removeprefix("day=")[DAY]
            if day < first:
                try:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                except OSError as error:
                    raise UserError(f"{path} cannot be removed: {first_line(error)}") from error
                removed.add(day)
    return sorted(removed)


def _tables(path: Path, damaged: Counter[str]) -> Iterator[tuple[str, pa.Table]]:
    """The tables of a file of JSON lines: `answers`, of one model each, and `feedback`.

    `damaged` counts unreadable lines by the reason.
    """
    decoder = msgspec.json.Decoder(Line)
    models: dict[str, ModelLine] = {}
    with path.open("rb") as file:
        while texts := file.readlines(BATCH_BYTES):
            answers: dict[str, list[AnswersLine]] = {}
            outcomes: list[OutcomeLine] = []
            for text in texts:
                record = None
                with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    record = decoder.decode(text)
                match record:
                    case ModelLine() as model:
                        models[model.model_version] = model
                    case OutcomeLine() as line:
                        outcomes.append(line)
                    case AnswersLine(model_version=version) as line if version in models:
                        answers.setdefault(version, []).append(line)
                    case _:  # or the line that describes its model is damaged
                        damaged["no line of a log"] += 1
            for version, lines in answers.items():
                make = partial(_answers, model=models[version])
                yield from (("answers", table) for table in _table(make, lines, damaged))
            yield from (("feedback", table) for table in _table(_outcomes, outcomes, damaged))
    if damaged:
        LOGGER.warning("%s: %d lines cannot be read", path, damaged.total())


def _table(
    make: Callable[[list[Any]], pa.Table], lines: list[Any], damaged: Counter[str]
) -> list[pa.Table]:
    """The table of the lines without those whose values do not fit; none if no line is left."""
    try:
        return [make(lines)] if lines else []
    except FAULTS:
        if len(lines) == 1:
            damaged["values do not fit"] += 1
            return []
        valid = [line for line in lines if _table(make, [line], damaged)]
        return [make(valid)] if valid else []


def _answers(lines: list[AnswersLine], model: ModelLine) -> pa.Table:
    rows = [(line, row) for line in lines for row in range(len(line.answers["prediction"]))]

    def joined(part: str, name: str) -> list[Any]:
        return [value for line in lines for value in getattr(line, part)[name]]

    columns = {
        "request_id": pa.array([line.request_id for line, _ in rows], pa.string()),
        "row": pa.array([row for _, row in rows], pa.int32()),
        "time": pa.array([line.time for line, _ in rows], TIME),
        "role": pa.array([line.role for line, _ in rows], pa.string()),
        "model_version": pa.array([line.model_version for line, _ in rows], pa.string()),
    }
    for name, kind in model.raw.items():
        values = joined("raw", name)
        if kind == "datetime":
            values = [value and datetime.fromisoformat(value) for value in values]
        columns[f"raw_{name}"] = pa.array(values, arrow_type(kind))
    for name, kind in model.features.items():
        columns[f"feature_{name}"] = pa.array(joined("features", name), FEATURES[kind])
    names = lines[0].answers
    answers = Answers(**{name: np.array(joined("answers", name), ARRAYS[name]) for name in names})
    return pa.table(columns | answer_columns(answers, model.classes))


def _outcomes(lines: list[OutcomeLine]) -> pa.Table:
    outcomes = [line.outcome for line in lines]
    try:
        values = pa.array(outcomes)
    except pa.ArrowException:  # of two types, from before and after a change of the contract
        texts = [value if isinstance(value, str) else json.dumps(value) for value in outcomes]
        values = pa.array(texts)
    return pa.table(
        {
            "request_id": pa.array([line.request_id for line in lines], pa.string()),
            "row": pa.array([line.row for line in lines], pa.int32()),
            "time": pa.array([line.time for line in lines], TIME),
            "outcome": values,
        }
    )


def _read_lines(kind: str, path: Path) -> tuple[list[pa.Table], int] | None:
    """The tables of a file and its unreadable lines; None if the file is gone."""
    damaged: Counter[str] = Counter()
    with suppress(FileNotFoundError):
        return [table for of, table in _tables(path, damaged) if of == kind], damaged.total()
    return None


def _write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that only its owner may read, and that survives a power cut."""

    def write(part: Path) -> None:
        part.touch(0o600)
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())

    replace(path, write)
