"""comparison: two models' predictions of the same rows in; what differs, and is it chance, out.

All differences are challenger minus champion on the very same resamples of rows (or of groups), so
that what makes a row hard for both cancels out. A difference is significant when its interval does
not contain zero: at a level of 0.95, two equal models differ significantly once in twenty times.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.model import evaluation
from machinery.pipeline.model.decision import Rule
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import intervals, metrics
from machinery.pipeline.statistics.intervals import Codes, Interval, Scorer, Unit
from machinery.pipeline.statistics.slices import Positions


@dataclass(frozen=True)
class Scored:
    """A model's predictions, what turns them into decisions and sets, and their coverage."""

    prediction: NDArray[Any]
    rule: Rule
    coverage: float = 0.9

    def scorers(self, task: metrics.Task, target: NDArray[Any], bins: int) -> dict[str, Scorer]:
        """Every metric of these predictions."""
        return evaluation.scorers(task, target, self.prediction, self.rule, self.coverage, bins)

    def part(self, rows: Positions) -> "Scored":
        """The predictions of some rows."""
        return Scored(self.prediction[rows], self.rule, self.coverage)


@dataclass(frozen=True)
class Line:
    """One metric of both models; `more` says whether more of it is better, None if neither is."""

    name: str
    champion: float
    challenger: float
    difference: Interval
    more: bool | None

    @property
    def outcome(self) -> str:
        """Better, worse, different (neither is better), or no significant difference."""
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
    same: bool  # all predictions

    @property
    def worse_slices(self) -> list[Slice]:
        """Those that got significantly worse."""
        return [part for part in self.slices if part.line.outcome == "worse"]


def compare(
    task: metrics.Task,
    target: NDArray[Any],
    champion: Scored,
    challenger: Scored,
    headline: str,
    settings: Report,
    *,
    bins: int = 10,
    unit: Unit = "rows",
    groups: Codes | None = None,
    slices: Iterable[tuple[str, str, Positions]] = (),
) -> Comparison:
    """Every metric, and the headline metric of each slice, by a paired bootstrap.

    The target holds class codes or values, one a row; `groups`, a code for each row's group or day
    where the unit is not rows; `slices`, column, value and positions of each slice.
    """
    both = (champion, challenger)
    bound = [model.scorers(task, target, bins) for model in both]
    lines = differences(bound[0], bound[1], len(target), settings, groups)
    parts = []
    for column, value, rows in slices:
        bound = [model.part(rows).scorers(task, target[rows], bins) for model in both]
        was, now = ({headline: scorers[headline]} for scorers in bound)
        within = None if groups is None else intervals.codes(groups[rows])
        line = differences(was, now, len(rows), settings, within)[headline]
        parts.append(Slice(column, value, len(rows), line))
    return Comparison(
        rows=len(target),
        unit=unit,
        units=len(target) if groups is None else len(np.unique(groups)),
        lines=tuple(lines.values()),
        headline=lines[headline],
        slices=tuple(parts),
        same=np.array_equal(champion.prediction, challenger.prediction),
    )


def differences(
    champion: dict[str, Scorer],
    challenger: dict[str, Scorer],
    rows: int,
    settings: Report,
    groups: Codes | None = None,
) -> dict[str, Line]:
    """Each metric that both have, and the interval of the difference."""
    names = [name for name in challenger if name in champion]
    pairs = {name: intervals.difference(challenger[name], champion[name]) for name in names}
    found = intervals.bootstrap(pairs, rows, groups=groups, **settings.model_dump())
    everything = np.ones((1, rows))

    def line(name: str) -> Line:
        was, now = (float(bound[name](everything)[0]) for bound in (champion, challenger))
        more = None if name == "coverage" else metrics.greater_is_better(name)
        return Line(name, was, now, found[name], more)

    return {name: line(name) for name in names}
