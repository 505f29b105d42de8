"""comparison: two models' predictions of the same rows in; what differs, and is it chance, out.

All differences are challenger minus champion on the very same resamples of rows (or of groups), so
that what makes a row hard for both cancels out. A difference is significant when its interval does
not hold zero: two equal models then come out as different once in twenty times at a level of 0.95.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.model import conformal
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Codes, Interval, Scorer, Unit, Values, bootstrap, codes, difference
from machinery.pipeline.params import Report
from . import clusters, ranking
from .delong import DeLong, delong
from .poisson import poisson
from .sums import together

Outcome = Literal["better", "worse", "different", "no significant difference"]
Bound = Mapping[str, Scorer]
Positions = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Scored:
    """A model's predictions, and what turns them into decisions and sets."""

    prediction: NDArray[Any]
    threshold: float | None
    conformal_quantile: float
    coverage: float = 0.9  # at which the pinball loss takes its intervals


@dataclass(frozen=True)
class Line:
    """One metric of both models; `more` says whether more of it is good, None where neither is."""

    name: str
    champion: float
    challenger: float
    difference: Interval
    more: bool | None

    @property
    def outcome(self) -> Outcome:
        """What the interval of the difference says of the challenger."""
        low, high = self.difference.low, self.difference.high
        if not (low > 0 or high < 0):  # so that NaN is no difference, too
            return "no significant difference"
        if self.more is None:
            return "different"
        return "better" if (low > 0) == self.more else "worse"


@dataclass(frozen=True)
class Slice:
    """The headline metric on the rows with one value in a column."""

    column: str
    value: str
    rows: int
    line: Line


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion on the same rows."""

    rows: int
    unit: Unit  # that was resampled, and how many there are
    units: int
    lines: tuple[Line, ...]
    headline: Line
    slices: tuple[Slice, ...]
    delong: DeLong | None
    same: bool  # all predictions

    @property
    def worse_slices(self) -> list[Slice]:
        """Those that got worse beyond their interval."""
        return [each for each in self.slices if each.line.outcome == "worse"]


def compare(
    task: metrics.Task,
    target: NDArray[Any],
    champion: Scored,
    challenger: Scored,
    headline: str,
    dials: Report,
    *,
    bins: int = 10,
    unit: Unit = "rows",
    groups: Codes | None = None,
    slices: Iterable[tuple[str, str, Positions]] = (),
) -> Comparison:
    """Every metric and slice of two models.

    Args:
        task: classification or regression.
        target: class codes or values, one a row.
        champion, challenger: their predictions of these rows.
        headline: the metric that decides.
        dials: samples, level and seed of the paired bootstrap.
        bins: of the calibration error.
        unit: what is resampled.
        groups: a code for each row's group or day, where rows are not independent.
        slices: column, value and rows of each slice.
    """
    both = (champion, challenger)
    lines = _lines(task, target, both, dials, groups, bins)
    return Comparison(
        rows=len(target),
        unit=unit,
        units=len(target) if groups is None else len(np.unique(groups)),
        lines=tuple(lines.values()),
        headline=lines[headline],
        slices=tuple(_slices(task, target, both, headline, dials, groups, slices)),
        delong=_delong(target, both, dials) if unit != "groups" else None,
        same=np.array_equal(champion.prediction, challenger.prediction),
    )


def scorers(
    task: metrics.Task, target: NDArray[Any], scored: Scored, bins: int = 10
) -> dict[str, Scorer]:
    """All metrics of the task, and the coverage of the prediction sets or intervals."""
    threshold = 0.5 if scored.threshold is None else scored.threshold
    found = metrics.scorers(task, target, scored.prediction, threshold=threshold, bins=bins)
    if task == "classification" and len(target) > ranking.MANY:
        found |= ranking.scorers(target, scored.prediction, found, bins)
    quantile = scored.conformal_quantile
    if task == "regression" and np.isfinite(quantile):
        ends = conformal.interval(scored.prediction, quantile)
        found["mean_pinball_loss"] = metrics.mean_pinball_loss(target, *ends, scored.coverage)
    covered = conformal.covers(target, scored.prediction, quantile)
    return found | {"coverage": metrics.mean(covered)}


def differences(
    bound: Sequence[Bound],
    rows: int,
    dials: Report,
    groups: Codes | None = None,
    by_group: Sequence[Bound] = ({}, {}),
) -> dict[str, Line]:
    """Each metric of champion and challenger, and the interval of the difference.

    `bound` are scorers of the rows; `by_group`, of the groups, take the place of those they can.
    """
    left = [{name: each[name] for name in each if name not in by_group[0]} for each in bound]
    found = _intervals(left, rows, dials, groups)
    if groups is not None:
        units = int(groups.max()) + 1
        found |= _intervals(by_group, units, dials, np.arange(units))
    everything = np.ones((1, rows))
    values = [{name: float(each[name](everything)[0]) for name in found} for each in bound]
    return {
        name: Line(name, values[0][name], values[1][name], found[name], _more(name))
        for name in bound[1]
        if name in found
    }


def _intervals(
    bound: Sequence[Bound], rows: int, dials: Report, groups: Codes | None
) -> dict[str, Interval]:
    """Of the differences in all that both have."""
    champion, challenger = together(bound)
    pairs = {
        name: difference(challenger[name], champion[name])
        for name in challenger
        if name in champion
    }
    if not pairs:
        return {}
    units = rows if groups is None else int(groups.max()) + 1
    draw = poisson if units > ranking.MANY else None
    return bootstrap(pairs, rows, groups=groups, draw=draw, **dials.model_dump())


def _lines(
    task: metrics.Task,
    target: NDArray[Any],
    both: Sequence[Scored],
    dials: Report,
    groups: Codes | None,
    bins: int = 10,
    only: str | None = None,
) -> dict[str, Line]:
    """Every metric, or only one."""
    bound = [scorers(task, target, each, bins) for each in both]
    if only is not None:
        bound = [{only: each[only]} for each in bound]
    if groups is None:
        return differences(bound, len(target), dials)
    by_group = [
        clusters.scorers(target, each.prediction, plain, groups)
        for each, plain in zip(both, bound, strict=True)
    ]
    return differences(bound, len(target), dials, groups, by_group)


def _slices(
    task: metrics.Task,
    target: NDArray[Any],
    both: Sequence[Scored],
    headline: str,
    dials: Report,
    groups: Codes | None,
    slices: Iterable[tuple[str, str, Positions]],
) -> Iterator[Slice]:
    for column, value, rows in slices:
        parts = [Scored(e.prediction[rows], e.threshold, e.conformal_quantile) for e in both]
        within = None if groups is None else codes(groups[rows])
        line = _lines(task, target[rows], parts, dials, within, only=headline)[headline]
        yield Slice(column, value, len(rows), line)


def _more(name: str) -> bool | None:
    return None if name == "coverage" else metrics.greater_is_better(name)


def _delong(target: Values, both: tuple[Scored, Scored], dials: Report) -> DeLong | None:
    if any(each.prediction.ndim == 1 or each.prediction.shape[1] != 2 for each in both):
        return None
    a, b = (each.prediction[:, 1] for each in both)
    return delong(target == 1, a, b, dials.level)
