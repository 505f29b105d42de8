"""replies: classes are named in the answer as the contract names them, whatever they are called."""

import json
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from machinery.pipeline.model.answers import Answers

from machinery.serving import replies


def answer(names: list[str], answers: Answers) -> Any:
    info = {"coverage": 0.9, "threshold": 0.5}
    scorer = SimpleNamespace(info=info, contract=SimpleNamespace(class_names=names))
    model: Any = SimpleNamespace(scorer=scorer, version="v1")
    return json.loads(replies.prediction("an-id", model, answers))


@pytest.mark.parametrize("names", [["class", "a b", "1"], ["self", "", "é\"'"]])
def test_classes_may_have_any_name(names: list[str]) -> None:
    found = answer(
        names,
        Answers(
            np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32),
            decision=np.array([0, 2]),
            members=np.array([[True, True, False], [False, False, False]]),
        ),
    )
    first, second = found["predictions"]
    assert first == {
        "prediction": names[0],
        "probability": dict(zip(names, [0.5, 0.25, 0.25], strict=True)),
        "set": names[:2],
    }
    assert (second["prediction"], second["set"]) == (names[2], [])
    assert list(found) == [
        "predictions", "coverage", "decision_threshold", "model_version", "request_id"
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["C", "F"])
def test_each_row_has_its_own_set(order: Any) -> None:
    names = ["a", "b", "c"]
    members = np.array([*product((False, True), repeat=3)], order=order)
    rows = len(members)
    found = answer(
        names,
        Answers(
            np.full((rows, 3), 0.25, np.float32), decision=np.zeros(rows, int), members=members
        ).part(slice(1, rows)),
    )
    wanted = [[name for name, own in zip(names, row, strict=True) if own] for row in members[1:]]
    assert [row["set"] for row in found["predictions"]] == wanted


def test_a_value_has_its_interval() -> None:
    value = np.array([3.0, 4.0], np.float32)
    found = answer([], Answers(value, low=value - 1, high=value + 1))
    assert found["predictions"] == [
        {"prediction": 3.0, "interval": [2.0, 4.0]},
        {"prediction": 4.0, "interval": [3.0, 5.0]},
    ]
