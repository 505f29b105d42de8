"""Scorers agree with scikit-learn, whatever the weights, the ties and the classes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Scorer


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), steps=st.integers(1, 20))
@settings(deadline=None)
def test_binary_scorers_agree_with_scikit_learn(seed: int, rows: int, steps: int) -> None:
    random, weights = draw(seed, rows)
    target = both_classes(random.integers(2, size=rows))
    probability = random.integers(steps + 1, size=rows) / steps  # few steps, so many ties
    prediction = np.column_stack([1 - probability, probability])
    bound = metrics.scorers("classification", target, prediction, threshold=0.3)
    for line in weights:
        weighted = {"sample_weight": line}
        expected = {
            "roc_auc": sklearn_metrics.roc_auc_score(target, probability, **weighted),
            "average_precision": sklearn_metrics.average_precision_score(
                target, probability, **weighted
            ),
            "log_loss": sklearn_metrics.log_loss(target, prediction, **weighted),
            "brier_score": sklearn_metrics.brier_score_loss(target, probability, **weighted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(
                target, probability >= 0.3, **weighted
            ),
        }
        assert values(bound, line, expected) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(3, 60))
@settings(deadline=None)
def test_multiclass_scorers_agree_with_scikit_learn(seed: int, rows: int) -> None:
    random, weights = draw(seed, rows)
    target = np.append(random.integers(3, size=rows - 3), [0, 1, 2])
    prediction = random.integers(1, 5, size=(rows, 3)).astype(float)
    prediction /= prediction.sum(axis=1, keepdims=True)
    bound = metrics.scorers("classification", target, prediction)
    for line in weights:
        weighted = {"sample_weight": line}
        expected = {
            "roc_auc": sklearn_metrics.roc_auc_score(
                target, prediction, multi_class="ovr", **weighted
            ),
            "average_precision": sklearn_metrics.average_precision_score(
                target, prediction, **weighted
            ),
            "log_loss": sklearn_metrics.log_loss(target, prediction, **weighted),
            "brier_score": sklearn_metrics.brier_score_loss(target, prediction, **weighted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(
                target, prediction.argmax(axis=1), **weighted
            ),
        }
        assert values(bound, line, expected) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), coverage=st.floats(0.01, 0.99))
@settings(deadline=None)
def test_regression_scorers_agree_with_scikit_learn(seed: int, rows: int, coverage: float) -> None:
    random, weights = draw(seed, rows)
    target, prediction = random.normal(1000, 10, size=(2, rows))
    ends, tail = (prediction - 9, prediction + 9), (1 - coverage) / 2
    bound = metrics.scorers("regression", target, prediction)
    bound["mean_pinball_loss"] = metrics.mean_pinball_loss(target, *ends, coverage)
    for line in weights:
        pair, weighted = (target, prediction), {"sample_weight": line}
        expected = {
            "mean_absolute_error": sklearn_metrics.mean_absolute_error(*pair, **weighted),
            "root_mean_squared_error": sklearn_metrics.root_mean_squared_error(*pair, **weighted),
            "r2": sklearn_metrics.r2_score(*pair, **weighted),
            "mean_pinball_loss": np.mean(
                [
                    sklearn_metrics.mean_pinball_loss(target, end, alpha=level, **weighted)
                    for level, end in zip((tail, 1 - tail), ends, strict=True)
                ]
            ),
        }
        assert values(bound, line, expected) == pytest.approx(expected, rel=1e-6)


def test_float32_probabilities_give_the_metrics_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    probability = random.random(5000).astype(np.float32)
    probability[:2] = 0, 1  # certain, and wrong
    target = np.append([1, 0], random.random(4998) < probability[2:]).astype(int)
    prediction = np.column_stack([1 - probability, probability])
    scores = metrics.score("classification", target, prediction)
    assert scores["roc_auc"] == pytest.approx(
        sklearn_metrics.roc_auc_score(target, probability), abs=1e-12
    )
    assert scores["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(target, prediction), rel=1e-6
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_metric_of_a_task_has_a_scorer(task: metrics.Task) -> None:
    target = np.array([0, 1, 1])
    prediction = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    bound = metrics.scorers(task, target, prediction if task == "classification" else target)
    assert list(bound) == metrics.names(task)


def test_higher_is_better_for_some_metrics_only() -> None:
    assert metrics.greater_is_better("roc_auc")
    assert not metrics.greater_is_better("log_loss")
    with pytest.raises(KeyError, match="auroc"):
        metrics.greater_is_better("auroc")


@pytest.mark.parametrize(
    ("headline", "remedy"), [("roc_acu", "use one of roc_auc, "), ("neg_log_loss", "use log_loss")]
)
def test_an_unknown_headline_is_reported_in_one_sentence(headline: str, remedy: str) -> None:
    message = metrics.unknown(headline, "classification")
    assert f"select.headline is {headline}, which is not a metric of a classification" in message
    assert remedy in message


def test_one_class_has_no_ranking_but_a_loss() -> None:
    prediction = np.array([[0.8, 0.2], [0.4, 0.6]])
    for target in (np.array([0, 0]), np.array([1, 1])):
        scores = metrics.score("classification", target, prediction)
        assert np.isnan([scores["roc_auc"], scores["average_precision"]]).all()
        assert np.isfinite([scores["log_loss"], scores["balanced_accuracy"]]).all()


def test_r2_of_a_constant_target_is_not_defined() -> None:
    assert np.isnan(metrics.score("regression", np.full(7, 0.1), np.arange(7.0))["r2"])


def test_r2_of_a_resample_of_one_row_only_is_not_defined() -> None:
    target = np.array([2.4, 0.7, 1.2])  # whose variance, rounded, is 2e-16 and not 0
    r2 = metrics.scorers("regression", target, np.zeros(3))["r2"]
    assert np.isnan(r2(np.array([[3.0, 0.0, 0.0]]))[0])


def test_calibration_error_of_a_constant_shift_is_the_shift() -> None:
    probability = np.repeat([0.2, 0.6], 5000)
    happened = np.tile(np.arange(10), 1000) < np.repeat([3, 7], 5000)
    assert bare(metrics.calibration_error(happened, probability, 10)) == pytest.approx(
        0.1, abs=2e-3
    )


def test_calibration_error_of_a_calibrated_model_does_not_count_noise() -> None:
    random = np.random.default_rng(1)
    errors = []
    for _ in range(50):
        probability = random.random(1000)
        happened = random.random(1000) < probability
        errors.append(bare(metrics.calibration_error(happened, probability, 10)))
    assert np.mean(errors) < 0.015  # the plain expected calibration error: 0.03


def test_calibration_of_more_classes_is_that_of_the_most_probable_one() -> None:
    prediction = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    happened, probability = metrics.top_label(np.array([1, 2]), prediction)
    assert happened.tolist() == [True, False]
    assert probability.tolist() == [0.7, 0.5]


@pytest.mark.parametrize(
    ("target", "rule", "value", "threshold"),
    [
        ([0, 1, 0, 1, 1], "balanced_accuracy", None, 0.35),
        ([0, 1, 0, 1, 1], "cost_ratio", 0.1, 0.35),
        ([0, 1, 0, 1, 1], "cost_ratio", 10, 0.15),
        ([0, 1, 0, 1, 1], "recall", 0.3, 0.45),
        ([0, 1, 0, 1, 1], "recall", 0.5, 0.35),
        ([0, 1, 0, 1, 1], "recall", 1.0, 0.15),
        ([1, 0, 1, 0, 0], "recall", 1.0, 0.1),  # only predicting all rows reaches that
    ],
)
def test_the_threshold_follows_the_rule_and_lies_between_two_scores(
    target: list[int], rule: str, value: float | None, threshold: float
) -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    best = metrics.best_threshold(np.array(target), probability, rule, value)
    assert best == pytest.approx(threshold)


def test_the_threshold_does_not_separate_equal_scores() -> None:
    target, probability = np.array([0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.3, 0.4, 0.5])
    assert metrics.best_threshold(target, probability) == pytest.approx(0.25)
    assert metrics.best_threshold(np.array([0, 1, 0]), np.full(3, 0.25)) == 0.5


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 30))
@settings(deadline=None)
def test_decisions_agree_with_scikit_learn(seed: int, rows: int) -> None:
    random, weights = draw(seed, rows)
    target, predicted = (both_classes(random.integers(2, size=rows)) for _ in range(2))
    for name, scorer in metrics.decisions(target, predicted).items():
        function = getattr(sklearn_metrics, f"{name}_score")
        expected = [function(target, predicted, sample_weight=line) for line in weights]
        assert scorer(weights) == pytest.approx(expected)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 30))
@settings(deadline=None)
def test_no_threshold_beats_the_best_one(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    target = both_classes(random.integers(2, size=rows))
    probability = random.integers(6, size=rows) / 5

    def accuracy(threshold: float) -> Any:
        return sklearn_metrics.balanced_accuracy_score(target, probability >= threshold)

    best = accuracy(metrics.best_threshold(target, probability))
    if len(np.unique(probability)) > 1:
        assert best >= max(accuracy(t) for t in np.unique(probability)[1:]) - 1e-12


def draw(seed: int, rows: int) -> tuple[np.random.Generator, Any]:
    """Once each, at random, and as a bootstrap would: but every row counts a little."""
    random = np.random.default_rng(seed)
    counts = random.multinomial(rows, np.full(rows, 1 / rows)) + 1e-3
    return random, np.stack([np.ones(rows), random.random(rows) + 1e-3, counts])


def both_classes(target: Any) -> Any:
    return np.append(target[:-2], [0, 1])


def values(bound: dict[str, Scorer], weights: Any, names: dict[str, Any]) -> dict[str, float]:
    return {name: float(bound[name](weights[None])[0]) for name in names}


def bare(scorer: Scorer) -> float:
    return float(scorer(np.ones((1, 10_000)))[0])
