"""ranking: many rows and their scores in; scorers of them that are fast out.

They agree with those of metrics.py. On more rows than MANY, sums over rows in the order of their
scores cost too much for thousands of resamples, so that rows of about the same score are counted
together: exact up to LEVELS different scores, and beyond as good for an interval.
"""

from collections.abc import Mapping

import numpy as np

from machinery.pipeline.statistics.intervals import Codes, Scorer, Values, Weights
from machinery.pipeline.statistics.metrics import Bools, Floats, binned, debiased, macro, ranked, top_label
from .sums import once

MANY = 10_000
LEVELS = 4096  # their counts, for two models, stay in the cache of a processor


class Counts:
    """How much weight positives and negatives have at each level of the score, from the top."""

    def __init__(self, positive: Bools, score: Floats) -> None:
        """Bind the rows."""
        place = levels(-score)
        self.levels = int(place.max()) + 1
        self.cells = np.asarray(place + np.where(positive, 0, self.levels), dtype=np.intp)
        self._sums = once(self._count)  # for which several metrics ask

    def __call__(self, weights: Weights) -> Values:
        """(batch, 2, levels)."""
        return self._sums(weights)

    def _count(self, weights: Weights) -> Values:
        sums = [np.bincount(self.cells, line, 2 * self.levels) for line in weights]
        return np.reshape(sums, (len(weights), 2, self.levels))


def levels(values: Floats) -> Codes:
    """The level of each value, from the lowest up; where there are too many, of equal counts."""
    found, place = np.unique(values, return_inverse=True)
    if len(found) <= LEVELS:
        return np.asarray(place)
    edges = np.quantile(values, np.linspace(0, 1, LEVELS + 1)[1:-1])
    return np.searchsorted(np.unique(edges), values)


def roc_auc(counts: Counts) -> Scorer:
    """Area under the ROC curve, as `metrics.roc_auc`."""

    def scorer(weights: Weights) -> Values:
        hits, misses = counts(weights).transpose(1, 0, 2)
        above = misses.cumsum(axis=1)
        pairs = 2 * hits.sum(axis=1) * above[:, -1]
        return _share(pairs - np.vecdot(hits, 2 * above - misses), pairs)

    return scorer


def average_precision(counts: Counts) -> Scorer:
    """Mean precision over the positives, as `metrics.average_precision`."""

    def scorer(weights: Weights) -> Values:
        hits, misses = counts(weights).transpose(1, 0, 2)
        found, wrong = hits.cumsum(axis=1), misses.cumsum(axis=1)
        total = np.vecdot(hits, _share(found, found + wrong, empty=0.0))
        return _share(total, found[:, -1] * (wrong[:, -1] > 0))

    return scorer


def calibration_error(counts: Counts, happened: Bools, probability: Floats, bins: int) -> Scorer:
    """Gap between probability and frequency, as `metrics.calibration_error`.

    A resample's rows of a cell stand for its mean row, shared out to the bins of its rows.
    """
    gap: Values = happened - np.asarray(probability, np.float64)
    place = np.zeros(len(gap), dtype=np.intp)
    for number, rows in enumerate(binned(probability, bins)):
        place[rows] = number
    table = _by_cell(counts, place, np.stack([np.ones_like(gap), gap, gap**2]))

    def scorer(weights: Weights) -> Values:
        sums = np.tensordot(table, counts(weights).reshape(len(weights), -1), axes=(2, 1))
        return debiased(sums, weights)

    return scorer


def _by_cell(counts: Counts, place: Codes, figures: Values) -> Values:
    """(figures, bins, cells): the mean of each figure in a cell, shared out to the bins."""
    cells, bins = 2 * counts.levels, int(place.max()) + 1
    rows = np.maximum(np.bincount(counts.cells, minlength=cells), 1)
    both = place * cells + counts.cells
    sums = [np.bincount(both, each, bins * cells).reshape(bins, cells) for each in figures]
    return np.stack(sums) / rows


def scorers(
    target: Codes, prediction: Floats, plain: Mapping[str, Scorer], bins: int = 10
) -> dict[str, Scorer]:
    """The metrics that look at the order of rows; of more than two classes, one against the rest.

    Shifted to the `plain` scorers' figures of all rows: what the levels take away is of the same
    size in every resample.
    """
    counts = [Counts(target == each, prediction[:, each]) for each in ranked(prediction)]
    top = top_label(target, prediction)
    fast = {
        "roc_auc": macro([roc_auc(each) for each in counts]),
        "average_precision": macro([average_precision(each) for each in counts]),
        "calibration_error": calibration_error(
            counts[0] if len(counts) == 1 else Counts(*top), *top, bins
        ),
    }
    everything = np.ones((1, len(target)))
    return {
        name: _shifted(each, plain[name](everything) - each(everything))
        for name, each in fast.items()
    }


def _shifted(scorer: Scorer, by: Values) -> Scorer:
    return lambda weights: scorer(weights) + by


def _share(part: Values, whole: Values, empty: float = np.nan) -> Values:
    return np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
