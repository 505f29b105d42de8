"""shift: one column of two tables in; how far apart their distributions are out.

The measure is the population stability index (PSI), the sum of (p - q) ln(p / q) over bins: below
0.1 a shift is small, from 0.25 on it is large (Siddiqi 2006, Credit Risk Scorecards, chapter 9).
Numbers are binned at the deciles of both tables together, strings by value; missing values are a
bin of their own. Two samples of one distribution differ, too: divided by 1/n + 1/m, their index is
distributed like chi square with bins - 1 degrees of freedom (Yurdakul 2018, Statistical Properties
of Population Stability Index, Western Michigan University).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MODERATE, LARGE = 0.1, 0.25
BINS = 10
MAX_LEVELS = 20  # numbers with no more distinct values than these are binned by value
RARE = 0.01  # values with a smaller share are pooled
MISSING, OTHERS = "(missing)", "(others)"

Counts = NDArray[np.float64]  # (2, bins): rows of each table in each bin


@dataclass(frozen=True)
class Shift:
    """How far a column moved, by a `statistic`: the mean, or the share of the value it names."""

    index: float
    chance: float  # what the index of two samples of one distribution stays below
    p_value: float  # of samples of one distribution having such an index, or a larger one
    statistic: str
    before: float
    after: float
    missing: tuple[float, float]  # shares

    @property
    def size(self) -> str:
        """In a word: chance, small, moderate or large."""
        if self.index <= self.chance:
            return "chance"
        return "small" if self.index < MODERATE else "moderate" if self.index < LARGE else "large"


def shift(before: "pd.Series[Any]", after: "pd.Series[Any]", level: float) -> Shift | None:
    """Compare a column in two tables; None where either has no rows.

    `level` is the probability that the index of samples of one distribution stays within chance.
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
    numbers = [each.dropna().to_numpy(dtype=np.float64) for each in (before, after)]
    if len(np.unique(np.concatenate(numbers))) > MAX_LEVELS:
        counts = _by_decile(numbers, [int(each.isna().sum()) for each in (before, after)])
    else:
        _, counts = _by_value(before, after)
    first, second = (float(each.mean()) if len(each) else np.nan for each in numbers)
    return Shift(*_index(counts, level), "mean", first, second, missing)


def _by_decile(numbers: list[NDArray[np.float64]], missing: list[int]) -> Counts:
    """Rows between the deciles of both tables together, and those that are missing."""
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(np.concatenate(numbers), steps))
    places = [np.searchsorted(edges, values) for values in numbers]
    counts = [np.bincount(each, minlength=len(edges) + 1) for each in places]
    return np.column_stack([counts, missing]).astype(np.float64)


def _by_value(before: "pd.Series[Any]", after: "pd.Series[Any]") -> tuple[list[str], Counts]:
    """The values, and the rows of each in both tables; rare ones are pooled."""
    import pandas as pd

    texts = [each.astype(str).where(each.notna(), MISSING) for each in (before, after)]
    counts = pd.concat([each.value_counts() for each in texts], axis=1).fillna(0).sort_index()
    rare = counts.sum(axis=1) < RARE * (len(before) + len(after))
    if rare.sum() > 1:
        pooled = counts[rare].sum().to_frame(OTHERS).T
        counts = pd.concat([counts[~rare], pooled])
    return list(counts.index), counts.to_numpy(dtype=np.float64).T


def _index(counts: Counts, level: float) -> tuple[float, float, float]:
    """Index, what it stays below by chance, p-value; half a row more keeps empty bins finite."""
    from scipy.special import chdtrc, chdtri  # here: most callers never need SciPy

    counts = counts[:, counts.sum(axis=0) > 0]
    p, q = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    noise = float((1 / counts.sum(axis=1)).sum())
    freedom = len(p) - 1
    index = float(((p - q) * np.log(p / q)).sum())
    if not freedom:
        return index, 0.0, 1.0
    return index, noise * float(chdtri(freedom, 1 - level)), float(chdtrc(freedom, index / noise))


def _most_moved(names: list[str], counts: Counts) -> tuple[str, float, float]:
    """The value whose share changed most, and its shares."""
    before, after = counts / counts.sum(axis=1, keepdims=True)
    place = int(np.abs(after - before).argmax())
    return names[place], float(before[place]), float(after[place])
