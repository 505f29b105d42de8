"""curves: target and prediction in; rows for a plot out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .intervals import Codes, Values, wilson
from .metrics import Bools, Floats, binned

POINTS = 200  # more are not seen in a plot, and make the report heavy


def roc_curve(positive: Bools, score: Floats) -> list[dict[str, float]]:
    """Corners of the ROC curve, at most POINTS; none if there is one class only."""
    hits, misses = _corners(positive, score)
    if not hits[-1] or not misses[-1]:
        return []
    return _thinned(fpr=misses / misses[-1], tpr=hits / hits[-1])


def precision_recall_curve(positive: Bools, score: Floats) -> list[dict[str, float]]:
    """Corners of the precision-recall curve, at most POINTS; none if there is one class only."""
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
    """How many rows of each class were predicted to be of each class."""
    pairs = np.bincount(target * len(classes) + predicted, minlength=len(classes) ** 2)
    return [
        {"actual": actual, "predicted": guess, "rows": int(pairs[i * len(classes) + j])}
        for i, actual in enumerate(classes)
        for j, guess in enumerate(classes)
    ]


def actual_curve(target: Values, prediction: Floats, bins: int) -> list[dict[str, float]]:
    """Of a regression, in bins of equal count: mean prediction, mean and middle 80 % of the target.

    Aggregates, since reports are kept in git, where no row belongs.
    """
    curve = []
    for rows in binned(prediction, bins):
        low, high = np.quantile(target[rows], [0.1, 0.9]).tolist()
        means = {"predicted": prediction[rows], "actual": target[rows]}
        line = {name: float(values.mean(dtype=np.float64)) for name, values in means.items()}
        curve.append({**line, "low": low, "high": high, "rows": len(rows)})
    return curve


def residuals(target: Values, prediction: Floats, bins: int) -> list[dict[str, float]]:
    """Of a regression, how many rows were off by how much (target minus prediction)."""
    counts, edges = np.histogram(np.asarray(target, np.float64) - prediction, bins)
    ends = zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), strict=False)
    return [{"from": start, "to": end, "rows": rows} for start, end, rows in ends]


def _corners(positive: Bools, score: Floats) -> tuple[Values, Values]:
    """Positives and negatives found with the threshold above all scores, then at each of them."""
    _, place = np.unique(-score, return_inverse=True)
    rows = np.bincount(place).cumsum()
    hits = np.bincount(place, weights=positive).cumsum()
    return np.append(0.0, hits), np.append(0.0, rows - hits)


def _thinned(**columns: Values) -> list[dict[str, float]]:
    """The columns as rows, at most POINTS, evenly chosen with both ends."""
    rows = len(next(iter(columns.values())))
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, POINTS)).round().astype(np.intp))
    table = zip(*(column[chosen].tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, line, strict=True)) for line in table]
