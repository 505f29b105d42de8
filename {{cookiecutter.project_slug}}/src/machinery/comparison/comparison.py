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

from machinery.pipeline.compute import ParallelMap, local_map
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


@dataclass(frozen=True)
class Line:
    """One metric of both models."""

    name: str
    champion: float
    challenger: float
    difference: Interval

    @property
    def more(self) -> bool | None:
        """Whether more of it is better; None if neither is."""
        return None if self.name == "coverage" else metrics.greater_is_better(self.name)

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
    spread: ParallelMap = local_map,
) -> Comparison:
    """Every metric, and the headline metric of each slice, by a paired bootstrap.

    The target holds class codes or values, one a row; `groups`, a code for each row's group or day
    where the unit is not rows; `slices`, column, value and positions of each slice.
    """

    def lines(rows: Positions, only: str | None = None) -> dict[str, Line]:
        """Each metric that both have, or one of them, on some rows."""
        was, now = (
            evaluation.scorers(
                task, target[rows], model.prediction[rows], model.rule, model.coverage, bins
            )
            for model in (champion, challenger)
        )
        names = [name for name in now if name in was and only in (None, name)]
        pairs = {name: intervals.difference(now[name], was[name]) for name in names}
        within = None if groups is None else intervals.codes(groups[rows])
        drawn = settings.model_dump(exclude={"relevant"})
        found = intervals.bootstrap(pairs, len(rows), groups=within, spread=spread, **drawn)

        def value(scorer: Scorer) -> float:
            return float(scorer(np.ones((1, len(rows))))[0])

        return {n: Line(n, value(was[n]), value(now[n]), found[n]) for n in names}

    overall = lines(np.arange(len(target)))
    return Comparison(
        rows=len(target),
        unit=unit,
        units=len(target) if groups is None else len(np.unique(groups)),
        lines=tuple(overall.values()),
        headline=overall[headline],
        slices=tuple(
            Slice(column, value, len(rows), lines(rows, headline)[headline])
            for column, value, rows in slices
        ),
        same=np.array_equal(champion.prediction, challenger.prediction),
    )
