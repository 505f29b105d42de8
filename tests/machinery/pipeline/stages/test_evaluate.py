"""evaluate: metrics with intervals, slices, curves, and predictions row by row."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Evaluate, parse
from machinery.pipeline.stages.evaluate import Evaluation, plots, predictions

ROWS = 400
TARGET = np.arange(ROWS) % 2
INFO = {
    "task": "classification",
    "classes": ["false", "true"],
    "threshold": 0.5,
    "coverage": 0.9,
    "conformal_quantile": 0.6,
}


def settings(**changes: Any) -> Evaluate:
    section = {
        "level": 0.95,
        "samples": 200,
        "seed": 1,
        "slices": ["colour"],
        "slice_min_rows": 50,
        "bins": 5,
        "importance": {"rows": 400, "repeats": 2},
    }
    return parse(Evaluate, {"evaluate": section | changes})


def probabilities(skill: float | np.ndarray, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=ROWS)
    positive = 1 / (1 + np.exp(-(skill * (2 * TARGET - 1) + noise)))
    return np.column_stack([1 - positive, positive])


def evaluation(headline: str = "roc_auc", **info: Any) -> Evaluation:
    return Evaluation(INFO | info, headline, settings())


def evaluate(prediction: np.ndarray, headline: str = "roc_auc") -> dict[str, dict[str, float]]:
    return evaluation(headline).metrics(TARGET, prediction, np.full((ROWS, 2), 0.5))


def test_each_metric_lies_within_its_interval() -> None:
    estimates = evaluate(probabilities(skill=1.0))
    for name in ("roc_auc", "average_precision", "log_loss", "balanced_accuracy", "coverage"):
        assert estimates[name]["low"] < estimates[name]["value"] < estimates[name]["high"]


@pytest.mark.parametrize("headline", ["roc_auc", "log_loss"])
def test_the_gain_over_the_baseline_is_above_zero_only_with_skill(headline: str) -> None:
    skilled = evaluate(probabilities(skill=1.0), headline)["gain_over_baseline"]
    alike = np.repeat(probabilities(skill=0.0)[::2], 2, axis=0)  # for a positive and a negative
    useless = evaluate(alike, headline)["gain_over_baseline"]
    assert skilled["low"] > 0
    assert useless["low"] <= 0


def test_a_worse_slice_is_visible_and_small_ones_are_counted_and_named() -> None:
    colours = np.repeat(["blue", "red", "tiny", "wee"], [200, 190, 6, 4])
    prediction = np.vstack([probabilities(2.0)[:200], probabilities(0.0)[200:]])
    table = pd.DataFrame({"colour": colours})
    blue, red, small = evaluation().slices(table, TARGET, prediction)
    assert (blue["slice"], red["slice"]) == ("blue", "red")
    assert red["high"] < blue["low"]
    assert (small["slice"], small["rows"], small["value"]) == ("2 too small: tiny, wee", 10, None)


def test_the_interval_of_a_slice_resamples_its_groups_not_its_rows() -> None:
    table, groups = pd.DataFrame({"colour": ["red"] * ROWS}), np.arange(ROWS) // 40
    prediction = probabilities(np.where(groups % 2, 3.0, 0.0))
    (rows,), (whole,) = (
        evaluation().slices(table, TARGET, prediction, within) for within in (None, groups)
    )
    assert whole["value"] == rows["value"]
    assert whole["high"] - whole["low"] > 1.5 * (rows["high"] - rows["low"])


def test_a_slice_within_a_few_groups_has_no_interval() -> None:
    table = pd.DataFrame({"colour": np.where(np.arange(ROWS) < 200, "blue", "red")})
    groups = np.where(np.arange(ROWS) < 200, np.arange(ROWS) // 4, 50 + np.arange(ROWS) % 2)
    blue, red = evaluation().slices(table, TARGET, probabilities(1.0), groups)
    assert blue["low"] < blue["value"] < blue["high"]
    assert red["value"] is not None
    assert red["low"] is red["high"] is None


def test_plots_have_the_points_of_each_curve() -> None:
    points = plots(TARGET, probabilities(1.0), INFO, settings())
    assert {"fpr", "tpr"} < points["roc"][0].keys()
    assert sum(cell["rows"] for cell in points["confusion"]) == ROWS
    assert points["confusion"][1]["outcome"] == "false predicted as true"


def test_a_regression_has_actual_values_and_residuals_instead_of_curves() -> None:
    values = np.arange(ROWS, dtype=np.float64)
    points = plots(values, values + 1, {"task": "regression"}, settings())
    assert points["roc"] == points["confusion"] == []
    assert len(points["actual"]) == 5
    assert sum(part["rows"] for part in points["residuals"]) == ROWS


def test_the_pinball_loss_is_that_of_the_ends_of_the_interval() -> None:
    values = np.arange(ROWS, dtype=np.float64)
    finite, infinite = (
        evaluation(
            "mean_absolute_error", task="regression", coverage=0.8, conformal_quantile=quantile
        ).metrics(values, values + 1, values)
        for quantile in (2.0, None)
    )
    below, above = 0.1 * 1.0, 0.1 * 3.0  # the truth is 1 above the low end, 3 below the high one
    assert finite["mean_pinball_loss"]["value"] == pytest.approx((below + above) / 2)
    assert "mean_pinball_loss" not in infinite


class Steep:
    """A model that looks at one of its two features only."""

    features = {"used": "number", "ignored": "number"}

    def predict(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        positive = np.clip(columns["used"], 0.05, 0.95)
        return np.column_stack([1 - positive, positive])


@pytest.mark.parametrize("headline", ["roc_auc", "balanced_accuracy"])
def test_importance_is_that_of_the_features_used_at_the_threshold_of_the_model(
    headline: str,
) -> None:
    table = pd.DataFrame({"used": TARGET * 0.2 + 0.1, "ignored": 1.0})
    run = evaluation(headline, threshold=0.2)
    used, ignored = run.importance(Steep(), table, TARGET)  # type: ignore[arg-type]
    assert (used["feature"], ignored["importance"]) == ("used", 0.0)
    assert used["importance"] > 0.3


def test_every_prediction_is_written_with_its_set(contract: Contract) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "at": pd.NaT, "late": [True, False]})
    prediction = np.array([[0.2, 0.8], [0.55, 0.45]])
    rows = predictions(table, prediction, INFO, contract)
    assert rows["prediction"].tolist() == ["true", "false"]
    assert rows["probability_true"].tolist() == [0.8, 0.45]
    assert rows["in_set_false"].tolist() == [False, True]
    assert rows["in_set_true"].tolist() == [True, True]


def test_too_few_held_out_rows_put_all_classes_into_every_set(contract: Contract) -> None:
    """The quantile is infinite then, which is null in model.json."""
    run, prediction = evaluation(conformal_quantile=None), probabilities(1.0)
    values = run.metrics(TARGET, prediction, prediction)
    assert values["coverage"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    table = pd.DataFrame({"id": range(ROWS), "late": TARGET, "at": pd.NaT})
    rows = predictions(table, prediction, run.info, contract)
    assert rows[["in_set_false", "in_set_true"]].to_numpy().all()


def test_a_target_named_like_the_end_of_an_interval_keeps_its_values(
    document: dict[str, Any],
) -> None:
    document["columns"]["high"] = document["columns"]["delay"]
    contract = contracts.parse(document | {"task": "regression", "target": "high"})
    info = INFO | {"task": "regression", "threshold": None, "conformal_quantile": 2.0}
    table = pd.DataFrame({"id": ["a"], "at": pd.NaT, "high": [10.0]})
    (row,) = predictions(table, np.array([3.0]), info, contract).to_dict("records")
    assert (row["high"], row["prediction_"], row["low_"], row["high_"]) == (10, 3, 1, 5)
