"""outcomes: the rows of a window in; how good the model was, with intervals over whole days, out.

The interval of each figure is a delete-a-day jackknife, since the rows of a day are not independent
(whole groups are left out where the contract names a group).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model import conformal
from machinery.pipeline.model.decision import Rule, rule
from machinery.pipeline.params import Evaluate, Limits, Monitor, Select
from machinery.pipeline.statistics import intervals, metrics
from machinery.pipeline.statistics.intervals import Interval, Scorer
from machinery.pipeline.statistics.slices import slices as by_value

from . import estimate

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[str, Interval]
NAMES = ("calibration", "headline", "coverage", "estimate")  # of violations that need outcomes


@dataclass(frozen=True)
class Promise:
    """What evaluate promised of the model, and how it was measured."""

    contract: Contract
    info: Mapping[str, Any]  # model.json
    figures: Mapping[str, Any]  # metrics.json
    select: Select
    evaluate: Evaluate
    monitor: Monitor

    @property
    def headline(self) -> str:
        """The metric that decides."""
        return self.select.headline

    @property
    def sign(self) -> Literal[-1, 1]:
        """1 where more of the headline metric is better."""
        return 1 if metrics.greater_is_better(self.headline) else -1

    @property
    def rule(self) -> Rule:
        """The decision threshold and the conformal quantile of the model."""
        return rule(self.info)

    @property
    def loss(self) -> str:
        """The loss that is measured beside it."""
        return "log_loss" if self.contract.classes else "mean_absolute_error"

    @property
    def bias(self) -> str:
        """The mean of predicted minus observed, which is calibration in the large of classes."""
        return "calibration" if self.contract.classes else "bias"

    def scorers(self, rows: "pd.DataFrame") -> dict[str, Scorer]:
        """Bias, headline metric, loss and coverage of rows with an outcome."""
        target, prediction = arrays(rows, self.contract)
        bound = metrics.scorers(
            self.contract.task,
            target,
            prediction,
            threshold=self.rule.threshold,
            bins=self.evaluate.bins,
            only=[self.headline, self.loss],
        )
        covered = conformal.covers(target, prediction, self.rule.quantile)
        observed, predicted = target, prediction
        if self.contract.classes:
            observed, predicted = metrics.top_label(target, prediction)
        gap = metrics.mean(predicted - np.asarray(observed, np.float64))
        return {self.bias: gap, **bound, "coverage": metrics.mean(covered)}

    def measured(self, scorers: Mapping[str, Scorer], rows: "pd.DataFrame") -> Figures:
        """Scorers of these rows with their intervals."""
        within = units(rows, self.contract, self.monitor.window)
        return intervals.jackknife(scorers, within, self.monitor.level)


def arrays(rows: "pd.DataFrame", contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Target (class codes or values) and prediction of rows with an outcome."""
    target = rows["target"].to_numpy()
    return target.astype(np.int64) if contract.classes else target, contract.gather(rows)


def units(rows: "pd.DataFrame", contract: Contract, window: str) -> intervals.Codes:
    """A code for each row of its group, or of its day where the contract names no group.

    In a window of one day, of its hour.
    """
    if (group := f"raw_{contract.group}") in rows:
        return intervals.codes(rows[group].astype(str).to_numpy())
    unit = "datetime64[h]" if window == "day" else "datetime64[D]"
    return intervals.codes(rows["at"].to_numpy().astype(unit))


def figures(rows: "pd.DataFrame", promise: Promise) -> Figures:
    """Every figure of rows with an outcome; of classes also `gap`: realised minus estimated."""
    bound = promise.scorers(rows)
    if promise.contract.classes:
        prediction = promise.contract.gather(rows)
        expected = estimate.expected(prediction, promise.headline)
        bound["gap"] = intervals.difference(bound[promise.headline], expected)
    return promise.measured(bound, rows)


def slices(rows: "pd.DataFrame", promise: Promise) -> list[dict[str, Any]]:
    """The same figures of each value of the slice columns."""
    names = [f"raw_{name}" for name in promise.evaluate.slices if f"raw_{name}" in rows]
    found = []
    for column, value, at in by_value(rows, names, promise.evaluate.slice_min_rows):
        part = rows.iloc[at]
        measured = promise.measured(promise.scorers(part), part)
        figures = {name: each.as_dict() for name, each in measured.items()}
        about = {"column": column.removeprefix("raw_"), "slice": value, "rows": len(part)}
        found.append({**about, "figures": figures})
    return found


def violations(found: Figures, promise: Promise) -> dict[str, str]:
    """The names of the limits that figures violate by their nearer end, with a sentence each."""
    limits: Limits = promise.monitor.limits
    promised, headline = promise.figures, promise.headline
    violated = {}
    bias = found[promise.bias]
    scale = 1.0 if promise.contract.classes else promised["root_mean_squared_error"]["value"]
    if bias.low > limits.calibration * scale or bias.high < -limits.calibration * scale:
        way = "above" if bias.value > 0 else "below"
        what = f"predictions are on average {abs(bias.value):.3g} {way} what happened"
        violated["calibration"] = f"{what} ({_ends(bias)}, limit {limits.calibration * scale:.3g})"
    now, then = found[headline], promised[headline]["value"]
    better = now.high if promise.sign > 0 else now.low
    if promise.sign * (better - then) < -limits.headline:
        what = f"{headline} is {now.value:.3g} ({_ends(now)})"
        violated["headline"] = f"{what}, promised {then:.3g} (limit {limits.headline:g} worse)"
    covered, nominal = found["coverage"], promise.select.coverage
    if covered.high < nominal - limits.coverage:
        what = f"coverage is {covered.value:.3g} ({_ends(covered)})"
        violated["coverage"] = f"{what}, nominal {nominal:g} (limit {limits.coverage:g} less)"
    if (gap := found.get("gap")) is not None:
        sign = promise.sign if promise.contract.classes else -1
        if sign * (gap.high if sign > 0 else gap.low) < -limits.estimate:
            what = f"realised minus estimated is {gap.value:.3g} ({_ends(gap)})"
            violated["estimate"] = f"{what}: a sign of concept drift (limit {limits.estimate:g})"
    return violated


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3g} to {interval.high:.3g}"
