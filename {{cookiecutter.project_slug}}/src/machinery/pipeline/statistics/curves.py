"""The points of the plots: ROC, precision-recall and calibration curves, confusion, residuals."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from .intervals import Codes, Values, wilson
from .metrics import Bools, Floats, binned

POINTS = 200  # more are invisible in a plot and bloat the report


def roc_curve(positive: Bools, score: Floats) -> list[dict[str, float]]:
    """Points of the ROC curve, at most POINTS; none if only one class occurs."""
    hits, misses = _corners(positive, score)
    if not hits[-1] or not misses[-1]:
        return []
    return _thinned(fpr=misses / misses[-1], tpr=hits / hits[-1])


def precision_recall_curve(positive: Bools, score: Floats) -> list[dict[str, float]]:
    """Points of the precision-recall curve, at most POINTS; none if only one class occurs."""
    hits, misses = _corners(positive, score)
    if not hits[-1] or not misses[-1]:
        return []
    precision = np.append(1.0, hits[1:] / (hits + misses)[1:])
    return _thinned(recall=hits / hits[-1], precision=precision)


def calibration_curve(
    happened: Bools, probability: Floats, bins: int, level: float
) -> list[dict[str, float]]:
    """Mean probability and frequency, with its Wilson interval, in each bin of equal count."""
    curve = []
    for rows in binned(probability, bins):
        observed, low, high = wilson(int(happened[rows].sum()), len(rows), level)
        predicted = float(probability[rows].mean(dtype=np.float64))
        line = {"predicted": predicted, "observed": observed, "low": low, "high": high}
        curve.append({**line, "rows": len(rows)})
    return curve


def confusion(target: Codes, predicted: Codes, classes: Sequence[Any]) -> list[dict[str, Any]]:
    """The confusion matrix, one cell per entry, by actual and then by predicted class."""
    counts = np.bincount(target * len(classes) + predicted, minlength=len(classes) ** 2)
    return [
        {"actual": actual, "predicted": guess, "rows": rows}
        for (actual, guess), rows in zip(product(classes, repeat=2), counts.tolist(), strict=True)
    ]


def actual_curve(target: Values, prediction: Floats, bins: int) -> list[dict[str, float]]:
    """Mean prediction, mean target and the target's middle 80 %, in bins of equal count.

    Aggregates only: reports are committed to git, and data rows must not be.
    """
    curve = []
    for rows in binned(prediction, bins):
        low, high = np.quantile(target[rows], [0.1, 0.9]).tolist()
        means = {"predicted": prediction[rows], "actual": target[rows]}
        line = {name: float(values.mean(dtype=np.float64)) for name, values in means.items()}
        curve.append({**line, "low": low, "high": high, "rows": len(rows)})
    return curve


def residuals(target: Values, prediction: Floats, bins: int) -> list[dict[str, float]]:
    """Histogram of the residuals, target minus prediction."""
    counts, edges = np.histogram(np.asarray(target, np.float64) - prediction, bins)
    bars = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return [{"from": start, "to": end, "rows": rows} for start, end, rows in bars]


def _corners(positive: Bools, score: Floats) -> tuple[Values, Values]:
    """True and false positives at a threshold above all scores, then at each distinct score."""
    _, place = np.unique(-score, return_inverse=True)
    rows = np.bincount(place).cumsum()
    hits = np.bincount(place, weights=positive).cumsum()
    return np.append(0.0, hits), np.append(0.0, rows - hits)


def _thinned(**columns: Values) -> list[dict[str, float]]:
    """The columns as rows, at most POINTS of them, evenly spaced and including both ends."""
    rows = len(next(iter(columns.values())))
    sample = np.unique(np.linspace(0, rows - 1, min(rows, POINTS)).round().astype(np.intp))
    table = zip(*(column[sample].tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, line, strict=True)) for line in table]
