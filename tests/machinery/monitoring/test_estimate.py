"""Estimates without outcomes: right where the target depends on the features as it did."""

import numpy as np
import pandas as pd
import pytest

from machinery.monitoring.estimate import errors, expected
from machinery.pipeline.statistics import metrics


@pytest.fixture
def probability() -> np.ndarray:
    p = np.random.default_rng(1).beta(1, 3, 400).astype(np.float32)
    return np.column_stack([1 - p, p])


def value(prediction: np.ndarray, metric: str) -> float:
    return float(expected(prediction, metric)(np.ones((1, len(prediction))))[0])


def test_the_expected_roc_auc_is_that_of_every_pair_weighted_by_its_chance(
    probability: np.ndarray,
) -> None:
    p = probability[:, 1].astype(float)
    chance = p[:, None] * (1 - p[None])
    wins = (p[:, None] > p[None]) + 0.5 * (p[:, None] == p[None])
    assert value(probability, "roc_auc") == pytest.approx((chance * wins).sum() / chance.sum())


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss", "brier_score"])
def test_outcomes_drawn_from_the_probabilities_come_out_as_estimated(
    probability: np.ndarray, metric: str
) -> None:
    random, many = np.random.default_rng(2), np.repeat(probability, 100, axis=0)
    target = (random.random(len(many)) < many[:, 1]).astype(int)
    realised = metrics.score("classification", target, many)[metric]
    assert value(probability, metric) == pytest.approx(realised, abs=0.01)


def test_of_several_classes_each_row_counts_as_every_one() -> None:
    random = np.random.default_rng(3)
    probability = random.dirichlet([1, 1, 2], 20_000)
    target = np.array([random.choice(3, p=row) for row in probability])
    realised = metrics.score("classification", target, probability)["roc_auc"]
    assert value(probability, "roc_auc") == pytest.approx(realised, abs=0.01)


def test_the_error_model_knows_which_rows_have_large_errors() -> None:
    random = np.random.default_rng(4)
    past = pd.DataFrame({"x": random.uniform(0, 1, 4000), "kind": random.choice(["a", "b"], 4000)})
    error = np.abs(random.normal(size=4000)) * past["x"] * np.where(past["kind"] == "a", 1, 3)
    new = pd.DataFrame({"x": [0.9, 0.9, 0.1], "kind": ["a", "b", "a"]})
    estimated = errors(past, error.to_numpy(), new, seed=1)
    scale = np.sqrt(2 / np.pi)  # the mean of |N(0, 1)|
    assert estimated == pytest.approx([0.9 * scale, 2.7 * scale, 0.1 * scale], abs=0.3)
