"""slices: a column in; the rows of each of its values out, those without a value among them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MISSING = "(missing)"

Positions = NDArray[np.intp]


def slices(column: "pd.Series[Any]", least: int) -> Iterator[tuple[str, Positions]]:
    """Each value as a string, and the positions of its rows where there are at least so many.

    In the order of the values; rows without one are the last slice.
    """
    positions = column.groupby(column, observed=True).indices
    missing = {MISSING: np.flatnonzero(column.isna())}
    for value, rows in (*sorted(positions.items()), *missing.items()):
        if len(rows) >= least:
            yield str(value), np.asarray(rows, dtype=np.intp)
