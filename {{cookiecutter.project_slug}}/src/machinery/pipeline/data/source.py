"""source: what source.py reads its files with: columns checked, joins as of a moment."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype

from machinery.pipeline.files import UserError, read_table

Kind = Literal["datetime with time zone", "number", "string"]


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
    """
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
