"""words: the names of metrics in; how people call them, and what they tell, out."""

from .html import printable

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
    "mean_pinball_loss": ("Mean pinball loss", "Error around the predicted quantile"),
    "coverage": ("Coverage", "Share of prediction sets or intervals that hold the truth"),
    "gain_over_baseline": (
        "Gain over the baseline",
        "By how much the headline metric is better than the simplest candidate's",
    ),
}
TARGET_UNIT = {"mean_absolute_error", "root_mean_squared_error", "mean_pinball_loss"}


def title(metric: str) -> str:
    """How people call the metric."""
    return METRICS.get(metric, (plainly(metric), ""))[0]


def meaning(metric: str) -> str:
    """What the metric tells, in a line."""
    return METRICS.get(metric, ("", ""))[1]


def plainly(name: str) -> str:
    """A name of the reports as words."""
    words = printable(name).replace("_", " ")
    return words[:1].upper() + words[1:]
