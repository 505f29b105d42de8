"""Metrics as scorers: functions of sample weights, for one target and prediction.

Whatever does not depend on the weights (sorting, losses, bins) is computed when a scorer is built,
so that a thousand bootstrap resamples cost little more than one. Values equal scikit-learn's,
including sample weights and ties, and so do names where scikit-learn has the metric.
"""

from collections import ChainMap
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .intervals import Codes, Scorer, Values, Weights

Task = Literal["classification", "regression"]
Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.intp]

GREATER_IS_BETTER = {
    "classification": {
        "roc_auc": True,
        "average_precision": True,
        "log_loss": False,
        "brier_score": False,
        "balanced_accuracy": True,
        "calibration_error": False,
    },
    "regression": {"mean_absolute_error": False, "root_mean_squared_error": False, "r2": True},
    "decisions": {"precision": True, "recall": True, "f1": True},
    "intervals": {"mean_pinball_loss": False},
}


def names(task: Task) -> list[str]:
    """The metrics of a task that can be the headline."""
    return list(GREATER_IS_BETTER[task])


def greater_is_better(name: str) -> bool:
    """Whether higher values of this metric are better. KeyError for an unknown name."""
    return ChainMap(*GREATER_IS_BETTER.values())[name]


def unknown(headline: str, task: Task) -> str:
    """The error for a `select.headline` that is not a metric of the task."""
    loss = headline.removeprefix("neg_")  # scikit-learn's scorers negate losses
    remedy = loss if loss in names(task) else f"one of {', '.join(names(task))}"
    return f"select.headline is {headline}, which is not a metric of a {task}; use {remedy}"


def scorers(
    task: Task,
    target: NDArray[Any],
    prediction: Floats,
    *,
    threshold: float = 0.5,
    bins: int = 10,
    only: Collection[str] | None = None,
) -> dict[str, Scorer]:
    """The scorers of all metrics of the task, or of `only` these, on the given rows.

    Classification takes class codes (n,) and probabilities (n, k), regression values (n,) and
    values (n,). Of two classes the last one is positive, predicted at probability ≥ `threshold`; of
    more, ranking metrics are one-vs-rest means.
    """
    if task == "regression":
        error = np.asarray(target, np.float64) - prediction
        builders: dict[str, Callable[[], Scorer]] = {
            "mean_absolute_error": lambda: mean(np.abs(error)),
            "root_mean_squared_error": lambda: sums(
                lambda totals, weight: np.sqrt(totals[0] / weight), error**2
            ),
            "r2": lambda: r2(target, error),
        }
    else:
        classes = [(target == code, prediction[:, code]) for code in ranked(prediction)]
        builders = {
            "roc_auc": lambda: macro([roc_auc(*pair) for pair in classes]),
            "average_precision": lambda: macro([average_precision(*pair) for pair in classes]),
            "log_loss": lambda: log_loss(target, prediction),
            "brier_score": lambda: brier_score(target, prediction),
            "balanced_accuracy": lambda: balanced_accuracy(target, decide(prediction, threshold)),
            "calibration_error": lambda: calibration_error(*top_label(target, prediction), bins),
        }
    return {name: build() for name, build in builders.items() if only is None or name in only}


def score(task: Task, target: NDArray[Any], prediction: Floats, **options: Any) -> dict[str, float]:
    """The metrics of the task on these rows; `options` as for `scorers`."""
    weights = np.ones((1, len(target)))
    bound = scorers(task, target, prediction, **options)
    return {name: float(scorer(weights)[0]) for name, scorer in bound.items()}


# Decisions


def ranked(prediction: Floats) -> range:
    """The classes that one-vs-rest metrics rank: the last one of two, else all."""
    classes = range(prediction.shape[1])
    return classes if len(classes) > 2 else classes[1:]


def decide(prediction: Floats, threshold: float) -> Rows:
    """Class codes: of two, the last one at probability ≥ threshold; of more, the most probable."""
    if prediction.shape[1] == 2:
        return (prediction[:, 1] >= threshold).astype(np.intp)
    return np.asarray(np.argmax(prediction, axis=1))


def top_label(target: Codes, prediction: Floats) -> tuple[Bools, Floats]:
    """Whether the positive (or the most probable) class occurred, and its probability."""
    label = decide(prediction, threshold=0.0)  # of two classes, always the positive one
    return target == label, np.take_along_axis(prediction, label[:, None], axis=1)[:, 0]


