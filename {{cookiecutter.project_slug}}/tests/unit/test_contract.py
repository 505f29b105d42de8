"""The contract: what it refuses in its file, and what it finds in a table."""

from typing import Any

import pandas as pd
import pytest

from {{cookiecutter.project_slug}} import contract as contracts
from {{cookiecutter.project_slug}}.contract import Contract
from {{cookiecutter.project_slug}}.files import UserError


def good_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "at": pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"]),
            "size": [1.0, None, 3.0, 10.0],
            "colour": ["red", "blue", "red", "red"],
            "delay": [0.0, 20.0, 1.0, 2.0],
            "late": [False, True, False, False],
        }
    )


def test_a_table_that_keeps_the_contract_has_no_violation(contract: Contract) -> None:
    assert contract.check(contract.conform(good_table())) == []


@pytest.mark.parametrize(
    ("column", "values", "problem", "rows"),
    [
        ("size", [1.0, 2.0, 11.0, -1.0], "is outside 0 to 10, 2 times, e.g. 11.0, -1.0", (2, 3)),
        ("colour", ["red", "green", "red", "red"], "not among the allowed values", (1,)),
        ("colour", ["red", None, "red", "red"], "empty where the contract says", (1,)),
        ("id", ["a", "b", "b", "b"], "id is not unique, 2 times", (2, 3)),
    ],
)
def test_a_bad_row_is_told_with_column_count_and_examples(
    contract: Contract, column: str, values: list[Any], problem: str, rows: tuple[int, ...]
) -> None:
    (violation,) = contract.check(contract.conform(good_table().assign(**{column: values})))
    assert problem in str(violation)
    assert violation.rows == rows


def test_every_violation_is_told_at_once(contract: Contract) -> None:
    table = good_table().assign(size=99.0, colour="green", extra=1).drop(columns="delay")
    violations = contract.check(contract.conform(table))
    assert [violation.column for violation in violations] == ["size", "colour", "delay", "extra"]
    assert len(violations[0].examples) <= 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": ["much", "more", "most", "all"]}, "size is not of type number"),
        ({"late": ["yes", "no", "no", "no"]}, "late is not of type boolean"),
        ({"at": ["soon", "later", "never", "now"]}, "at is not of type datetime"),
    ],
)
def test_a_wrong_type_is_a_fault_of_the_table_not_of_rows(
    contract: Contract, change: dict[str, Any], problem: str
) -> None:
    (violation,) = contract.check(contract.conform(good_table().assign(**change)))
    assert problem in str(violation)
    assert violation.rows is None


def test_conform_casts_only_what_loses_nothing(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"type": "integer", "nullable": True}
    contract = contracts.parse(document)
    whole = contract.conform(good_table())["size"]
    halves = contract.conform(good_table().assign(size=[1.5, 2.0, 3.0, 4.0]))["size"]
    assert (whole.dtype, halves.dtype) == (pd.Int64Dtype(), "float64")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("target",), "absent", "target names 'absent', which columns does not describe"),
        (("task",), "ranking", "task is 'ranking'"),
        (("colour", "allowed"), None, "columns.colour: a category needs its values in 'allowed'"),
        (("colour", "known"), "sometimes", "columns.colour.known is 'sometimes'"),
        (("size", "allowed"), {"min": "low"}, "columns.size.allowed.min is 'low'"),
        (("size", "nullabel"), True, "columns.size.nullabel is not a known key"),
        (("late", "known"), "before", "the target late must be known: after"),
        (("at", "type"), "string", "the time column at must be a datetime"),
        (("size", "owner"), "", "columns.size.owner is ''"),
    ],
)
def test_a_wrong_place_in_the_file_is_named(
    document: dict[str, Any], path: tuple[str, ...], value: Any, sentence: str
) -> None:
    place = document["columns"][path[0]] if len(path) == 2 else document
    place[path[-1]] = value
    with pytest.raises(UserError) as caught:
        contracts.parse(document)
    assert str(caught.value).startswith("contract.yaml: ")
    assert sentence in str(caught.value)


def test_classes_have_codes_in_the_order_of_the_contract(contract: Contract) -> None:
    assert contract.class_names == ["false", "true"]
    assert contract.encode(pd.Series([True, False, True])).tolist() == [1, 0, 1]


def test_rows_of_one_class_only_are_refused(contract: Contract) -> None:
    with pytest.raises(UserError, match="late is never True in 3 training rows"):
        contract.require_classes(pd.Series([False, False, False]))
