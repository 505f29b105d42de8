"""intervals: counts, values or scorers in; estimates with their confidence intervals out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan, nan, sqrt
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from machinery.pipeline.compute import ParallelMap, local_map

Codes = NDArray[np.integer[Any]]
Unit = Literal["rows", "days", "groups"]
Values = NDArray[np.float64]
Weights = NDArray[np.float64]  # (batch, rows): how often each row counts, a resample a line
Scorer = Callable[[Weights], Values]  # one value a resample; NaN where it is not defined

Resampled = dict[str, Values]
Watch = Callable[[Iterator[Resampled], int], Iterable[Resampled]]

MIN_GROUPS = 10  # fewer have no interval: resamples of them are too much alike
MIN_JACKKNIFE = 3

BATCH_BYTES = 2_000_000  # of weights at a time, to stay in the cache; scorers need a few times that
BLOCK = 20  # resamples that are drawn from one stream
PIECES = 64  # of a bootstrap, at most, which may be scored in as many places
FAR = 20_000_000  # rows times samples from which on it is worth sending them anywhere


class Interval(NamedTuple):
    """An estimate and the limits of its confidence interval; NaN stands for "not defined"."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """For JSON, which has no NaN: null instead."""
        return {name: None if isnan(x) else x for name, x in self._asdict().items()}


def wilson(successes: int, rows: int, level: float) -> Interval:
    """Interval of a rate; it behaves at 0 and 1 too (Wilson 1927). Without rows, from 0 to 1."""
    if rows == 0:
        return Interval(nan, 0.0, 1.0)
    rate = successes / rows
    z = NormalDist().inv_cdf((1 + level) / 2)
    shrink = 1 + z * z / rows
    centre = (rate + z * z / (2 * rows)) / shrink
    half = z * sqrt(rate * (1 - rate) / rows + (z / (2 * rows)) ** 2) / shrink
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def mean_interval(values: ArrayLike, level: float) -> Interval:
    """Student's t interval of the mean. NaN is dropped; one value has a mean but no interval."""
    from scipy.special import stdtrit  # here: most callers of this module never need SciPy

    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if known.size < 2:
        return Interval(float(known[0]) if known.size else nan, nan, nan)
    mean = float(known.mean())
    error = float(known.std(ddof=1)) / sqrt(known.size)
    half = float(stdtrit(known.size - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def difference(a: Scorer, b: Scorer) -> Scorer:
    """Scorer of a - b on the same resample: paired, so what moves both cancels out."""
    return lambda weights: a(weights) - b(weights)


def bootstrap(
    scorers: Mapping[str, Scorer],
    rows: int,
    *,
    samples: int,
    level: float,
    seed: int,
    groups: Codes | None = None,
    watch: Watch = lambda scored, total: scored,
    spread: ParallelMap = local_map,
) -> dict[str, Interval]:
    """Expanded percentile bootstrap (Hesterberg 2015) of every scorer at once.

    All scorers see the same resamples, and so does every call with the same rows and seed.
    `groups` (codes from 0, one a row) resamples whole groups, for rows that are not independent.
    `watch` is handed what is scored and how much that will be, to show progress.
    """
    everything = np.ones((1, rows))
    blocks = range(-(-samples // BLOCK))
    size = -(-len(blocks) // PIECES)
    pieces = [blocks[at : at + size] for at in range(0, len(blocks), size)]
    shared = dict(scorers), Draw(rows, samples, seed, groups)
    if rows * samples < FAR:
        spread, pieces = local_map, [blocks]
    scored = [*watch(spread(_score, shared, pieces), len(pieces))]
    sizes = np.ones(rows) if groups is None else np.unique(groups, return_counts=True)[1]
    if groups is not None and len(sizes) < MIN_GROUPS:
        sizes = sizes[:0]
    return {
        name: percentile_interval(
            float(scorer(everything)[0]),
            np.concatenate([values[name] for values in scored]),
            level,
            sizes,
        )
        for name, scorer in scorers.items()
    }


class Draw(NamedTuple):
    """How rows are drawn for resamples."""

    rows: int
    samples: int
    seed: int
    groups: Codes | None


def _score(shared: tuple[Mapping[str, Scorer], Draw], blocks: range) -> Resampled:
    """Every scorer on these blocks of resamples."""
    scorers, draw = shared
    found: dict[str, list[Values]] = {name: [] for name in scorers}
    for weights in resamples(*draw, blocks):
        for name, scorer in scorers.items():
            found[name].append(scorer(weights))
    return {name: np.concatenate(values) for name, values in found.items()}


def jackknife(scorers: Mapping[str, Scorer], groups: Codes, level: float) -> dict[str, Interval]:
    """Delete-a-group jackknife of every scorer, with Student's t (Wolter 2007, chapter 4).

    For few groups of very many rows: as many evaluations as there are groups, where a bootstrap
    needs a thousand, and an interval from three groups on. The degrees of freedom are the groups
    minus one; low and high are NaN for fewer groups, and where a scorer is not defined without one.
    """
    from scipy.special import stdtrit

    count = int(groups.max()) + 1 if len(groups) else 0
    once, found = np.ones((1, len(groups))), {}
    left_out: dict[str, list[float]] = {name: [] for name in scorers}
    for group in range(count if count >= MIN_JACKKNIFE else 0):
        weights = (groups != group)[None].astype(np.float64)
        for name, scorer in scorers.items():
            left_out[name].append(float(scorer(weights)[0]))
    for name, scorer in scorers.items():
        value, half = float(scorer(once)[0]) if len(groups) else nan, nan
        if left_out[name]:
            spread = (count - 1) ** 2 / count * float(np.var(left_out[name], ddof=1))
            half = float(stdtrit(count - 1, (1 + level) / 2)) * sqrt(spread)
        found[name] = Interval(value, value - half, value + half)
    return found


def percentile_interval(
    value: float, resampled: Values, level: float, sizes: NDArray[Any]
) -> Interval:
    """The interval of an estimate from its values on resamples of units with these sizes.

    The spread of resamples of n units is too small by the factor sqrt((n - 1) / n), and it is
    itself uncertain: the percentiles are those of Student's t with n - 1 degrees of freedom, n
    being the effective number of units of unequal size, (sum m)^2 / sum m^2 (Kish 1965).

    NaN is left out. Low and high are NaN if that leaves fewer than half of the resamples, or if
    there are no two units.
    """
    from scipy.special import ndtr, stdtrit  # here: most callers of this module never need SciPy

    known = resampled[~np.isnan(resampled)]
    if 2 * known.size < resampled.size or len(sizes) < 2:
        return Interval(value, nan, nan)
    units = float(sizes.sum()) ** 2 / float(np.vecdot(sizes, sizes))
    tail = float(ndtr(stdtrit(units - 1, (1 - level) / 2) * sqrt(units / (units - 1))))
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def resamples(
    rows: int,
    samples: int,
    seed: int,
    groups: Codes | None = None,
    blocks: Iterable[int] | None = None,
) -> Iterator[Weights]:
    """Batches of weights: how often each row is drawn, rows (or groups) with replacement.

    Each block of BLOCK resamples is drawn from a stream of its own, so that `blocks` may name any
    of them, to be scored anywhere; all by default.

    float64, not float32: sums of counts are then exact in any order, and the other sums agree
    between processors beyond the six digits that reports keep.
    """
    units = rows if groups is None else int(groups.max()) + 1
    every = range(-(-samples // BLOCK)) if blocks is None else blocks
    for drawn in _drawn(units, samples, seed, every, batch(rows)):
        drawn += units * np.arange(len(drawn))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        weights = counts.astype(np.float64)
        yield weights if groups is None else weights.take(groups, axis=1)


def _drawn(
    units: int, samples: int, seed: int, blocks: Iterable[int], most: int
) -> Iterator[NDArray[np.int64]]:
    """The units that are drawn, a resample a line, `most` lines at a time at most."""
    held: list[NDArray[np.int64]] = []
    for block in blocks:
        random, lines = np.random.default_rng([seed, block]), min(BLOCK, samples - block * BLOCK)
        for at in range(0, lines, most):
            if held and sum(map(len, held)) + min(most, lines - at) > most:
                yield np.concatenate(held)
                held = []
            held.append(random.integers(units, size=(min(most, lines - at), units)))
    yield np.concatenate(held)


def codes(groups: ArrayLike) -> Codes:
    """The groups as codes from 0, none of them left out."""
    return np.unique(groups, return_inverse=True)[1]


def units(
    by: str, groups: ArrayLike | None, times: NDArray[np.datetime64] | None
) -> tuple[Unit, Codes | None]:
    """What is resampled whole, since its rows are not independent, and a code of it for each row.

    Groups where the contract names one; days for a split by time, if there are MIN_GROUPS of them.
    """
    if groups is not None:
        return "groups", codes(groups)
    if by == "time" and times is not None:
        days = codes(times.astype("datetime64[D]"))
        if len(np.unique(days)) >= MIN_GROUPS:
            return "days", days
    return "rows", None


def batch(rows: int) -> int:
    """How many resamples of so many rows are held at a time."""
    return max(1, BATCH_BYTES // (8 * rows))
