"""ranking: many rows and their scores in; resamples and scorers of them that are fast out.

They agree with those of intervals.py and metrics.py. On more rows than MANY, sums over rows in the
order of their scores cost too much for thousands of resamples, so that rows of about the same score
are counted together: exact up to LEVELS different scores, and beyond as good for an interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

from ..intervals import Codes, Scorer, Values, Weights, batch
from ..metrics import Bools, Floats

MANY = 20_000
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


def scorers(target: Codes, prediction: Floats, plain: Mapping[str, Scorer]) -> dict[str, Scorer]:
    """Both metrics; of more than two classes, the mean of one against the rest.

    Shifted to the `plain` scorers' figures of all rows: what the levels take away is of the same
    size in every resample.
    """
    classes: Sequence[int] = range(prediction.shape[1])
    ranked = classes if len(classes) > 2 else classes[1:]
    counts = [Counts(target == each, prediction[:, each]) for each in ranked]
    fast = {
        "roc_auc": _mean([roc_auc(each) for each in counts]),
        "average_precision": _mean([average_precision(each) for each in counts]),
    }
    everything = np.ones((1, len(target)))
    return {
        name: _shifted(each, plain[name](everything) - each(everything))
        for name, each in fast.items()
    }


def _mean(scorers: Sequence[Scorer]) -> Scorer:
    return lambda weights: np.asarray(np.mean([scorer(weights) for scorer in scorers], axis=0))


def _shifted(scorer: Scorer, by: Values) -> Scorer:
    return lambda weights: scorer(weights) + by


def poisson(
    rows: int, *, samples: int, seed: int, groups: Codes | None = None
) -> Iterator[Weights]:
    """Batches of weights: each row (or group) counts Poisson(1) times, whatever the others do.

    The Poisson bootstrap (Hanley & MacGibbon 2006, Computer Methods and Programs in Biomedicine
    83:57), which on many rows is the same as drawing with replacement, and several times faster.
    """
    random, table = np.random.PCG64(seed), _poisson_table()
    units = rows if groups is None else int(groups.max()) + 1
    for start in range(0, samples, batch(rows)):
        lines = min(batch(rows), samples - start)
        raw = random.random_raw(-(-lines * units // 4)).astype("<u8", copy=False)
        counts = table[raw.view("<u2")[: lines * units]].reshape(lines, units)
        yield (counts if groups is None else counts[:, groups]).astype(np.float64)


def _poisson_table() -> NDArray[np.uint8]:
    """The count that belongs to each of 65,536 equally likely numbers."""
    upto = np.cumsum([exp(-1) / factorial(count) for count in range(12)])
    return np.searchsorted(upto, (np.arange(65536) + 0.5) / 65536).astype(np.uint8)


def _share(part: Values, whole: Values, empty: float = np.nan) -> Values:
    return np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
