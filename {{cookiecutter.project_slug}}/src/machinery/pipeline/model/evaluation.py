"""evaluation: target and predictions in; scorers of all that a model promises out."""

from math import isfinite
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.statistics import intervals, metrics
from machinery.pipeline.statistics.intervals import Scorer

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
    """Every metric of the task, those of decisions, and those of prediction sets or intervals.

    `coverage` is the share of rows whose set or interval contains the true value; of intervals that
    are finite there is the pinball loss, too, whose quantiles are those of the nominal `coverage`.
    """
    bound = metrics.scorers(task, target, prediction, threshold=rule.threshold, bins=bins)
    if prediction.ndim == 2 and prediction.shape[1] == 2:
        bound |= metrics.decisions(target, metrics.decide(prediction, rule.threshold))
    bound["coverage"] = metrics.mean(conformal.covers(target, prediction, rule.quantile))
    if task == "regression" and isfinite(rule.quantile):
        ends = conformal.interval(prediction, rule.quantile)
        bound["mean_pinball_loss"] = metrics.mean_pinball_loss(target, *ends, coverage)
    return bound


def units(
    table: "pd.DataFrame", contract: Contract, by: str
) -> tuple[intervals.Unit, intervals.Codes | None]:
    """What of a table is resampled whole, and a code of it for each row."""
    names = (contract.group, contract.time)
    return intervals.units(
        by, *(None if name is None else table[name].to_numpy() for name in names)
    )
