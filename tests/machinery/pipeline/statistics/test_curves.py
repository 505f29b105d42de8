"""Curves agree with scikit-learn's, stay short, and go into JSON as they are."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import calibration
from sklearn import metrics as sklearn_metrics

from machinery.pipeline.statistics import curves

RANDOM = np.random.default_rng(1)
PROBABILITY = RANDOM.integers(101, size=1000) / 100
HAPPENED = RANDOM.random(1000) < PROBABILITY


def test_roc_curve_agrees_with_scikit_learn() -> None:
    fpr, tpr, _ = sklearn_metrics.roc_curve(HAPPENED, PROBABILITY, drop_intermediate=False)
    points = curves.roc_curve(HAPPENED, PROBABILITY)
    assert columns(points) == pytest.approx(np.column_stack([fpr, tpr]))


def test_precision_recall_curve_agrees_with_scikit_learn() -> None:
    precision, recall, _ = sklearn_metrics.precision_recall_curve(HAPPENED, PROBABILITY)
    points = curves.precision_recall_curve(HAPPENED, PROBABILITY)
    assert columns(points)[::-1] == pytest.approx(np.column_stack([recall, precision]))


def test_predicted_and_actual_values_are_aggregated_in_bins() -> None:
    target = np.arange(100.0)
    points = curves.actual_curve(target, target + 5, bins=4)
    assert [line["rows"] for line in points] == [25] * 4
    assert [line["predicted"] - line["actual"] for line in points] == pytest.approx([5] * 4)
    assert (points[0]["low"], points[0]["high"]) == pytest.approx((2.4, 21.6))


def test_residuals_are_a_histogram_of_the_errors() -> None:
    points = curves.residuals(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 1.0]), bins=2)
    assert points == [{"from": 0.0, "to": 4.0, "rows": 2}, {"from": 4.0, "to": 8.0, "rows": 1}]


def test_calibration_curve_agrees_with_scikit_learn_and_has_intervals() -> None:
    observed, predicted = calibration.calibration_curve(
        HAPPENED, PROBABILITY, n_bins=7, strategy="quantile"
    )
    points = curves.calibration_curve(HAPPENED, PROBABILITY, bins=7, level=0.95)
    assert columns(points)[:, :2] == pytest.approx(np.column_stack([predicted, observed]))
    assert all(line["low"] < line["observed"] < line["high"] for line in points)
    assert sum(line["rows"] for line in points) == 1000


def test_confusion_counts_every_pair_of_classes() -> None:
    points = curves.confusion(np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1]), ["early", "late"])
    assert points == [
        {"actual": "early", "predicted": "early", "rows": 1},
        {"actual": "early", "predicted": "late", "rows": 0},
        {"actual": "late", "predicted": "early", "rows": 1},
        {"actual": "late", "predicted": "late", "rows": 2},
    ]


def test_curves_of_many_rows_are_thinned_and_keep_both_ends() -> None:
    scores = np.random.default_rng(1).normal(HAPPENED)
    points = curves.roc_curve(HAPPENED, scores)
    assert len(points) == curves.POINTS
    assert points[0] == {"fpr": 0.0, "tpr": 0.0}
    assert points[-1] == {"fpr": 1.0, "tpr": 1.0}
    assert json.loads(json.dumps(points, allow_nan=False)) == points


def test_one_class_has_no_curve() -> None:
    assert curves.roc_curve(np.ones(3, bool), np.arange(3.0)) == []
    assert curves.precision_recall_curve(np.zeros(3, bool), np.arange(3.0)) == []


def columns(points: list[dict[str, float]]) -> NDArray[np.float64]:
    return np.array([list(line.values()) for line in points])
