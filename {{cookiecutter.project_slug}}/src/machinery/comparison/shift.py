"""shift: one column of two tables in; how far apart their distributions are out.

The measure is the population stability index, the sum of (p - q) ln(p / q) over bins: below 0.1 a
shift is small, from 0.25 on it is large (Siddiqi 2006, Credit Risk Scorecards, chapter 9). Numbers
are binned at the deciles of both tables together, texts by value; what is missing is a bin of its
own. Two samples of one distribution differ, too: divided by 1/n + 1/m, their index is distributed
like chi square with bins - 1 degrees of freedom (Yurdakul 2018, Statistical Properties of
Population Stability Index, Western Michigan University).
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MODERATE, LARGE = 0.1, 0.25
BINS = 10
FEW = 20  # numbers with no more values than these are binned by value
RARE = 0.01  # values with a smaller share are taken together

Counts = NDArray[np.float64]
Named = tuple[list[str], Counts]  # values, and how often each is in both tables (2, values)


@dataclass(frozen=True)
class Shift:
    """How far a column moved; `figure` names what `before` and `after` are: a mean or a share."""

    index: float
    chance: float  # what the index of two samples of one distribution stays below
    figure: str
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
    number = pd.api.types.is_numeric_dtype(before) and not pd.api.types.is_bool_dtype(before)
    numbers = [_numbers(each) for each in (before, after)] if number else []
    if numbers and len(np.unique(np.concatenate(numbers))) > FEW:
        rows = (len(before), len(after))
        parts = _binned(numbers, [share * n for share, n in zip(missing, rows, strict=True)])
        index, chance = _index(parts, level)
    else:
        names, counts = _by_value(before, after)
        index, chance = _index([*counts], level)
    if numbers:
        first, second = (float(each.mean()) if len(each) else np.nan for each in numbers)
        return Shift(index, chance, "mean", first, second, missing)
    return Shift(index, chance, *_most_moved(names, counts), missing)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    return column.dropna().to_numpy(dtype=np.float64)


def _binned(numbers: list[NDArray[np.float64]], missing: list[float]) -> list[Counts]:
    """Rows between the deciles of both tables together, and those that are missing."""
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(np.concatenate(numbers), steps))
    found = []
    for values, absent in zip(numbers, missing, strict=True):
        places = np.searchsorted(edges, values, side="left")
        counts = np.bincount(places, minlength=len(edges) + 1)
        found.append(np.append(counts, absent).astype(np.float64))
    return found


def _by_value(before: "pd.Series[Any]", after: "pd.Series[Any]") -> Named:
    """Rows of each value in both tables; the values that are rare are taken together."""
    parts = [_counted(before), _counted(after)]
    counts = {
        value: [part.get(value, 0) for part in parts] for value in sorted({*parts[0], *parts[1]})
    }
    least = RARE * (len(before) + len(after))
    rare = [value for value, rows in counts.items() if sum(rows) < least]
    if len(rare) > 1:
        counts["(others)"] = [sum(part.get(value, 0) for value in rare) for part in parts]
        counts = {value: rows for value, rows in counts.items() if value not in {*rare}}
    return list(counts), np.array(list(counts.values()), dtype=np.float64).T


def _counted(column: "pd.Series[Any]") -> dict[str, int]:
    found = {str(value): int(rows) for value, rows in column.value_counts().items()}
    absent = int(column.isna().sum())
    return found | ({"(missing)": absent} if absent else {})


def _index(parts: list[Counts], level: float) -> tuple[float, float]:
    """The index, and what it stays below by chance; half a row more keeps empty bins finite."""
    used = [part[(parts[0] + parts[1]) > 0] for part in parts]
    p, q = ((part + 0.5) / (part + 0.5).sum() for part in used)
    noise = float(1 / parts[0].sum() + 1 / parts[1].sum())
    return float(((p - q) * np.log(p / q)).sum()), noise * _chi_square(len(p) - 1, level)


def _chi_square(freedom: int, level: float) -> float:
    """The quantile of chi square, by its cube root (Wilson & Hilferty 1931): SciPy loads slowly."""
    if not freedom:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + NormalDist().inv_cdf(level) * sqrt(part)) ** 3)


def _most_moved(names: list[str], counts: Counts) -> tuple[str, float, float]:
    """The value whose share changed most, and its shares."""
    before, after = counts / counts.sum(axis=1, keepdims=True)
    place = int(np.abs(after - before).argmax())
    return names[place], float(before[place]), float(after[place])
