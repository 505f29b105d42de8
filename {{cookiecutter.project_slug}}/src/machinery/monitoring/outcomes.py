"""Realised performance: metrics of the rows whose outcome is known, with intervals.

The interval of each metric is a delete-a-day jackknife, since the rows of a day are not independent
(whole groups are left out where the contract names a group).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from machinery.comparison.comparison import Line
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model import conformal
from machinery.pipeline.model.decision import rule
from machinery.pipeline.params import Evaluate, Monitor, Report, Select
from machinery.pipeline.statistics import intervals, metrics
from machinery.pipeline.statistics.intervals import Interval, Scorer
from machinery.pipeline.statistics.slices import slices as by_value

from . import estimate

Metrics = dict[str, Interval]
NAMES = ("calibration", "headline", "coverage", "estimate")  # of violations that need outcomes


@dataclass(frozen=True)
class EvaluatedModel:
    """The model of this checkout: the metrics that evaluate measured, and how to measure them."""

    contract: Contract
    info: Mapping[str, Any]  # model.json
    metrics: Mapping[str, Any]  # metrics.json
    select: Select
    evaluate: Evaluate
    monitor: Monitor

    @property
    def headline(self) -> str:
        """The metric that decides."""
        return self.select.headline

    @property
    def sign(self) -> Literal[-1, 1]:
        """1 where more of the headline metric is better, else -1."""
        return 1 if metrics.greater_is_better(self.headline) else -1

    @property
    def loss(self) -> str:
        """The loss that is reported beside the headline metric."""
        return "log_loss" if self.contract.classes else "mean_absolute_error"

    @property
    def bias(self) -> str:
        """The mean of predicted minus observed; for classes, calibration in the large."""
        return "calibration" if self.contract.classes else "bias"

    def scorers(self, rows: pd.DataFrame) -> dict[str, Scorer]:
        """Bias, headline metric, loss and coverage of rows with an outcome."""
        contract, decision = self.contract, rule(self.info)
        target, prediction = rows["target"].to_numpy(), contract.gather(rows)
        observed, predicted = target, prediction
        if contract.classes:
            target = target.astype(np.int64)
            observed, predicted = metrics.top_label(target, prediction)
        scorers = metrics.scorers(
            contract.task,
            target,
            prediction,
            threshold=decision.threshold,
            bins=self.evaluate.bins,
            only=[self.headline, self.loss],
        )
        bias = metrics.mean(predicted - np.asarray(observed, np.float64))
        covered = conformal.covers(target, prediction, decision.quantile)
        return {self.bias: bias, **scorers, "coverage": metrics.mean(covered)}

    def intervals(self, scorers: Mapping[str, Scorer], rows: pd.DataFrame) -> Metrics:
        """The scorers of these rows with intervals over groups, days, or hours of a day."""
        if (group := f"raw_{self.contract.group}") in rows:
            unit = rows[group].astype(str).to_numpy()
        else:
            hours = self.monitor.window == "day"
            unit = rows["at"].to_numpy().astype("datetime64[h]" if hours else "datetime64[D]")
        return intervals.jackknife(scorers, intervals.codes(unit), self.monitor.level)


def measure(rows: pd.DataFrame, model: EvaluatedModel) -> Metrics:
    """The metrics of rows with an outcome; for classes also `gap`: realised minus estimated."""
    scorers = model.scorers(rows)
    if model.contract.classes:
        expected = estimate.expected(model.contract.gather(rows), model.headline)
        scorers["gap"] = intervals.difference(scorers[model.headline], expected)
    return model.intervals(scorers, rows)


def slices(rows: pd.DataFrame, model: EvaluatedModel) -> list[dict[str, Any]]:
    """The same metrics, without the gap, of each value of the slice columns."""
    columns = [f"raw_{name}" for name in model.evaluate.slices if f"raw_{name}" in rows]
    entries = []
    for column, value, positions in by_value(rows, columns, model.evaluate.slice_min_rows):
        part = rows.iloc[positions]
        measured = model.intervals(model.scorers(part), part)
        entries.append(
            {
                "column": column.removeprefix("raw_"),
                "slice": value,
                "rows": len(part),
                "figures": {name: interval.as_dict() for name, interval in measured.items()},
            }
        )
    return entries


def violations(measured: Metrics, model: EvaluatedModel) -> dict[str, str]:
    """A sentence for each limit that the nearer end of a metric's interval violates, by name."""
    limits, sentences = model.monitor.limits, {}
    bias, headline, coverage = (measured[n] for n in (model.bias, model.headline, "coverage"))
    limit = limits.calibration
    if not model.contract.classes:
        limit *= model.metrics["root_mean_squared_error"]["value"]
    if bias.low > limit or bias.high < -limit:
        side = "above" if bias.value > 0 else "below"
        fault = f"predictions are on average {abs(bias.value):.3g} {side} what happened"
        sentences["calibration"] = f"{fault} ({_ends(bias)}, limit {limit:.3g})"
    evaluated = model.metrics[model.headline]["value"]
    if _best(headline, model.sign) - model.sign * evaluated < -limits.headline:
        fault = f"{model.headline} is {headline.value:.3g} ({_ends(headline)})"
        limit_worse = f"limit {limits.headline:g} worse"
        sentences["headline"] = f"{fault}, {evaluated:.3g} in evaluation ({limit_worse})"
    nominal = model.select.coverage
    if coverage.high < nominal - limits.coverage:
        fault = f"coverage is {coverage.value:.3g} ({_ends(coverage)})"
        sentences["coverage"] = f"{fault}, nominal {nominal:g} (limit {limits.coverage:g} less)"
    sign = model.sign if model.contract.classes else -1
    if "gap" in measured and _best(gap := measured["gap"], sign) < -limits.estimate:
        fault = f"realised minus estimated is {gap.value:.3g} ({_ends(gap)})"
        sentences["estimate"] = f"{fault}: a sign of concept drift (limit {limits.estimate:g})"
    return sentences


