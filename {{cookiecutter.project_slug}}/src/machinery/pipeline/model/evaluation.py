"""Evaluation: the scorers of all reported metrics, and the units that the bootstrap resamples."""

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import MIN_GROUPS, Codes, Scorer, Unit, codes

from . import conformal
from .decision import Rule

if TYPE_CHECKING:
    import pandas as pd


def scorers(
    task: metrics.Task,
    target: NDArray[Any],
    prediction: NDArray[Any],
    rule: Rule,
    coverage: float,
    bins: int,
) -> dict[str, Scorer]:
    """Scorers of the task's metrics, of decisions, and of prediction sets or intervals.

    "coverage" is empirical, the argument nominal: it sets the quantiles of the pinball loss, which
    only finite intervals have.
    """
    bound = metrics.scorers(task, target, prediction, threshold=rule.threshold, bins=bins)
    if prediction.ndim == 2 and prediction.shape[1] == 2:
        bound |= metrics.decisions(target, metrics.decide(prediction, rule.threshold))
    bound["coverage"] = metrics.mean(conformal.covers(target, prediction, rule.quantile))
    if task == "regression" and isfinite(rule.quantile):
        ends = conformal.interval(prediction, rule.quantile)
        bound["mean_pinball_loss"] = metrics.mean_pinball_loss(target, *ends, coverage)
    return bound


def units(table: "pd.DataFrame", contract: Contract, by: str) -> tuple[Unit, Codes | None]:
    """The unit to resample, for rows that are not independent, and its code for each row.

    Groups if the contract names one; else days for a split by time with at least MIN_GROUPS days.
    """
    if contract.group:
        return "groups", codes(table[contract.group].to_numpy())
    if by == "time" and contract.time:
        days = codes(table[contract.time].to_numpy().astype("datetime64[D]"))
        if len(np.unique(days)) >= MIN_GROUPS:
            return "days", days
    return "rows", None
