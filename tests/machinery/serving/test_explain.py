"""Explanations add up, ignore unused features, and are reproducible."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from machinery.serving.explain import shapley

Arrays = dict[str, np.ndarray]
ROW = {"a": np.array([3.0]), "b": np.array([2.0]), "c": np.array(["x"], dtype=object)}
BACKGROUND = {
    "a": np.array([0.0, 1.0]),
    "b": np.array([1.0, 0.0]),
    "c": np.array(["y", "z"], dtype=object),
}


def product(columns: Arrays) -> np.ndarray:
    return columns["a"] * columns["b"] + 5.0 * (columns["c"] == "x")


def exact(predict: Callable[[Arrays], np.ndarray]) -> dict[str, float]:
    """Shapley values by their definition, over all permutations."""
    contributions = dict.fromkeys(ROW, 0.0)
    orders = list(permutations(ROW))
    for order in orders:
        columns = dict(BACKGROUND)
        for name in order:
            before = predict(columns).mean()
            columns[name] = np.repeat(ROW[name], 2)
            contributions[name] += (predict(columns).mean() - before) / len(orders)
    return contributions


def test_contributions_approximate_the_exact_shapley_values_and_add_up() -> None:
    base, _, contributions = shapley(product, ROW, BACKGROUND, permutations=200)
    assert contributions == pytest.approx(exact(product), abs=0.15)
    assert base == pytest.approx(product(BACKGROUND).mean())
    assert base + sum(contributions.values()) == pytest.approx(product(ROW)[0])


def test_a_feature_that_the_model_ignores_contributes_nothing() -> None:
    contributions = shapley(lambda columns: columns["a"] ** 2, ROW, BACKGROUND).contributions
    assert contributions == {"a": pytest.approx(9 - 0.5), "b": 0.0, "c": 0.0}


def test_the_service_explains_one_row_reproducibly(
    serve: Callable[..., Any], row: Callable[..., dict[str, Any]]
) -> None:
    client = serve()
    explained = client.post("/explain", json=row()).json()
    answer = client.post("/predict", json=row()).json()["predictions"][0]
    assert explained["explained"] == "probability of true"
    assert explained["prediction"] == pytest.approx(answer["probability"]["true"], abs=1e-6)
    total = explained["base"] + sum(explained["contributions"].values())
    assert total == pytest.approx(explained["prediction"], abs=1e-6)
    again = client.post("/explain", json=row()).json()
    assert again["contributions"] == explained["contributions"]
    assert client.post("/explain", json=[row(), row()]).status_code == 422