def best_threshold(
    target: Codes, probability: Floats, rule: str = "balanced_accuracy", value: float | None = None
) -> float:
    """The best decision threshold by `rule`, midway between two neighbouring scores.

    "balanced_accuracy" maximises it; "cost_ratio" minimises the cost if a false negative costs as
    much as `value` false positives; "recall" takes the highest threshold with a recall of `value`.
    Ties go to the lowest threshold; 0.5 if all scores are equal.
    """
    scores, place = np.unique(np.asarray(probability, np.float64), return_inverse=True)
    if len(scores) < 2:
        return 0.5
    positives = np.bincount(place, weights=target, minlength=len(scores))
    negatives = np.bincount(place, minlength=len(scores)) - positives
    missed, spared = positives.cumsum()[:-1], negatives.cumsum()[:-1]
    if rule == "recall":
        reached = np.flatnonzero(positives.sum() - missed >= (value or 0) * positives.sum())
        if not len(reached):
            return float(scores[0])
        best = int(reached[-1])
    else:
        gain, loss = (1.0, value) if rule == "cost_ratio" else (positives.sum(), negatives.sum())
        best = int(np.argmax(spared * gain - missed * loss))
    return float(scores[best] + scores[best + 1]) / 2


# Scorers


def sums(function: Callable[[Values, Values], Values], *columns: ArrayLike) -> Scorer:
    """Scorer from the weighted sums of the columns (columns, batch) and total weight (batch,)."""
    table = np.column_stack(columns).astype(np.float64, copy=False)
    return lambda weights: np.asarray(function((weights @ table).T, weights.sum(axis=1)))


def macro(scorers: Sequence[Scorer]) -> Scorer:
    """Unweighted mean of several scorers, e.g. one-vs-rest over the classes."""
    return lambda weights: np.asarray(np.mean([scorer(weights) for scorer in scorers], axis=0))


def mean(values: ArrayLike) -> Scorer:
    """Weighted mean of one value per row: a loss, or 0 and 1 for a rate such as coverage."""
    return sums(lambda totals, weight: totals[0] / weight, values)


def roc_auc(positive: Bools, score: Floats) -> Scorer:
    """Area under the ROC curve, as the Mann-Whitney statistic (Hanley & McNeil 1982).

    NaN without a positive or without a negative.
    """
    positives, negatives = _ranked(positive, score)
    above = np.searchsorted(-score[negatives], -score[positives], side="left")
    level = np.searchsorted(-score[negatives], -score[positives], side="right")

    def scorer(weights: Weights) -> Values:
        won = np.take(weights, positives, axis=1)
        ranked = _cumulative(weights, negatives)
        lost = np.take(ranked, above, axis=1) + np.take(ranked, level, axis=1)
        pairs = 2 * won.sum(axis=1) * ranked[:, -1]
        return _ratio(pairs - np.vecdot(won, lost), pairs)

    return scorer


def average_precision(positive: Bools, score: Floats) -> Scorer:
    """Step-wise area under the precision-recall curve; NaN without a positive or a negative."""
    positives, negatives = _ranked(positive, score)
    hits = np.searchsorted(-score[positives], -score[positives], side="right")
    misses = np.searchsorted(-score[negatives], -score[positives], side="right")

    def scorer(weights: Weights) -> Values:
        ranked, below = _cumulative(weights, positives), _cumulative(weights, negatives)
        true = np.take(ranked, hits, axis=1)
        precision = true / _positive(true + np.take(below, misses, axis=1))
        total = np.vecdot(np.take(weights, positives, axis=1), precision)
        return _ratio(total, ranked[:, -1] * (below[:, -1] > 0))

    return scorer


def log_loss(target: Codes, prediction: Floats) -> Scorer:
    """Cross-entropy in nats; probabilities are clipped to their dtype's eps, as in scikit-learn."""
    eps = np.finfo(prediction.dtype).eps
    likelihood = np.take_along_axis(prediction, target[:, None], axis=1)[:, 0]
    return mean(-np.log(np.clip(likelihood, eps, 1 - eps), dtype=np.float64))


def brier_score(target: Codes, prediction: Floats) -> Scorer:
    """Mean squared error of the probabilities (Brier 1950); of two classes, the positive one's."""
    error = prediction - np.eye(prediction.shape[1])[target]
    return mean(error[:, 1] ** 2 if error.shape[1] == 2 else (error**2).sum(axis=1))


