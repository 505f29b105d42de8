"""Metrics with intervals, slices, curves and the gate, on the test table."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from .data_science import calibration_error

Settings = dict[str, Any]
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


def bootstrap(predictions: Table, metrics: Metrics, evaluate: Settings) -> Settings:
    """Each metric with its percentile interval."""
    late, probability = predictions["late"].to_numpy(), predictions["probability"].to_numpy()
    random = np.random.default_rng(evaluate["seed"])
    samples: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(evaluate["samples"]):
        rows = random.integers(0, len(late), len(late))
        for name, metric in metrics.items():
            samples[name].append(metric(late[rows], probability[rows]))
    ends = [(1 - evaluate["level"]) / 2, (1 + evaluate["level"]) / 2]
    intervals = {}
    for name, metric in metrics.items():
        low, high = np.nanquantile(samples[name], ends)
        intervals[name] = {"value": float(metric(late, probability)), "low": low, "high": high}
    return intervals


def evaluate(predictions: Table, evaluate: Settings) -> Settings:
    """All metrics on the test table."""
    return bootstrap(predictions, METRICS, evaluate)


def slices(predictions: Table, evaluate: Settings) -> list[Settings]:
    """ROC AUC of each origin and carrier."""
    headline = {"roc_auc": METRICS["roc_auc"]}
    return [
        {"column": column, "slice": value, "rows": len(part)}
        | bootstrap(part, headline, evaluate)["roc_auc"]
        for column in evaluate["slices"]
        for value, part in predictions.groupby(SLICES[column])
        if len(part) >= evaluate["slice_min_rows"]
    ]


def calibration(predictions: Table, evaluate: Settings) -> Settings:
    """The points of the calibration curve."""
    observed, predicted = calibration_curve(
        predictions["late"],
        predictions["probability"],
        n_bins=evaluate["bins"],
        strategy="quantile",
    )
    return {"predicted": predicted.tolist(), "observed": observed.tolist()}


def importance(model: Pipeline, test: Table, evaluate: Settings) -> Settings:
    """The decrease of ROC AUC when one feature is shuffled."""
    options, seed = evaluate["importance"], evaluate["seed"]
    sample = test.sample(min(options["rows"], len(test)), random_state=seed)
    rows = sample[list(model.feature_names_in_)]
    result = permutation_importance(
        model,
        rows,
        sample["late"],
        scoring="roc_auc",
        n_repeats=options["repeats"],
        random_state=seed,
    )
    return dict(zip(rows.columns, result.importances_mean.tolist(), strict=True))


def gate(metrics: Settings, slices: list[Settings], quality: Settings, gate: Settings) -> Settings:
    """The gate: passed if every check passed."""
    checks = {
        "better_than_baseline": metrics["roc_auc"]["low"] > 0.5,
        "floor": metrics["roc_auc"]["value"] >= gate["floor"],
        "worst_slice": min(interval["high"] for interval in slices) >= gate["worst_slice"],
        "calibration": metrics["calibration_error"]["value"] <= gate["calibration"],
        "quarantined": quality["dropped"] <= gate["quarantined"] * quality["rows"],
    }
    return {"passed": all(checks.values()), "checks": checks}
