"""Compare two models' predictions of the same rows, with intervals of the differences.

All differences are challenger minus champion on the same resamples of rows (or groups), so that
what makes a row hard for both cancels out. A difference is significant if its interval does not
contain zero: at a level of 0.95, two equal models differ significantly once in twenty times.
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
from machinery.pipeline.statistics.intervals import Codes, Interval, Unit
from machinery.pipeline.statistics.slices import Positions


@dataclass(frozen=True)
class Scored:
    """A model's predictions, the rule for decisions and prediction sets, and nominal coverage."""

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
        """Whether more is better; None if neither is."""
        return None if self.name == "coverage" else metrics.greater_is_better(self.name)

    @property
    def outcome(self) -> str:
        """Better, worse, different (neither is better), or no significant difference."""
        low, high = self.difference.low, self.difference.high
        if not (low > 0 or high < 0):  # NaN is no difference either
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
    unit: Unit  # of resampling
    units: int
    lines: tuple[Line, ...]
    headline: Line
    slices: tuple[Slice, ...]
    same: bool  # all predictions are equal

    @property
    def worse_slices(self) -> list[Slice]:
        """The slices that got significantly worse."""
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

    Args:
        target: class codes or values (n,).
        groups: codes of each row's group or day (n,), unless the unit is rows.
        slices: column, value and positions of each slice.
    """
    options = settings.model_dump(exclude={"relevant"}) | {"spread": spread}

    def lines(rows: Positions, only: str | None = None) -> dict[str, Line]:
        """The metrics that both models have, or one of them, on some rows."""
        old, new = (
            evaluation.scorers(
                task, target[rows], model.prediction[rows], model.rule, model.coverage, bins
            )
            for model in (champion, challenger)
        )
        names = [name for name in new if name in old and only in (None, name)]
        pairs = {name: intervals.difference(new[name], old[name]) for name in names}
        codes = None if groups is None else intervals.codes(groups[rows])
        differences = intervals.bootstrap(pairs, len(rows), groups=codes, **options)
        once = np.ones((1, len(rows)))
        return {
            name: Line(
                name, float(old[name](once)[0]), float(new[name](once)[0]), differences[name]
            )
            for name in names
        }

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
