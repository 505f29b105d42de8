"""metrics: target and prediction in; scorers out.

A scorer is a metric bound to its rows. Whatever does not depend on weights (sorting, losses,
bins) is done when it is bound, so that a thousand bootstrap resamples cost little more than one.
Values are scikit-learn's, sample weights and ties included; names too, where it has one.
"""

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
    "regression": {
        "mean_absolute_error": False,
        "root_mean_squared_error": False,
        "r2": True,
    },
    "decisions": {"precision": True, "recall": True, "f1": True},
    "intervals": {"mean_pinball_loss": False},
}


def names(task: Task) -> list[str]:
    """The metrics of a task's predictions; one of them is the headline."""
    return list(GREATER_IS_BETTER[task])


def greater_is_better(name: str) -> bool:
    """Whether more of this metric is better. ValueError for an unknown name."""
    known = {metric: more for of in GREATER_IS_BETTER.values() for metric, more in of.items()}
    if name not in known:
        raise ValueError(f"No metric is named {name!r}. Known: {', '.join(known)}.")
    return known[name]


def unknown(headline: str, task: Task) -> str:
    """Why a `select.headline` is none of the task; scorers of scikit-learn are negated losses."""
    loss = headline.removeprefix("neg_")
    known = loss if loss in names(task) else f"one of {', '.join(names(task))}"
    return f"select.headline is {headline}, which is not a metric of a {task}; use {known}"


def scorers(
    task: Task,
    target: NDArray[Any],
    prediction: Floats,
    *,
    threshold: float = 0.5,
    bins: int = 10,
    only: Collection[str] | None = None,
) -> dict[str, Scorer]:
    """Every metric of the task's predictions, or `only` some, bound to these rows.

    Classification: class codes (n,) and probabilities (n, k). With two classes the last one is
    positive, predicted from `threshold` on; with more, ranking metrics are means of one-vs-rest.
    Regression: values (n,) and values (n,).
    """
    if task == "regression":
        error = np.asarray(target, np.float64) - prediction
        known: dict[str, Callable[[], Scorer]] = {
            "mean_absolute_error": lambda: mean(np.abs(error)),
            "root_mean_squared_error": lambda: sums(
                lambda totals, weight: np.sqrt(totals[0] / weight), error**2
            ),
            "r2": lambda: r2(target, error),
        }
    else:
        each = [(target == c, prediction[:, c]) for c in ranked(prediction)]
        known = {
            "roc_auc": lambda: macro([roc_auc(*one) for one in each]),
            "average_precision": lambda: macro([average_precision(*one) for one in each]),
            "log_loss": lambda: log_loss(target, prediction),
            "brier_score": lambda: brier_score(target, prediction),
            "balanced_accuracy": lambda: balanced_accuracy(target, decide(prediction, threshold)),
            "calibration_error": lambda: calibration_error(*top_label(target, prediction), bins),
        }
    return {name: bind() for name, bind in known.items() if only is None or name in only}


def score(task: Task, target: NDArray[Any], prediction: Floats, **how: Any) -> dict[str, float]:
    """Every metric of the task on these rows; `how` as for `scorers`."""
    once = np.ones((1, len(target)))
    bound = scorers(task, target, prediction, **how)
    return {name: float(scorer(once)[0]) for name, scorer in bound.items()}


# Decisions


def ranked(prediction: Floats) -> range:
    """The classes whose probability is held against the others': of two the last one, else all."""
    classes = range(prediction.shape[1])
    return classes if len(classes) > 2 else classes[1:]


def decide(prediction: Floats, threshold: float) -> Rows:
    """Class codes: from the threshold on the last of two classes, else the most probable."""
    if prediction.shape[1] == 2:
        return (prediction[:, 1] >= threshold).astype(np.intp)
    return np.asarray(np.argmax(prediction, axis=1))


def top_label(target: Codes, prediction: Floats) -> tuple[Bools, Floats]:
    """What calibration compares: (happened, probability) of the positive or the top class."""
    label = decide(prediction, threshold=0.0)  # of two classes, always the positive one
    return target == label, np.take_along_axis(prediction, label[:, None], axis=1)[:, 0]


