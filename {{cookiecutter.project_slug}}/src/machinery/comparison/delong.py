"""delong: two scores of the same rows in; the difference of their ROC AUCs, tested, out.

The test is DeLong, DeLong & Clarke-Pearson's (1988, Biometrics 44:837), computed from midranks in
O(n log n) as Sun & Xu (2014, IEEE Signal Processing Letters 21:1389) do. It needs no resamples, but
independent rows and enough of both classes for a normal approximation.
"""

from math import erfc, isnan, nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from machinery.pipeline.statistics.intervals import Interval, Values
from machinery.pipeline.statistics.metrics import Bools, Floats


class DeLong(NamedTuple):
    """The difference b - a with its interval, and the two-sided p-value of "there is none"."""

    difference: Interval
    p_value: float


def delong(positive: Bools, a: Floats, b: Floats, level: float) -> DeLong:
    """Compare the ROC AUC of two scores of the same rows; NaN with fewer than two of a class."""
    placed = [_placements(positive, score) for score in (a, b)]
    hits, misses = (placed[1][side] - placed[0][side] for side in (0, 1))
    if min(len(hits), len(misses)) < 2:
        return DeLong(Interval(nan, nan, nan), nan)
    found = float(hits.mean())
    error = sqrt(hits.var(ddof=1) / len(hits) + misses.var(ddof=1) / len(misses))
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    return DeLong(Interval(found, found - half, found + half), _p_value(found, error))


def _p_value(found: float, error: float) -> float:
    if isnan(found) or error == 0:
        return 1.0 if found == 0 else nan
    return erfc(abs(found / error) / sqrt(2))


def _placements(positive: Bools, score: Floats) -> tuple[Values, Values]:
    """For each positive the share of negatives below it, for each negative of positives above.

    Ties count a half. The mean of either is the ROC AUC.
    """
    hits, misses = score[positive], score[~positive]
    ranks = midranks(score)
    above = (ranks[positive] - midranks(hits)) / max(1, len(misses))
    below = 1 - (ranks[~positive] - midranks(misses)) / max(1, len(hits))
    return above, below


def midranks(values: Floats) -> Values:
    """The rank of each value from 1 up; equal ones share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)
