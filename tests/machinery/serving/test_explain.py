"""Explanations: contributions that add up, of what the model looks at, the same every time."""

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
    """The definition: every order of the features, one feature at a time."""
    found = dict.fromkeys(ROW, 0.0)
    orders = list(permutations(ROW))
    for order in orders:
        columns = dict(BACKGROUND)
        for name in order:
            before = predict(columns).mean()
            columns[name] = np.repeat(ROW[name], 2)
            found[name] += (predict(columns).mean() - before) / len(orders)
    return found


def test_contributions_come_near_the_exact_shapley_values_and_add_up() -> None:
    found = shapley(product, ROW, BACKGROUND, orders=200)
    for name, value in exact(product).items():
        assert found.contributions[name] == pytest.approx(value, abs=0.15)
    assert found.base == pytest.approx(product(BACKGROUND).mean())
    assert found.base + sum(found.contributions.values()) == pytest.approx(product(ROW)[0])


def test_a_feature_that_the_model_ignores_contributes_nothing() -> None:
    found = shapley(lambda columns: columns["a"] ** 2, ROW, BACKGROUND).contributions
    assert found["a"] == pytest.approx(9 - 0.5)
    assert (found["b"], found["c"]) == (0.0, 0.0)


def test_the_service_explains_one_row_and_the_same_each_time(
    serve: Callable[..., Any], row: Callable[..., dict[str, Any]]
) -> None:
    client = serve()
    found = client.post("/explain", json=row()).json()
    answer = client.post("/predict", json=row()).json()["predictions"][0]
    assert found["explained"] == "probability of true"
    assert found["prediction"] == pytest.approx(answer["probability"]["true"], abs=1e-6)
    total = found["base"] + sum(found["contributions"].values())
    assert total == pytest.approx(found["prediction"], abs=1e-6)
    again = client.post("/explain", json=row()).json()
    assert again["contributions"] == found["contributions"]
    assert client.post("/explain", json=[row(), row()]).status_code == 422
