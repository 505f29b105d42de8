"""encoding: raw columns in; those to compare, as numbers that trees can split, out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from machinery.pipeline.data.contract import Contract

if TYPE_CHECKING:
    import pandas as pd

MAX_LEVELS = 50  # of a text; the rarer ones are one level


def compared(contract: Contract) -> list[str]:
    """Columns that may drift: none that tells rows or things apart, and no time.

    Nor a personal one, which the log has hashed or not at all.
    """
    return [
        name
        for name in contract.known_before()
        if name not in contract.row_columns
        and not contract.columns[name].identifier
        and not contract.columns[name].personal
        and contract.columns[name].type != "datetime"
    ]


def encoded(tables: "Sequence[pd.DataFrame]") -> list[np.ndarray]:
    """Each table as float64 (rows, columns): texts as codes, missing numbers as NaN."""
    import pandas as pd

    together = pd.concat(tables, ignore_index=True)
    columns = []
    for name in together:
        values = together[name]
        if pd.api.types.is_numeric_dtype(values):
            columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            levels = values.value_counts().index[:MAX_LEVELS]
            codes = values.map({level: code for code, level in enumerate(levels)}).fillna(-1)
            columns.append(codes.to_numpy(dtype=np.float64))
    matrix = np.column_stack(columns)
    return np.split(matrix, np.cumsum([len(each) for each in tables])[:-1])
