"""Conformal prediction: prediction sets and intervals, calibrated on held-out predictions.

Split conformal prediction (Vovk et al. 2005; Angelopoulos & Bates 2021, arXiv:2107.07511): whatever
the model, sets at the calibrated quantile contain the true value at the nominal rate, as long as
new rows are like the calibration rows.
"""

import numpy as np


def nonconformity(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Nonconformity scores: one minus the probability of the true class, or the absolute error."""
    if prediction.ndim == 1:
        return np.asarray(np.abs(target - prediction))
    return np.asarray(1 - np.take_along_axis(prediction, target[:, None], axis=1)[:, 0])


def quantile(scores: np.ndarray, coverage: float) -> float:
    """The score that a new row does not exceed with probability `coverage`; infinite for few rows.

    It is the ⌈(n + 1) coverage⌉-th smallest of n scores.
    """
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def sets(probability: np.ndarray, quantile: float) -> np.ndarray:
    """Membership in each row's prediction set, bool (n, k); never empty."""
    likeliest = probability == probability.max(axis=1, keepdims=True)
    return np.asarray(likeliest | (probability >= 1 - quantile))


def interval(value: np.ndarray, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """The low and high ends of each row's prediction interval."""
    return value - quantile, value + quantile


def covers(target: np.ndarray, prediction: np.ndarray, quantile: float) -> np.ndarray:
    """Whether each row's prediction set or interval contains the true value, bool (n,)."""
    if prediction.ndim == 1:
        return nonconformity(target, prediction) <= quantile
    return np.take_along_axis(sets(prediction, quantile), target[:, None], axis=1)[:, 0]
