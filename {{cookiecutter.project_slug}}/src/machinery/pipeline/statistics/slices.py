"""Slices: the rows of each value of a column, missing values included."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.files import UserError

if TYPE_CHECKING:
    import pandas as pd

MISSING = "(missing)"

Positions = NDArray[np.intp]


def small(table: "pd.DataFrame", column: str, least: int) -> tuple[list[str], int]:
    """The values of a column with fewer than `least` rows, and how many rows they have in total."""
    counts = table[column].value_counts(dropna=False)
    few = counts[counts < least]
    return [MISSING if value != value else str(value) for value in few.index], int(few.sum())


def slices(
    table: "pd.DataFrame", columns: Sequence[str], least: int
) -> Iterator[tuple[str, str, Positions]]:
    """Column, value as a string, and row positions of every value with at least `least` rows.

    Sorted by value; missing values are the last slice of a column.
    """
    for name in columns:
        if name not in table:
            raise UserError(f"evaluate.slices names {name}, which the table lacks; run 'dvc repro'")
        positions = table.groupby(name, observed=True).indices
        missing = {MISSING: np.flatnonzero(table[name].isna())}
        for value, rows in (*sorted(positions.items()), *missing.items()):
            if len(rows) >= least:
                yield name, str(value), np.asarray(rows, dtype=np.intp)
