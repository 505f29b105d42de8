"""Charts whose lines fit their axes, for every task."""

import re
from typing import Any

import numpy as np
import pytest

from machinery.comparison.drawing import PLACES, curves

ROWS = 600
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#999999"


def binary(target: Any, strength: float, seed: int) -> Any:
    noise = np.random.default_rng(seed).normal(size=len(target))
    positive = 1 / (1 + np.exp(-(strength * (2 * target - 1) + noise)))
    return np.column_stack([1 - positive, positive]).astype(np.float32)


@pytest.fixture
def target() -> Any:
    return np.random.default_rng(1).integers(0, 2, ROWS)


def charts(text: str) -> list[dict[str, Any]]:
    """What a reader of the Mermaid sees: axes, lines, colours."""
    charts = []
    for chart in re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL):
        assert chart.splitlines().count("---") == 2
        assert "xychart-beta" in chart
        axes = re.findall(r'^  ([xy])-axis "([a-z ]+)" (\S+) --> (\S+)$', chart, re.MULTILINE)
        lines = re.findall(r"^  line \[(.*)\]$", chart, re.MULTILINE)
        charts.append(
            {
                **{axis: (name, float(low), float(high)) for axis, name, low, high in axes},
                "lines": np.array([[float(value) for value in line.split(",")] for line in lines]),
                "colours": re.findall("#[0-9A-F]{6}", chart),
            }
        )
    return charts


def check(chart: dict[str, Any]) -> None:
    """As many colours as lines, as many values in each, all of them on the axis."""
    assert len(chart["colours"]) == len(chart["lines"])
    assert chart["lines"].shape[1] == PLACES
    assert np.isfinite(chart["lines"]).all()
    for axis in "xy":
        assert chart[axis][1] < chart[axis][2]
    assert chart["lines"].min() >= chart["y"][1]
    assert chart["lines"].max() <= chart["y"][2]


def test_two_classes_have_a_roc_curve_and_calibration_of_both_models(target: Any) -> None:
    models = {"champion": binary(target, 0.3, 1), "challenger": binary(target, 1.0, 2)}
    text = curves("classification", target, models)
    roc, calibration = charts(text)
    for chart in (roc, calibration):
        check(chart)
        assert chart["colours"] == [GREY, BLUE, ORANGE]
    assert roc["x"] == ("false positive rate", 0, 1)
    chance, champion, challenger = roc["lines"].mean(axis=1)
    assert chance < champion < challenger
    assert text.count("blue is the champion, orange is the challenger") == 2


def test_a_first_model_is_drawn_alone_in_its_own_colour(target: Any) -> None:
    text = curves("classification", target, {"challenger": binary(target, 1.0, 2)})
    assert [chart["colours"] for chart in charts(text)] == [[GREY, ORANGE]] * 2
    assert "blue" not in text


def test_models_whose_probabilities_do_not_overlap_have_no_calibration_curve(target: Any) -> None:
    constant = np.full((ROWS, 2), 0.5, np.float32)
    (roc,) = charts(curves("classification", target, {"challenger": constant}))
    assert roc["x"][0] == "false positive rate"
    low = 0.1 * binary(target, 1.0, 1)[:, 1]
    models = {
        "champion": np.column_stack([1 - low, low]),
        "challenger": np.column_stack([low, 1 - low]),
    }
    (roc,) = charts(curves("classification", target, models))
    check(roc)
    assert roc["colours"] == [GREY, BLUE, ORANGE]


def test_more_classes_have_the_mean_roc_curve_and_calibration_of_the_top_class() -> None:
    random = np.random.default_rng(1)
    target = random.integers(0, 3, ROWS)
    probability = random.dirichlet([1, 1, 1], ROWS) + np.eye(3)[target] / 2
    probability /= probability.sum(axis=1, keepdims=True)
    text = curves("classification", target, {"challenger": probability})
    assert "mean of each class against the rest" in text
    for chart in charts(text):
        check(chart)


def test_a_regression_has_an_error_curve() -> None:
    random = np.random.default_rng(1)
    target = random.normal(0, 1000, ROWS)
    models = {
        "champion": target + random.normal(0, 300, ROWS),
        "challenger": target + random.normal(0, 100, ROWS),
    }
    (chart,) = charts(curves("regression", target, models))
    check(chart)
    assert chart["colours"] == [BLUE, ORANGE]
    assert (np.diff(chart["lines"]) >= 0).all()
    assert chart["lines"][1].mean() > chart["lines"][0].mean()


def test_what_cannot_be_drawn_is_left_out() -> None:
    one_class = np.zeros(ROWS, dtype=int)
    constant = np.full((ROWS, 2), 0.5)
    assert curves("classification", one_class, {"challenger": constant}) == ""
    assert curves("regression", np.ones(ROWS), {"challenger": np.ones(ROWS)}) == ""
