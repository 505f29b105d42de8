"""Names and sentences of the model card and the page."""

from collections.abc import Mapping
from typing import Any

from machinery.pipeline.files import printable

Reports = Mapping[str, Any]

METRICS = {
    "roc_auc": ("ROC AUC", "Chance that a positive ranks above a negative; 0.5 is random"),
    "average_precision": ("Average precision", "Area under the precision-recall curve"),
    "log_loss": ("Log loss", "Cross-entropy; lower is better"),
    "brier_score": ("Brier score", "Mean squared error of the probabilities"),
    "balanced_accuracy": ("Balanced accuracy", "Mean recall over classes"),
    "precision": ("Precision", "Share of the predicted positives that are positive"),
    "recall": ("Recall", "Share of the positives that are predicted"),
    "f1": ("F1", "Harmonic mean of precision and recall"),
    "prevalence": ("Prevalence", "Share of rows of the positive class"),
    "calibration_error": ("Calibration error", "Debiased: 0 where chance explains the whole gap"),
    "mean_absolute_error": ("Mean absolute error", "Mean of |actual − predicted|"),
    "root_mean_squared_error": ("RMSE", "Root of the mean squared error"),
    "r2": ("R²", "Share of the target's variance that is explained"),
    "mean_pinball_loss": ("Mean pinball loss", "Quantile loss of the prediction intervals' ends"),
    "coverage": ("Empirical coverage", "Share of sets or intervals that contain the true value"),
    "gain_over_baseline": ("Gain over the baseline", "In the headline metric, on the same rows"),
}
RESAMPLED = (
    "Bootstrap intervals: whole groups are resampled where the contract names a group, "
    "whole days for a time split, rows otherwise."
)
TARGET_UNIT = {"mean_absolute_error", "root_mean_squared_error", "mean_pinball_loss"}


def positive(model: Reports) -> str:
    """The positive one of two classes, and its decision threshold."""
    if model.get("positive") is None:
        return ""
    return (
        f"Positive class: {model['positive']}, predicted at probability ≥ {model['threshold']:.3g} "
        f"({model['threshold_rule']} on held-out rows)."
    )


def title(metric: str) -> str:
    """The name of a metric."""
    return METRICS.get(metric, (plainly(metric), ""))[0]


def meaning(metric: str) -> str:
    """A one-line definition of the metric."""
    return METRICS.get(metric, ("", ""))[1]


def plainly(name: str) -> str:
    """A name with underscores as words."""
    words = printable(name).replace("_", " ")
    return words[:1].upper() + words[1:]


def verdict(gate: Reports) -> str:
    """Whether the gate passed, and which checks failed."""
    failed = [plainly(check["name"]).lower() for check in gate["checks"] if not check["passed"]]
    total = len(gate["checks"])
    if not failed:
        return f"{total} of {total} checks passed."
    return f"{len(failed)} of {total} checks failed: {', '.join(failed)}."
