"""source: what source.py reads its files with: months, columns checked, joins as of a moment."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype
from pydantic import Field

from machinery.pipeline.files import UserError, read_table

Kind = Literal["datetime with time zone", "number", "string"]

# A length of time of `ingest.source`: below zero it would let the future in.
Hours = Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0, le=60 * 24 * 366, allow_inf_nan=False)]


def monthly(folder: Path, until: datetime | None) -> list[Path]:
    """The files `YYYY-MM.parquet` of the months that begin before `until`, oldest first.

    Raises:
        UserError: when there is none, when one has another name, or when a month between the
            first and the last is missing: a model would be trained on less than it seems.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    remedy = f"restore it with 'dvc checkout {folder}.dvc' or 'dvc pull {folder}.dvc'"
    if not files:
        raise UserError(f"{folder} has no files such as 2013-01.parquet; {remedy}")
    for stem, path in files.items():
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", stem):
            raise UserError(f"{path} is not named as a month, such as 2013-01.parquet; rename it")
    last = max(files) if until is None else f"{until - timedelta(microseconds=1):%Y-%m}"
    months = pd.period_range(min(files), last, freq="M").strftime("%Y-%m")
    if not len(months):
        first = f"which is not after {min(files)}, the first month in {folder}"
        raise UserError(f"ingest.until in params.yaml is {until}, {first}; move it")
    wanted = [month for month in months if month <= max(files)]
    if gaps := [month for month in wanted if month not in files]:
        raise UserError(f"{folder}/{gaps[0]}.parquet is missing between others; {remedy}")
    return [files[month] for month in wanted]


def read_columns(path: Path, columns: Mapping[str, Kind]) -> pd.DataFrame:
    """The named columns of a Parquet file.

    Raises:
        UserError: when the file is missing, unreadable or empty, lacks a column, or has one of
            another type.
    """
    table = read_table(path)
    if table.empty:
        raise UserError(f"{path} holds no rows; restore it with 'dvc checkout' or remove it")
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)}; source.py reads it")
    for name, kind in columns.items():
        if not _is(kind, table[name]):
            raise UserError(f"{path}: column {name} is {table[name].dtype}, but must be a {kind}")
    return table[list(columns)]


def _is(kind: Kind, values: "pd.Series[Any]") -> bool:
    if kind == "string":
        return is_string_dtype(values.dtype)
    if kind == "number":
        return is_numeric_dtype(values.dtype)
    return isinstance(values.dtype, pd.DatetimeTZDtype)


def as_of(
    rows: pd.DataFrame, observations: pd.DataFrame, *, by: str, max_age: timedelta
) -> pd.DataFrame:
    """For each row the latest observation of the same `by` that was available at its moment.

    Args:
        rows: the columns `moment` and `by`, and an index without duplicates.
        observations: the columns `available` and `by`, and what was observed.
        by: the column that must be equal, such as the place.
        max_age: the longest time from `available` to `moment`; an older one is not used.

    Returns:
        What was observed, with the index of the rows, null where there is no such observation.
        One that becomes available after the moment is never used.

    Raises:
        UserError: for a `max_age` below zero.
    """
    if max_age < timedelta(0):
        raise UserError(f"source.py: as_of has a max_age of {max_age}; give one of zero or more")
    ordered = rows.dropna(subset="moment").sort_values("moment", kind="stable")
    joined = pd.merge_asof(
        ordered,
        observations.dropna(subset="available").sort_values("available", kind="stable"),
        left_on="moment",
        right_on="available",
        by=by,
        tolerance=pd.Timedelta(max_age),
        direction="backward",
    )
    joined.index = ordered.index
    return joined.drop(columns=["moment", by, "available"]).reindex(rows.index)
