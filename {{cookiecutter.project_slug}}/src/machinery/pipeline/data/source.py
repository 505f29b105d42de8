"""Tools for a project's source.py: monthly files, checked columns, point-in-time joins."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype
from pydantic import Field

from machinery.pipeline.files import UserError, read_table

Kind = Literal["datetime with time zone", "number", "string"]
IS_KIND: dict[Kind, Callable[[Any], bool]] = {
    "datetime with time zone": lambda dtype: isinstance(dtype, pd.DatetimeTZDtype),
    "number": is_numeric_dtype,
    "string": is_string_dtype,
}

# Durations in `ingest.source`: a negative one would let the future in.
Hours = Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0, le=60 * 24 * 366, allow_inf_nan=False)]


def monthly(folder: Path, until: datetime | None) -> list[Path]:
    """The files `YYYY-MM.parquet` of the months that begin before `until`, oldest first.

    Raises UserError if there is none, one has another name, or a month in between is missing,
    since the model would be trained on less data than it seems.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    remedy = f"restore it with 'dvc checkout {folder}.dvc' or 'dvc pull {folder}.dvc'"
    if not files:
        raise UserError(f"{folder} has no files such as 2013-01.parquet; {remedy}")
    for stem, path in files.items():
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", stem):
            raise UserError(f"{path} is not named as a month, such as 2013-01.parquet; rename it")
    last = max(files) if until is None else f"{until - timedelta(microseconds=1):%Y-%m}"
    months = [str(month) for month in pd.period_range(min(files), last, freq="M")]
    if not months:
        first = f"which is not after {min(files)}, the first month in {folder}"
        raise UserError(f"ingest.until in params.yaml is {until}, {first}; move it")
    months = [month for month in months if month <= max(files)]
    if gaps := [month for month in months if month not in files]:
        raise UserError(f"{folder}/{gaps[0]}.parquet is missing between others; {remedy}")
    return [files[month] for month in months]


def read_columns(path: Path, columns: Mapping[str, Kind]) -> pd.DataFrame:
    """Read the named columns of a Parquet file.

    Raises UserError if it is missing, unreadable or empty, or lacks a column of that type.
    """
    table = read_table(path)
    if table.empty:
        raise UserError(f"{path} has no rows; restore it with 'dvc checkout' or remove it")
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)}; source.py reads it")
    for name, kind in columns.items():
        dtype = table[name].dtype
        if not IS_KIND[kind](dtype):
            raise UserError(f"{path}: column {name} is {dtype}, but must be a {kind}")
    return table[list(columns)]


def as_of(
    rows: pd.DataFrame, observations: pd.DataFrame, *, by: str, max_age: timedelta
) -> pd.DataFrame:
    """Join to each row the latest observation of the same `by` available at its moment.

    Args:
        rows: a table with the columns `moment` and `by`, and a unique index.
        observations: a table with the columns `available` and `by`, and the observed ones.
        by: the column that must be equal, such as the place.
        max_age: the longest time from `available` to `moment`; older observations are not used.

    Returns:
        The observed columns, with the index of the rows; null where there is no such observation.
        An observation that becomes available after the moment is never used.
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
