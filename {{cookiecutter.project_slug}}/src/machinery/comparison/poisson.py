"""poisson: a number of rows in; resamples of them out, fast where there are many."""

from collections.abc import Iterator
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.statistics.intervals import Codes, Weights

BATCH_BYTES = 8_000_000  # of weights at a time: enough for a matrix product to pay


def poisson(
    rows: int, *, samples: int, seed: int, groups: Codes | None = None
) -> Iterator[Weights]:
    """Batches of weights: each row (or group) counts Poisson(1) times, whatever the others do.

    The Poisson bootstrap (Hanley & MacGibbon 2006, Computer Methods and Programs in Biomedicine
    83:57), which on many rows is the same as drawing with replacement, and several times faster.
    """
    random, table = np.random.PCG64(seed), _table()
    units = rows if groups is None else int(groups.max()) + 1
    most = max(1, BATCH_BYTES // (8 * rows))
    for start in range(0, samples, most):
        lines = min(most, samples - start)
        raw = random.random_raw(-(-lines * units // 4)).astype("<u8", copy=False)
        counts = table.take(raw.view("<u2")[: lines * units]).reshape(lines, units)
        weights = counts.astype(np.float64)
        yield weights if groups is None else weights.take(groups, axis=1)


def _table() -> NDArray[np.uint8]:
    """The count that belongs to each of 65,536 equally likely numbers."""
    upto = np.cumsum([exp(-1) / factorial(count) for count in range(12)])
    return np.searchsorted(upto, (np.arange(65536) + 0.5) / 65536).astype(np.uint8)
