"""contract.yaml: every invalid key is named, and classes have codes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("target",), "absent", "target names 'absent', which columns does not describe"),
        (("task",), "ranking", "task is 'ranking'"),
        (("colour", "allowed"), None, "columns.colour: a category needs its values in 'allowed'"),
        (("colour", "allowed"), [], "columns.colour: 'allowed' is an empty list; name the values"),
        (("colour", "allowed"), ["red", "red"], "columns.colour: 'allowed' names red twice"),
        (("colour", "allowed"), ["NO", False], "a category has False, not a string; quote it"),
        (("late", "allowed"), [True], "the target late needs two classes or more in 'allowed'"),
        (("id", "nullable"), True, "id identifies rows, so it must be nullable: false"),
        (("at", "nullable"), True, "at identifies rows, so it must be nullable: false"),
        (("colour", "known"), "sometimes", "columns.colour.known is 'sometimes'"),
        (("size", "allowed"), {"min": "low"}, "columns.size.allowed.min is 'low'"),
        (("size", "nullabel"), True, "columns.size.nullabel is not a known key"),
        (("late", "known"), "before", "the target late must be known: after"),
        (("at", "type"), "string", "the time column at must be a datetime"),
        (("size", "allowed"), {"min": 9, "max": 0}, "columns.size.allowed: min 9 is above max 0"),
        (("size", "allowed"), {"min": float("nan")}, "columns.size.allowed.min is nan"),
        (("key",), None, "key: is null; name a column with unique values, or number the rows"),
        (("size", "owner"), "", "columns.size.owner is ''"),
        (("size", "seasonal"), "winter", "columns.size.seasonal is 'winter'"),
        (("late", "personal"), True, "late is personal, but reports show the target and the time"),
        (("at", "personal"), True, "at is personal, but reports show the target and the time"),
    ],
)
def test_an_invalid_key_is_named(
    document: dict[str, Any], path: tuple[str, ...], value: Any, sentence: str
) -> None:
    place = document["columns"][path[0]] if len(path) == 2 else document
    place[path[-1]] = value
    with pytest.raises(UserError) as caught:
        contracts.parse(document)
    assert str(caught.value).startswith("contract.yaml: ")
    assert sentence in str(caught.value)


def test_a_group_that_may_be_missing_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="size identifies rows, so it must be nullable: false"):
        contracts.parse(document | {"group": "size"})


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),  # it may be missing
        ({"nullable": False}, False),
        ({"nullable": False, "known": "after", "type": "integer"}, False),
        ({"nullable": False, "allowed": None}, True),
        ({"nullable": False, "allowed": {"min": -1}}, True),
        ({"nullable": False, "allowed": ["a"], "type": "category"}, True),
    ],
)
def test_a_weight_is_a_number_that_is_never_missing_nor_negative(
    document: dict[str, Any], changes: dict[str, Any], refused: bool
) -> None:
    document["columns"]["size"] |= changes
    if not refused:
        contract = contracts.parse(document | {"weight": "size"})
        assert contract.carried == ["id", "at", "late", "size"]
        return
    with pytest.raises(UserError, match="the weight size must be a number or integer, nullable: f"):
        contracts.parse(document | {"weight": "size"})


def test_the_target_cannot_be_the_weight(document: dict[str, Any]) -> None:
    document["columns"]["delay"]["allowed"] = {"min": 0}
    with pytest.raises(UserError, match="the weight delay must .*, and not the target"):
        contracts.parse(document | {"task": "regression", "target": "delay", "weight": "delay"})


@pytest.mark.parametrize(
    ("task", "target", "values", "fault"),
    [
        ("regression", "delay", [1.0, 1.0, 1.0], "delay is always 1.0 in 3 training rows"),
        ("classification", "late", [False, False], "late is never True in 2 training rows"),
    ],
)
def test_rows_of_one_class_or_number_are_refused(
    document: dict[str, Any], task: str, target: str, values: list[Any], fault: str
) -> None:
    contract = contracts.parse(document | {"task": task, "target": target})
    with pytest.raises(UserError, match=fault):
        contract.require_classes(pd.Series(values))


def test_added_columns_never_clash_with_those_of_the_contract(document: dict[str, Any]) -> None:
    columns = document["columns"]
    for name in ("fold", "prediction", "probability_true", "probability_true_"):
        columns[name] = columns["size"]
    contract = contracts.parse(document)
    probability = np.array([[0.25, 0.75], [1.0, 0.0]])
    table = pd.DataFrame({name: [1, 2] for name in columns}).assign(**contract.spread(probability))
    assert table[list(columns)].eq([1, 2], axis="index").all(axis=None)
    assert contract.added("fold") not in columns
    assert contract.gather(table).tolist() == probability.tolist()


def test_added_columns_have_no_suffix_where_possible(contract: Contract) -> None:
    assert list(contract.spread(np.eye(2))) == ["probability_false", "probability_true"]


@pytest.mark.parametrize(
    ("allowed", "positive", "classes"),
    [
        (["yes", "no"], "yes", ["no", "yes"]),
        (["no", "yes"], "yes", ["no", "yes"]),
        (None, False, ["true", "false"]),
        (None, None, ["false", "true"]),
        (["a", "b", "c"], None, ["a", "b", "c"]),
    ],
)
def test_the_positive_class_is_the_one_that_the_contract_names(
    document: dict[str, Any], allowed: list[str] | None, positive: Any, classes: list[str]
) -> None:
    kind = "boolean" if allowed is None else "category"
    document["columns"]["late"] |= {"type": kind, "allowed": allowed}
    contract = contracts.parse(document | {"positive": positive})
    assert contract.class_names == classes
    assert contract.positive_name == (classes[1] if len(classes) == 2 else None)
    assert contract.encode(pd.Series(contract.classes)).tolist() == list(range(len(classes)))


@pytest.mark.parametrize(
    ("allowed", "positive", "sentence"),
    [
        (["yes", "no"], None, "positive is missing; name the class of interest, yes or no"),
        (["yes", "no"], "Yes", "positive is 'Yes', which is not yes or no"),
        (["a", "b", "c"], "a", "positive is for a target of two classes; remove it"),
    ],
)
def test_a_missing_or_wrong_positive_class_is_named(
    document: dict[str, Any], allowed: list[str], positive: Any, sentence: str
) -> None:
    document["columns"]["late"] |= {"type": "category", "allowed": allowed}
    with pytest.raises(UserError, match=sentence):
        contracts.parse(document | {"positive": positive})