def compare(
    rows: pd.DataFrame, first: "pd.Series[Any]", model: EvaluatedModel, report: Report
) -> dict[str, Any] | None:
    """Compare the two models with the most rows, newer minus older, on rows with an outcome.

    Each answered rows of its own (a canary) or the same ones (a shadow); days are left out for both
    at once, so that what makes a day hard for both cancels out. None without a second model that
    has `monitor.min_rows`. Newer is the one whose `first` row is later.
    """
    counts = rows["model_version"].value_counts()
    versions = [str(name) for name in counts.index if counts[name] >= model.monitor.min_rows][:2]
    if len(versions) < 2:
        return None
    older, newer = sorted(versions, key=lambda version: (first[version], version))
    both = rows[rows["model_version"].isin(versions)]
    old_rows, new_rows = (np.flatnonzero(both["model_version"] == v) for v in (older, newer))
    old, new = (model.scorers(both.iloc[positions]) for positions in (old_rows, new_rows))

    def difference(name: str) -> Scorer:
        return lambda w: new[name](w[:, new_rows]) - old[name](w[:, old_rows])

    names = dict.fromkeys([model.headline, model.loss])
    differences = model.intervals({name: difference(name) for name in names}, both)
    lines = [
        Line(name, _value(old[name], old_rows), _value(new[name], new_rows), interval)
        for name, interval in differences.items()
    ]
    verdict = lines[0].outcome
    if verdict in ("better", "worse") and abs(lines[0].difference.value) < report.relevant:
        verdict = "no relevant difference"
    return {
        "older": older,
        "newer": newer,
        "rows": {name: int(counts[name]) for name in (older, newer)},
        "verdict": verdict,
        "metrics": {
            line.name: {
                "older": line.champion,
                "newer": line.challenger,
                "difference": line.difference.as_dict(),
                "outcome": line.outcome,
            }
            for line in lines
        },
    }


def _best(interval: Interval, sign: int) -> float:
    """The better end of an interval, so that more is better."""
    return interval.high if sign > 0 else -interval.low


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3g} to {interval.high:.3g}"


def _value(scorer: Scorer, rows: np.ndarray) -> float:
    return float(scorer(np.ones((1, len(rows))))[0])
