"""Confidence intervals of proportions, of means, and of scorers by bootstrap or jackknife."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan, nan, sqrt
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.progress import track

Codes = NDArray[np.integer[Any]]
Unit = Literal["rows", "days", "groups"]
Values = NDArray[np.float64]
Weights = NDArray[np.float64]  # (batch, rows): how often each resample contains each row
Scorer = Callable[[Weights], Values]  # one value per resample; NaN where it is undefined

MIN_GROUPS = 10  # with fewer groups, resamples are too much alike for an interval
MIN_JACKKNIFE = 3

BATCH_BYTES = 2_000_000  # of weights at a time, to stay in the cache; scorers need a few times that
BLOCK = 20  # resamples drawn from one random stream
PIECES = 64  # at most, of a bootstrap that is computed in parallel
FAR = 20_000_000  # rows × samples from which computing in parallel pays off


class Interval(NamedTuple):
    """An estimate and the limits of its confidence interval; NaN means undefined."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """As a JSON object; NaN becomes null."""
        return {name: None if isnan(x) else x for name, x in self._asdict().items()}


def wilson(successes: int, rows: int, level: float) -> Interval:
    """Score interval of a rate (Wilson 1927), which also works at 0 and 1; [0, 1] without rows."""
    if rows == 0:
        return Interval(nan, 0.0, 1.0)
    rate = successes / rows
    z = NormalDist().inv_cdf((1 + level) / 2)
    shrink = 1 + z * z / rows
    centre = (rate + z * z / (2 * rows)) / shrink
    half = z * sqrt(rate * (1 - rate) / rows + (z / (2 * rows)) ** 2) / shrink
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def mean_interval(values: ArrayLike, level: float) -> Interval:
    """Student's t interval of the mean, without NaN; one value has a mean but no interval."""
    from scipy.special import stdtrit  # here: most callers of this module never need SciPy

    sample = np.asarray(values, dtype=np.float64)
    sample = sample[~np.isnan(sample)]
    if sample.size < 2:
        return Interval(float(sample[0]) if sample.size else nan, nan, nan)
    mean = float(sample.mean())
    error = float(sample.std(ddof=1)) / sqrt(sample.size)
    half = float(stdtrit(sample.size - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def difference(a: Scorer, b: Scorer) -> Scorer:
    """Scorer of a - b, paired on the same resample, so that common effects cancel."""
    return lambda weights: a(weights) - b(weights)


def bootstrap(
    scorers: Mapping[str, Scorer],
    rows: int,
    *,
    samples: int,
    level: float,
    seed: int,
    groups: Codes | None = None,
    spread: ParallelMap = local_map,
) -> dict[str, Interval]:
    """Expanded percentile bootstrap (Hesterberg 2015) of every scorer.

    All scorers, and all calls with the same rows and seed, see the same resamples. `groups` (codes
    from 0, one per row) resamples whole groups, for rows that are not independent.
    """
    once = np.ones((1, rows))
    blocks = range(-(-samples // BLOCK))
    size = -(-len(blocks) // PIECES)
    pieces = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    if rows * samples < FAR:
        spread, pieces = local_map, [blocks]
    scored = spread(_score, (dict(scorers), rows, samples, seed, groups), pieces)
    parts = list(track(scored, f"bootstrap of {rows} rows", len(pieces)))
    sizes = np.ones(rows) if groups is None else np.unique(groups, return_counts=True)[1]
    if groups is not None and len(sizes) < MIN_GROUPS:
        sizes = sizes[:0]
    return {
        name: percentile_interval(
            float(scorer(once)[0]), np.concatenate([part[name] for part in parts]), level, sizes
        )
        for name, scorer in scorers.items()
    }


def _score(
    shared: tuple[Mapping[str, Scorer], int, int, int, Codes | None], blocks: range
) -> dict[str, Values]:
    """The values of every scorer on these blocks of resamples."""
    scorers, rows, samples, seed, groups = shared
    values: dict[str, list[Values]] = {name: [] for name in scorers}
    for weights in resamples(rows, samples, seed, groups, blocks):
        for name, scorer in scorers.items():
            values[name].append(scorer(weights))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def jackknife(scorers: Mapping[str, Scorer], groups: Codes, level: float) -> dict[str, Interval]:
    """Delete-a-group jackknife of every scorer, with Student's t (Wolter 2007, chapter 4).

    For a few groups of very many rows: it needs one evaluation per group, where a bootstrap needs a
    thousand. Degrees of freedom are the groups minus one. Low and high are NaN for fewer than
    MIN_JACKKNIFE groups, and where a scorer is undefined without one of them.
    """
    from scipy.special import stdtrit

    count = int(groups.max()) + 1 if len(groups) else 0
    once = np.ones((1, len(groups)))
    left_out: dict[str, list[float]] = {name: [] for name in scorers}
    for group in range(count if count >= MIN_JACKKNIFE else 0):
        weights = (groups != group)[None].astype(np.float64)
        for name, scorer in scorers.items():
            left_out[name].append(float(scorer(weights)[0]))
    intervals = {}
    for name, scorer in scorers.items():
        value, half = float(scorer(once)[0]) if len(groups) else nan, nan
        if left_out[name]:
            spread = (count - 1) ** 2 / count * float(np.var(left_out[name], ddof=1))
            half = float(stdtrit(count - 1, (1 + level) / 2)) * sqrt(spread)
        intervals[name] = Interval(value, value - half, value + half)
    return intervals


def percentile_interval(
    value: float, resampled: Values, level: float, sizes: NDArray[Any]
) -> Interval:
    """The interval of an estimate from its values on resamples of units with these sizes.

    The spread of resamples of n units is too small by the factor sqrt((n - 1) / n), and it is
    itself uncertain: the percentiles are those of Student's t with n - 1 degrees of freedom, where
    n is the effective number of units of unequal size, (sum m)^2 / sum m^2 (Kish 1965).

    NaN is dropped. Low and high are NaN if less than half of the resamples remain, or if there are
    fewer than two units.
    """
    from scipy.special import ndtr, stdtrit  # here: most callers of this module never need SciPy

    defined = resampled[~np.isnan(resampled)]
    if 2 * defined.size < resampled.size or len(sizes) < 2:
        return Interval(value, nan, nan)
    units = float(sizes.sum()) ** 2 / float(np.vecdot(sizes, sizes))
    tail = float(ndtr(stdtrit(units - 1, (1 - level) / 2) * sqrt(units / (units - 1))))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def resamples(
    rows: int,
    samples: int,
    seed: int,
    groups: Codes | None = None,
    blocks: Iterable[int] | None = None,
) -> Iterator[Weights]:
    """Batches of weights: how often each row is drawn, rows (or groups) with replacement.

    Each block of BLOCK resamples has a random stream of its own, so that any of them can be drawn
    anywhere; `blocks` defaults to all.

    The weights are float64: sums of counts are exact in any order, and other sums agree between
    processors beyond the six digits that reports keep.
    """
    units = rows if groups is None else int(groups.max()) + 1
    blocks = range(-(-samples // BLOCK)) if blocks is None else blocks
    for draws in _draws(units, samples, seed, blocks, max(1, BATCH_BYTES // (8 * rows))):
        draws += units * np.arange(len(draws))[:, None]
        counts = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        weights = counts.astype(np.float64)
        yield weights if groups is None else weights.take(groups, axis=1)


def _draws(
    units: int, samples: int, seed: int, blocks: Iterable[int], limit: int
) -> Iterator[NDArray[np.int64]]:
    """The units that each resample draws (batch, units), at most `limit` resamples at a time."""
    batch: list[NDArray[np.int64]] = []
    for block in blocks:
        random, size = np.random.default_rng([seed, block]), min(BLOCK, samples - block * BLOCK)
        for start in range(0, size, limit):
            step = min(limit, size - start)
            if batch and sum(map(len, batch)) + step > limit:
                yield np.concatenate(batch)
                batch = []
            batch.append(random.integers(units, size=(step, units)))
    yield np.concatenate(batch)


def codes(groups: ArrayLike) -> Codes:
    """The groups as consecutive codes from 0."""
    return np.unique(groups, return_inverse=True)[1]
