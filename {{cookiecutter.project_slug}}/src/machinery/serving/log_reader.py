"""log_reader: the folder of a prediction log in; answers, with their outcomes where known, out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline.files import UserError, first_line
from .log_tables import KEY, MOMENT

LOGGER = logging.getLogger(__name__)


def read(folder: Path, days: Sequence[str] | None = None) -> pa.Table:
    """Every answer of the days (`2013-07-01`; all by default), in the order of time.

    `outcome` and `outcome_time` are null where no feedback came. The newest feedback wins, of
    whichever later day. A file that cannot be read, which only a broken disk leaves, is left out
    with a warning that names it.

    Raises:
        UserError: when a column changed its type between models, so that no one table holds them.
    """
    answers = _read(folder / "answers", days)
    if answers is None:
        raise UserError(f"{folder} holds no answers of {_words(days)}; check the folder's name")
    later = None if days is None else [day for day in _days(folder) if day >= min(days)]
    joined = _join(answers, _read(folder / "feedback", later))
    return joined.sort_by([("time", "ascending"), *((name, "ascending") for name in KEY)])


def _words(days: Sequence[str] | None) -> str:
    return "any day" if days is None else ", ".join(days)


def _days(folder: Path) -> list[str]:
    return sorted({path.name.removeprefix("day=") for path in folder.glob("feedback/day=*")})


def _read(folder: Path, days: Sequence[str] | None) -> pa.Table | None:
    wanted = sorted(folder.glob("day=*"))
    if days is not None:
        wanted = [folder / f"day={day}" for day in sorted(set(days))]
    paths = [path for day in wanted for path in sorted(day.glob("[!.]*.parquet"))]
    found = [table for path in paths if (table := table_of(path)) is not None]
    if not found:
        return None
    try:
        return pa.concat_tables(found, promote_options="default")
    except pa.ArrowException as error:
        raise UserError(
            f"{folder}: a column changed its type ({first_line(error)}); read fewer days"
        ) from error


def table_of(path: Path, columns: list[str] | None = None) -> pa.Table | None:
    """A file of the log, or some columns of it; None and a warning when it cannot be read."""
    try:
        return pq.ParquetFile(path).read(columns)
    except (OSError, pa.ArrowException) as error:
        LOGGER.warning("prediction log: %s is left out: %s", path, first_line(error))
        return None


def _join(answers: pa.Table, outcomes: pa.Table | None) -> pa.Table:
    """The answers with the outcome given last, and when."""
    names = ["outcome", "outcome_time"]
    if outcomes is None:
        empty = [pa.nulls(len(answers)), pa.nulls(len(answers), MOMENT)]
        return answers.append_column(names[0], empty[0]).append_column(names[1], empty[1])
    ordered = outcomes.sort_by([("time", "ascending")])
    last = [("outcome", "last"), ("time", "last")]
    newest = ordered.group_by(KEY, use_threads=False).aggregate(last)
    newest = newest.select([*KEY, "outcome_last", "time_last"]).rename_columns([*KEY, *names])
    return answers.join(newest, keys=KEY, join_type="left outer")
