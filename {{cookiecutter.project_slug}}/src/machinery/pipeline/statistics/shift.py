"""Distribution shift of a column between two tables: the population stability index (PSI).

The PSI is the sum of (p - q) ln(p / q) over bins: below 0.1 a shift is small, from 0.25 on it is
large (Siddiqi 2006, Credit Risk Scorecards, chapter 9). Numbers are binned at the deciles of both
tables together, strings by value; missing values have a bin of their own. For two samples of one
distribution, the index divided by 1/n + 1/m is chi-square distributed with bins - 1 degrees of
freedom (Yurdakul 2018, Statistical Properties of Population Stability Index, Western Michigan
University).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MODERATE, LARGE = 0.1, 0.25
BINS = 10
MAX_LEVELS = 20  # numbers with at most this many distinct values are binned by value
RARE = 0.01  # values with a smaller share are pooled
MISSING, OTHERS = "(missing)", "(others)"

Counts = NDArray[np.float64]  # (2, bins): rows of each table in each bin


@dataclass(frozen=True)
class Shift:
    """The shift of a column; `statistic` is "mean", or the value whose share is given."""

    index: float
    chance: float  # upper limit of the index for two samples of one distribution
    p_value: float
    statistic: str
    before: float
    after: float
    missing: tuple[float, float]  # shares

    @property
    def size(self) -> str:
        """One of chance, small, moderate and large."""
        if self.index <= self.chance:
            return "chance"
        return "small" if self.index < MODERATE else "moderate" if self.index < LARGE else "large"


def shift(before: "pd.Series[Any]", after: "pd.Series[Any]", level: float) -> Shift | None:
    """Compare a column in two tables; None if either has no rows.

    `level` is the probability that two samples of one distribution have an index within chance.
    """
    import pandas as pd

    if not len(before) or not len(after):
        return None
    missing = (float(before.isna().mean()), float(after.isna().mean()))
    numeric = pd.api.types.is_numeric_dtype(before) and not pd.api.types.is_bool_dtype(before)
    if not numeric:
        names, counts = _by_value(before, after)
        value, first, second = _most_moved(names, counts)
        return Shift(*_index(counts, level), value, first, second, missing)
    numbers = [column.dropna().to_numpy(dtype=np.float64) for column in (before, after)]
    if len(np.unique(np.concatenate(numbers))) > MAX_LEVELS:
        counts = _by_decile(numbers, [int(column.isna().sum()) for column in (before, after)])
    else:
        _, counts = _by_value(before, after)
    first, second = (float(values.mean()) if len(values) else np.nan for values in numbers)
    return Shift(*_index(counts, level), "mean", first, second, missing)


def _by_decile(numbers: list[NDArray[np.float64]], missing: list[int]) -> Counts:
    """Rows between the deciles of both tables together, and missing values."""
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(np.concatenate(numbers), steps))
    bins = [np.searchsorted(edges, values) for values in numbers]
    counts = [np.bincount(codes, minlength=len(edges) + 1) for codes in bins]
    return np.column_stack([counts, missing]).astype(np.float64)


def _by_value(before: "pd.Series[Any]", after: "pd.Series[Any]") -> tuple[list[str], Counts]:
    """The values and their row counts in both tables; rare values are pooled."""
    import pandas as pd

    texts = [column.astype(str).where(column.notna(), MISSING) for column in (before, after)]
    counts = pd.concat([text.value_counts() for text in texts], axis=1).fillna(0).sort_index()
    rare = counts.sum(axis=1) < RARE * (len(before) + len(after))
    if rare.sum() > 1:
        counts = pd.concat([counts[~rare], counts[rare].sum().to_frame(OTHERS).T])
    return list(counts.index), counts.to_numpy(dtype=np.float64).T


def _index(counts: Counts, level: float) -> tuple[float, float, float]:
    """The index, its upper limit by chance, and its p-value."""
    from scipy.special import chdtrc, chdtri  # here: most callers never need SciPy

    counts = counts[:, counts.sum(axis=0) > 0]
    p, q = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)  # empty bins stay finite
    noise = float((1 / counts.sum(axis=1)).sum())
    freedom = len(p) - 1
    index = float(((p - q) * np.log(p / q)).sum())
    if not freedom:
        return index, 0.0, 1.0
    return index, noise * float(chdtri(freedom, 1 - level)), float(chdtrc(freedom, index / noise))


def _most_moved(names: list[str], counts: Counts) -> tuple[str, float, float]:
    """The value whose share changed most, and both shares."""
    before, after = counts / counts.sum(axis=1, keepdims=True)
    index = int(np.abs(after - before).argmax())
    return names[index], float(before[index]), float(after[index])
