"""violations: what is wrong in which row, as `tables` finds it before training, without pandas."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.violations import cast, castable, check

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data import tables


def rows_of(values: list[Any], name: str, contract: Contract) -> dict[str, list[int]]:
    """Each violation of one column, and the rows that have it."""
    checked = check({name: pa.array(values)}, contract)
    return {why: np.flatnonzero(mask).tolist() for why, mask in checked.violations.items()}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("size", [1.0, None, 11.0, -1.0, float("nan")], {"size is outside 0 to 10": [2, 3]}),
        ("size", [0.0, 10.0], {}),
        ("size", [float("inf"), 1.0], {"size is outside 0 to 10": [0]}),
        ("size", [3, 11], {"size is outside 0 to 10": [1]}),
        ("colour", ["red", "green", "blue"], {"colour is not among the allowed values": [1]}),
        (
            "colour",
            ["red", None],
            {"colour is empty where the contract says nullable: false": [1]},
        ),
        (
            "size",
            ["1.5", " 2 ", "much", "", "NA", "99"],
            {
                "size is not of type number": [2],
                "size is outside 0 to 10": [5],
            },
        ),
        (
            "at",
            ["2013-07-01 06:00", "2013-07-01T06:00:00", "soon"],
            {
                "at is not of type datetime": [2],
            },
        ),
        ("id", ["NA", "", "nan"], {}),
    ],
)
def test_each_violation_names_its_rows(
    contract: Contract, name: str, values: list[Any], expected: dict[str, list[int]]
) -> None:
    assert rows_of(values, name, contract) == expected


def test_both_checkers_find_the_same_rows(contract: Contract) -> None:
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c", None],
            "at": pd.to_datetime(["2013-01-01", "2013-01-02", None, "2013-01-04"]),
            "size": [1.0, None, 30.0, -10.0],
            "colour": ["red", "green", None, "red"],
            "delay": [0.0] * 4,
            "late": [False] * 4,
        }
    )
    found = tables.check(tables.conform(table, contract), contract)
    expected = {f"{each.column} {each.problem}": list(each.rows or ()) for each in found}
    columns = {name: pa.array(table[name], from_pandas=True) for name in contract.known_before()}
    masks = check(columns, contract).violations
    assert {why: np.flatnonzero(mask).tolist() for why, mask in masks.items()} == expected


def test_a_row_has_all_its_reasons(contract: Contract) -> None:
    columns = {"size": pa.array([1.0, 99.0]), "colour": pa.array(["red", "green"])}
    checked = check(columns, contract)
    bad = checked.bad(2)
    assert checked.reasons(bad) == [
        "size is outside 0 to 10; colour is not among the allowed values"
    ]


@pytest.mark.parametrize(
    ("kind", "texts", "values", "lost"),
    [
        ("integer", ["1", "2.5", "x", None, "9" * 30], [1, None, None, None, None], [1, 2, 4]),
        ("integer", ["3.0", " -4.00", "5.", ".", "10"], [3, -4, 5, None, 10], [3]),
        (
            "boolean",
            ["true", "False", "1", "0", "", "yes"],
            [True, False, True, False, None, None],
            [5],
        ),
        ("number", ["1e3", "-.5", "inf", "1,5"], [1000.0, -0.5, float("inf"), None], [3]),
        ("string", ["", "NA", None], ["", "NA", None], []),
    ],
)
def test_texts_are_read_value_by_value(
    document: dict[str, Any], kind: str, texts: list[Any], values: list[Any], lost: list[int]
) -> None:
    document["columns"]["size"] |= {"type": kind, "allowed": None}
    column = contracts.parse(document).columns["size"]
    made, wrong = cast(pa.array(texts, pa.string()), column)
    assert made.to_pylist() == values
    assert ([] if wrong is None else np.flatnonzero(wrong).tolist()) == lost


def test_infinity_is_a_violation_without_a_range_too(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"allowed": None}
    contract = contracts.parse(document)
    expected = {"size is infinite": [0]}
    assert rows_of([float("-inf"), 1.0, None], "size", contract) == expected
    assert rows_of(["inf", "1", ""], "size", contract) == expected


def test_an_integer_with_a_fraction_is_no_integer(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"type": "integer"}
    contract = contracts.parse(document)
    assert rows_of([1.0, 1.5, None], "size", contract) == {"size is not of type integer": [1]}


@pytest.mark.parametrize(
    ("kind", "name", "fits"),
    [
        (pa.int8(), "size", True),
        (pa.float32(), "size", True),
        (pa.decimal128(5, 2), "size", True),
        (pa.string(), "size", False),
        (pa.bool_(), "size", False),
        (pa.null(), "size", True),
        (pa.large_string(), "colour", True),
        (pa.dictionary(pa.int8(), pa.string()), "colour", True),
        (pa.int64(), "colour", False),
        (pa.timestamp("ns"), "at", True),
        (pa.date32(), "at", True),
        (pa.timestamp("us", tz="UTC"), "at", False),
        (pa.string(), "at", False),
        (pa.int8(), "late", False),
    ],
)
def test_a_column_of_another_type_is_not_read(
    contract: Contract, kind: pa.DataType, name: str, fits: bool
) -> None:
    assert castable(kind, contract.columns[name]) == fits


def test_categories_encoded_as_a_dictionary_are_decoded(contract: Contract) -> None:
    encoded = pa.array(["red", "green", None]).dictionary_encode()
    checked = check({"colour": encoded}, contract)
    assert checked.columns["colour"].to_pylist() == ["red", "green", None]
    assert checked.bad(3).tolist() == [False, True, True]
