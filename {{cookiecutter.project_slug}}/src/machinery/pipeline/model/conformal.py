"""conformal: predictions of rows not trained on in; sets and intervals that cover, out.

Split conformal prediction (Vovk et al. 2005; Angelopoulos & Bates 2021, arXiv:2107.07511): whatever
the model, sets at the calibrated quantile contain the true value at the nominal rate, as long as
new rows are like the calibration rows.
"""

import numpy as np


def nonconformity(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """How strange each truth is: one minus its probability, or the absolute error of a value."""
    if prediction.ndim == 1:
        return np.asarray(np.abs(target - prediction))
    return np.asarray(1 - np.take_along_axis(prediction, target[:, None], axis=1)[:, 0])


def quantile(scores: np.ndarray, coverage: float) -> float:
    """The score within which a new row stays with probability `coverage`; infinite for few rows."""
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def sets(probability: np.ndarray, quantile: float) -> np.ndarray:
    """Which classes are in each row's prediction set: bool (n, k), at least the likeliest."""
    likeliest = probability == probability.max(axis=1, keepdims=True)
    return np.asarray(likeliest | (probability >= 1 - quantile))


def interval(value: np.ndarray, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """The low and the high end of each row's prediction interval."""
    return value - quantile, value + quantile


def covers(target: np.ndarray, prediction: np.ndarray, quantile: float) -> np.ndarray:
    """Whether each row's truth lies in its prediction set or interval: bool (n,)."""
    if prediction.ndim == 1:
        return nonconformity(target, prediction) <= quantile
    return np.take_along_axis(sets(prediction, quantile), target[:, None], axis=1)[:, 0]