def best_threshold(
    target: Codes, probability: Floats, rule: str = "balanced_accuracy", value: float | None = None
) -> float:
    """The best threshold by a rule, midway between two neighbouring scores.

    It has the highest balanced accuracy; or the least cost, where a missed positive costs as much
    as `value` false ones; or it is the highest with a recall of `value`. Of equally good ones the
    lowest; 0.5 if no score differs from another.
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
    """A function of the weighted sums of columns (columns, batch) and of the weight (batch,)."""
    table = np.column_stack(columns).astype(np.float64, copy=False)
    return lambda weights: np.asarray(function((weights @ table).T, weights.sum(axis=1)))


def macro(scorers: Sequence[Scorer]) -> Scorer:
    """Mean of a metric over the classes, each against the rest."""
    return lambda weights: np.asarray(np.mean([scorer(weights) for scorer in scorers], axis=0))


def mean(values: ArrayLike) -> Scorer:
    """Mean of one value a row: a loss, or 0 and 1 for a rate such as coverage."""
    return sums(lambda totals, weight: totals[0] / weight, values)


def roc_auc(positive: Bools, score: Floats) -> Scorer:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties a half.

    The Mann-Whitney statistic (Hanley & McNeil 1982). NaN without a positive or a negative.
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
    """Mean, over the positives, of the precision among rows that score as high or higher.

    The step-wise area under the precision-recall curve. NaN without a positive or a negative.
    """
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
    """Cross-entropy in nats; as in scikit-learn, no probability is below its type's eps."""
    eps = np.finfo(prediction.dtype).eps
    chosen = np.take_along_axis(prediction, target[:, None], axis=1)[:, 0]
    return mean(-np.log(np.clip(chosen, eps, 1 - eps), dtype=np.float64))


def brier_score(target: Codes, prediction: Floats) -> Scorer:
    """Mean squared error of the probabilities (Brier 1950), of the positive class if of two."""
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
    """Precision, recall and F1 of the positive class; NaN without predicted, or without any."""
    hits = (target == 1) & (predicted == 1)

    def share(*parts: NDArray[np.bool_]) -> Scorer:
        return sums(lambda totals, _: _ratio(totals[0], totals[1:].mean(axis=0)), hits, *parts)

    found, actual = predicted == 1, target == 1
    return {"precision": share(found), "recall": share(actual), "f1": share(found, actual)}


def calibration_error(happened: Bools, probability: Floats, bins: int) -> Scorer:
    """Root mean square gap between probability and frequency, over bins of equal count.

    Debiased (Kumar, Liang & Ma 2019): the plain expected calibration error takes the noise of a
    bin's frequency for miscalibration, and on a resample, which has twice the noise, takes it
    twice, so that its interval would lie above its value. Noise shrinks with the number of
    independent rows, which for weights is Kish's (1965) (sum w)^2 / sum w^2.
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
    """Of intervals: their ends as the quantiles that leave out as many rows below as above.

    The mean of both ends' losses (Koenker & Bassett 1978); it grows with the width of the interval
    and with each miss, so that neither too wide nor too narrow intervals come out as good.
    """
    tail = (1 - coverage) / 2
    below, above = np.asarray(target, np.float64) - low, np.asarray(target, np.float64) - high
    losses = [
        np.maximum(level * error, (level - 1) * error)
        for level, error in ((tail, below), (1 - tail, above))
    ]
    return mean(np.mean(losses, axis=0))


def r2(target: Floats, error: Floats) -> Scorer:
    """Share of the target's variance that is explained; NaN if the target does not vary."""
    centred = np.asarray(target, np.float64) - np.mean(target, dtype=np.float64)

    def explained(totals: Values, weight: Values) -> Values:
        residual, first, second = totals / weight
        variance = second - first**2
        variance[variance < 1e-12 * second] = 0  # nothing but rounding
        return 1 - _ratio(residual, variance)

    return sums(explained, np.asarray(error, np.float64) ** 2, centred, centred**2)


# Arrays


def binned(probability: Floats, bins: int) -> list[Rows]:
    """The rows of each bin, from the lowest probabilities up; equal counts, ties kept together."""
    edges = np.quantile(np.asarray(probability, np.float64), np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, probability)
    return [np.flatnonzero(place == b) for b in np.unique(place)]


def _ranked(positive: Bools, score: Floats) -> tuple[Rows, Rows]:
    """The rows of the positives and of the negatives, each from the highest score down."""
    order = np.argsort(-score, kind="stable")
    return order[positive[order]], order[~positive[order]]


def _cumulative(weights: Weights, rows: Rows) -> Values:
    """(batch, n + 1): the weight of the first 0, 1, … n of these rows."""
    total = np.zeros((len(weights), len(rows) + 1))
    np.take(weights, rows, axis=1).cumsum(axis=1, out=total[:, 1:])
    return total


def _totals(groups: Sequence[Rows], *columns: ArrayLike) -> Callable[[Weights], Values]:
    """Weights to (1 + columns, groups, batch): the weight and the weighted columns by group."""
    table = np.column_stack([np.ones(np.shape(columns[0])), *columns])
    parts = [(rows, table[rows]) for rows in groups]
    return lambda weights: np.stack(
        [np.take(weights, rows, axis=1) @ part for rows, part in parts]
    ).transpose(2, 0, 1)


def _ratio(part: Values, whole: Values) -> Values:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _positive(values: Values) -> Values:
    return np.maximum(values, np.finfo(np.float64).tiny)