def balanced_accuracy(target: Codes, predicted: Codes) -> Scorer:
    """Mean recall of the classes that occur."""
    rows = target[:, None] == np.unique(target)
    hits = rows & (target == predicted)[:, None]

    def recall(totals: Values, _: Values) -> Values:
        rows, hits = np.split(totals, 2)
        return np.asarray(np.nanmean(_ratio(hits, rows), axis=0))

    return sums(recall, rows, hits)


def decisions(target: Codes, predicted: Codes) -> dict[str, Scorer]:
    """Precision, recall and F1 of the positive class; NaN where the denominator is zero."""
    hits = (target == 1) & (predicted == 1)

    def share(*parts: NDArray[np.bool_]) -> Scorer:
        return sums(lambda totals, _: _ratio(totals[0], totals[1:].mean(axis=0)), hits, *parts)

    claimed, actual = predicted == 1, target == 1
    return {"precision": share(claimed), "recall": share(actual), "f1": share(claimed, actual)}


def calibration_error(happened: Bools, probability: Floats, bins: int) -> Scorer:
    """Root mean square gap between probability and frequency, over bins of equal count.

    Debiased (Kumar, Liang & Ma 2019): the plain expected calibration error counts the noise of a
    bin's frequency as miscalibration. A resample has twice that noise, so the interval would lie
    above the value. The noise depends on the effective sample size (sum w)^2 / sum w^2 (Kish 1965).
    """
    gap: Values = happened - np.asarray(probability, np.float64)
    totals = _totals(binned(probability, bins), gap, gap**2)

    def scorer(weights: Weights) -> Values:
        rows, gaps, squares = totals(weights)
        weight = rows.sum(axis=0)
        repeats = np.vecdot(weights, weights) / weight
        bias = gaps / _positive(rows)
        spread = squares / _positive(rows) - bias**2
        noise = spread / np.maximum(rows / repeats - 1, 1)
        excess = (rows * (bias**2 - noise)).sum(axis=0) / weight
        return np.asarray(np.sqrt(np.maximum(excess, 0)))

    return scorer


def mean_pinball_loss(target: Floats, low: Floats, high: Floats, coverage: float) -> Scorer:
    """Mean pinball loss (Koenker & Bassett 1978) of both ends of central prediction intervals.

    It grows with the width and with each miss, so neither wide nor narrow intervals win for free.
    """
    tail = (1 - coverage) / 2
    below, above = np.asarray(target, np.float64) - low, np.asarray(target, np.float64) - high
    losses = [
        np.maximum(level * error, (level - 1) * error)
        for level, error in ((tail, below), (1 - tail, above))
    ]
    return mean(np.mean(losses, axis=0))


def r2(target: Floats, error: Floats) -> Scorer:
    """Coefficient of determination; NaN if the target does not vary."""
    centred = np.asarray(target, np.float64) - np.mean(target, dtype=np.float64)

    def explained(totals: Values, weight: Values) -> Values:
        residual, first, second = totals / weight
        variance = second - first**2
        variance[variance < 1e-12 * second] = 0  # rounding error only
        return 1 - _ratio(residual, variance)

    return sums(explained, np.asarray(error, np.float64) ** 2, centred, centred**2)


# Arrays


def binned(probability: Floats, bins: int) -> list[Rows]:
    """The rows of each bin, in increasing probability; equal counts, ties kept together."""
    edges = np.quantile(np.asarray(probability, np.float64), np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, probability)
    return [np.flatnonzero(place == b) for b in np.unique(place)]


def _ranked(positive: Bools, score: Floats) -> tuple[Rows, Rows]:
    """The rows of the positives and those of the negatives, each by descending score."""
    order = np.argsort(-score, kind="stable")
    return order[positive[order]], order[~positive[order]]


def _cumulative(weights: Weights, rows: Rows) -> Values:
    """Cumulative weights (batch, n + 1) of the n rows, starting from zero."""
    total = np.zeros((len(weights), len(rows) + 1))
    np.take(weights, rows, axis=1).cumsum(axis=1, out=total[:, 1:])
    return total


def _totals(groups: Sequence[Rows], *columns: ArrayLike) -> Callable[[Weights], Values]:
    """Weighted sums by group: weights to (1 + columns, groups, batch), the weight itself first."""
    table = np.column_stack([np.ones(np.shape(columns[0])), *columns])
    parts = [(rows, table[rows]) for rows in groups]
    return lambda weights: np.stack(
        [np.take(weights, rows, axis=1) @ part for rows, part in parts]
    ).transpose(2, 0, 1)


def _ratio(part: Values, whole: Values) -> Values:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _positive(values: Values) -> Values:
    return np.maximum(values, np.finfo(np.float64).tiny)
