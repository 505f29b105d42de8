"""words: names and reports in; what the model card and the page both say of them, out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from machinery.pipeline.data.contract import Contract
from .html import printable

Reports = Mapping[str, Any]

METRICS = {
    "roc_auc": ("ROC AUC", "Chance that a positive outranks a negative; 0.5 is guessing"),
    "average_precision": ("Average precision", "Share of the found that is right, over all depths"),
    "log_loss": ("Log loss", "Surprise at what came, in nats"),
    "brier_score": ("Brier score", "Mean squared error of the probabilities"),
    "balanced_accuracy": ("Balanced accuracy", "Share decided rightly, each class counting alike"),
    "calibration_error": ("Calibration error", "How far probabilities are from what happens"),
    "mean_absolute_error": ("Mean absolute error", "How far off a prediction is, on average"),
    "root_mean_squared_error": ("Root mean squared error", "The same, large errors weighing more"),
    "r2": ("R²", "Share of the target's variance that is explained"),
    "mean_pinball_loss": ("Mean pinball loss", "Error of the intervals' ends, as quantiles"),
    "coverage": ("Coverage", "Share of prediction sets or intervals that hold the truth"),
    "gain_over_baseline": (
        "Gain over the baseline",
        "By how much the headline metric is better than the first candidate's",
    ),
}
RESAMPLED = (
    "Intervals are a bootstrap's, which draws whole groups where rows belong to groups, "
    "whole days where time splits (ten or more), else rows."
)
TARGET_UNIT = {"mean_absolute_error", "root_mean_squared_error", "mean_pinball_loss"}


def title(metric: str) -> str:
    """How people call the metric."""
    return METRICS.get(metric, (plainly(metric), ""))[0]


def meaning(metric: str) -> str:
    """What the metric tells, in a line."""
    return METRICS.get(metric, ("", ""))[1]


def window(until: datetime | None) -> str:
    """Which rows of the source the model knows of."""
    if until is None:
        return "all there is"
    return f"rows before {until:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def exceptions(probes: Iterable[Reports]) -> list[Reports]:
    """The leakage probes that found something and were let pass, with the reason."""
    return [probe for probe in probes if probe["allowed"]]


def nothing_found(probes: Sequence[Reports]) -> str:
    """Of leakage probes without an exception."""
    return f"{len(probes)} probes found nothing, and no exception is stated."


def owners(features: Iterable[Reports]) -> dict[str, list[str]]:
    """Who answers for which of these features."""
    found: dict[str, list[str]] = {}
    for each in features:
        found.setdefault(each["owner"], []).append(each["name"])
    return dict(sorted(found.items()))


def column_owners(features: Iterable[Reports], contract: Contract) -> str:
    """Who answers for the columns that these features are made from."""
    columns = {column for each in features for column in each["columns"]}
    return ", ".join(sorted({contract.columns[name].owner for name in columns}))


def plainly(name: str) -> str:
    """A name of the reports as words."""
    words = printable(name).replace("_", " ")
    return words[:1].upper() + words[1:]
