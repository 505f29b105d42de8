"""ranking: target and scores in; scorers of ranking metrics that are fast on many resamples out.

They agree with those of metrics.py. On as many rows as a report may have, sums over rows in the
order of their scores cost too much for thousands of resamples, so that rows of about the same score
are counted together: exact up to LEVELS different scores, and within 1e-6 beyond.
"""

from collections.abc import Sequence

import numpy as np

from ..intervals import Scorer, Values, Weights
from ..metrics import Bools, Codes, Floats, _macro

LEVELS = 4096  # their counts, for two models, stay in the cache of a processor


class Counts:
    """How much weight positives and negatives have at each level of the score, from the top."""

    def __init__(self, positive: Bools, score: Floats) -> None:
        """Bind the rows."""
        place = levels(-score)
        self._levels = int(place.max()) + 1
        self._codes = np.asarray(place + np.where(positive, 0, self._levels), dtype=np.intp)
        self._seen: tuple[Weights, Values] | None = None

    def __call__(self, weights: Weights) -> Values:
        """(batch, 2, levels); the last batch is kept, since several metrics ask for it."""
        if self._seen is None or self._seen[0] is not weights:
            sums = [np.bincount(self._codes, line, 2 * self._levels) for line in weights]
            self._seen = weights, np.reshape(sums, (len(weights), 2, self._levels))
        return self._seen[1]


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


def scorers(target: Codes, prediction: Floats) -> dict[str, Scorer]:
    """Both metrics; of more than two classes, the mean of one against the rest."""
    classes: Sequence[int] = range(prediction.shape[1])
    ranked = classes if len(classes) > 2 else classes[1:]
    counts = [Counts(target == each, prediction[:, each]) for each in ranked]
    return {
        "roc_auc": _macro([roc_auc(each) for each in counts]),
        "average_precision": _macro([average_precision(each) for each in counts]),
    }


def _share(part: Values, whole: Values, empty: float = np.nan) -> Values:
    return np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
