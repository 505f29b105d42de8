"""reporting: model and test table in; metrics with intervals, slices, curves and verdict out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from .data_science import calibration_error

Dials = dict[str, Any]
Table = pd.DataFrame
Metrics = dict[str, Callable[[Any, Any], float]]

SLICES = {"origin": "departure_airport", "carrier": "airline"}
METRICS: Metrics = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier_score": sk.brier_score_loss,
    "balanced_accuracy": lambda late, p: sk.balanced_accuracy_score(late, p >= 0.5),
    "calibration_error": calibration_error,
}


def predict(model: Pipeline, test: Table) -> Table:
    """The probability of being late for each flight of the test table."""
    rows = test[list(model.feature_names_in_)]
    columns = ["flight_id", "late", *SLICES.values()]
    return test[columns].assign(probability=model.predict_proba(rows)[:, 1])


def bootstrap(predictions: Table, metrics: Metrics, evaluate: Dials) -> Dials:
    """Each metric with its percentile interval."""
    late, probability = predictions["late"].to_numpy(), predictions["probability"].to_numpy()
    random = np.random.default_rng(evaluate["seed"])
    samples: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(evaluate["samples"]):
        rows = random.integers(0, len(late), len(late))
        for name, metric in metrics.items():
            samples[name].append(metric(late[rows], probability[rows]))
    ends = [(1 - evaluate["level"]) / 2, (1 + evaluate["level"]) / 2]
    found = {}
    for name, metric in metrics.items():
        low, high = np.nanquantile(samples[name], ends)
        found[name] = {"value": float(metric(late, probability)), "low": low, "high": high}
    return found


def evaluate(predictions: Table, evaluate: Dials) -> Dials:
    """All metrics on the test table."""
    return bootstrap(predictions, METRICS, evaluate)


def slices(predictions: Table, evaluate: Dials) -> list[Dials]:
    """ROC AUC of each origin and carrier."""
    headline = {"roc_auc": METRICS["roc_auc"]}
    return [
        {"column": column, "slice": value, "rows": len(part)}
        | bootstrap(part, headline, evaluate)["roc_auc"]
        for column in evaluate["slices"]
        for value, part in predictions.groupby(SLICES[column])
        if len(part) >= evaluate["slice_min_rows"]
    ]


def calibration(predictions: Table, evaluate: Dials) -> Dials:
    """The points of the calibration curve."""
    observed, predicted = calibration_curve(
        predictions["late"],
        predictions["probability"],
        n_bins=evaluate["bins"],
        strategy="quantile",
    )
    return {"predicted": predicted.tolist(), "observed": observed.tolist()}


def importance(model: Pipeline, test: Table, evaluate: Dials) -> Dials:
    """By how much ROC AUC falls when one feature is shuffled."""
    dials, seed = evaluate["importance"], evaluate["seed"]
    sample = test.sample(min(dials["rows"], len(test)), random_state=seed)
    rows = sample[list(model.feature_names_in_)]
    found = permutation_importance(
        model,
        rows,
        sample["late"],
        scoring="roc_auc",
        n_repeats=dials["repeats"],
        random_state=seed,
    )
    return dict(zip(rows.columns, found.importances_mean.tolist(), strict=True))


def gate(metrics: Dials, slices: list[Dials], quality: Dials, gate: Dials) -> Dials:
    """The verdict: passed when every check did."""
    checks = {
        "better_than_baseline": metrics["roc_auc"]["low"] > 0.5,
        "floor": metrics["roc_auc"]["value"] >= gate["floor"],
        "worst_slice": min(each["high"] for each in slices) >= gate["worst_slice"],
        "calibration": metrics["calibration_error"]["value"] <= gate["calibration"],
        "quarantined": quality["dropped"] <= gate["quarantined"] * quality["rows"],
    }
    return {"passed": all(checks.values()), "checks": checks}
