"""Violations of rows, faults of tables, and casts without loss."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from machinery.pipeline.data import checks
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.checks import Violation, cast, castable, check, conform, examples
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError

EMPTY = "is empty where the contract says nullable: false"


def rows_of(values: list[Any], name: str, contract: Contract) -> dict[str, list[int]]:
    """The violations of a column, and their rows."""
    violations = check({name: pa.array(values)}, contract, unique=True).violations
    return {fault.problem: np.flatnonzero(fault.rows).tolist() for fault in violations}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("size", [1.0, None, 11.0, -1.0, float("nan")], {"is outside 0 to 10": [2, 3]}),
        ("size", [0.0, 10.0], {}),
        ("size", [float("inf"), 1.0], {"is outside 0 to 10": [0]}),
        ("size", [3, 11], {"is outside 0 to 10": [1]}),
        ("colour", ["red", "green", "blue"], {"is not among the allowed values": [1]}),
        ("colour", ["red", None], {EMPTY: [1]}),
        ("late", [None, True, False], {EMPTY: [0]}),
        ("at", [None, datetime(2013, 1, 1)], {EMPTY: [0]}),
        (
            "size",
            ["1.5", " 2 ", "much", "", "NA", "99"],
            {"is not of type number": [2], "is outside 0 to 10": [5]},
        ),
        (
            "at",
            ["2013-07-01 06:00", "2013-07-01T06:00:00", "soon"],
            {"is not of type datetime": [2]},
        ),
        ("id", ["NA", "", "nan"], {}),
        ("id", ["a", "b", "b", "a", "b"], {"is not unique": [2, 3, 4]}),
        ("id", ["a", None, None], {EMPTY: [1, 2]}),
        ("size", [1.0, None], {}),
        ("size", [None, None], {}),
        ("size", [], {}),
    ],
)
def test_each_violation_names_its_rows(
    contract: Contract, name: str, values: list[Any], expected: dict[str, list[int]]
) -> None:
    assert rows_of(values, name, contract) == expected


def test_a_row_has_all_its_reasons(contract: Contract) -> None:
    columns = {"size": pa.array([1.0, 99.0]), "colour": pa.array(["red", "green"])}
    checked = check(columns, contract)
    assert checked.reasons(checked.bad(2)) == [
        "size is outside 0 to 10; colour is not among the allowed values"
    ]


def test_missing_unknown_and_mistyped_columns_are_all_named(
    contract: Contract,
) -> None:
    names = ["id", "at", "colour", "late", "size"]
    table = pa.table({name: pa.array(["text"]) for name in [*names, "extra"]})
    assert [fault.split(";")[0] for fault in checks.faults(table.schema, contract)] == [
        "delay is missing from the table",
        "extra is not in the contract",
        "at is not of type datetime",
        "late is not of type boolean",
        "size is not of type number",
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
        ("boolean", ["TRUE", " False "], [True, False], []),
        ("boolean", [], [], []),
        ("boolean", ["", ""], [None, None], []),
        ("number", ["1e3", "-.5", "inf", "1,5"], [1000.0, -0.5, float("inf"), None], [3]),
        ("string", ["", "NA", None], ["", "NA", None], []),
    ],
)
def test_strings_are_parsed_value_by_value(
    document: dict[str, Any], kind: str, texts: list[Any], values: list[Any], lost: list[int]
) -> None:
    document["columns"]["size"] |= {"type": kind, "allowed": None}
    column = contracts.parse(document).columns["size"]
    typed, mask = cast(pa.array(texts, pa.string()), column)
    assert typed.to_pylist() == values
    assert np.flatnonzero(mask).tolist() == lost


def test_infinity_is_a_violation_even_without_a_range(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"allowed": None}
    contract = contracts.parse(document)
    assert rows_of([float("-inf"), 1.0, None], "size", contract) == {"is infinite": [0]}
    assert rows_of(["inf", "1", ""], "size", contract) == {"is infinite": [0]}


def test_integers_have_no_fraction_and_may_be_larger_than_a_float_holds(
    document: dict[str, Any],
) -> None:
    document["columns"]["size"] |= {"type": "integer"}
    contract = contracts.parse(document)
    assert rows_of([1.0, 1.5, None], "size", contract) == {"is not of type integer": [1]}
    assert rows_of([2**60 + 1, 3], "size", contract) == {"is outside 0 to 10": [0]}


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
def test_types_of_a_table_that_can_be_cast(
    contract: Contract, kind: pa.DataType, name: str, fits: bool
) -> None:
    assert castable(kind, contract.columns[name]) == fits


def test_a_decimal_becomes_the_nearest_float_as_its_text_does(contract: Contract) -> None:
    digits = [f"{number / 7:.6f}" for number in range(1, 1000)]
    decimals, column = pa.array(map(Decimal, digits)), contract.columns["size"]
    numbers, _ = cast(decimals, column)
    assert numbers.to_pylist() == [float(text) for text in digits]
    assert numbers.equals(cast(pa.array(digits), column)[0])


def test_categories_encoded_as_a_dictionary_are_decoded(contract: Contract) -> None:
    encoded = pa.array(["red", "green", None]).dictionary_encode()
    checked = check({"colour": encoded}, contract)
    assert checked.columns["colour"].to_pylist() == ["red", "green", None]
    assert checked.bad(3).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("size", [1, 2], pa.float64()),
        ("size", [2**53 + 1, None], pa.float64()),
        ("count", [1.0, 2.0], pa.int64()),
        ("count", [1.0, None], pa.int64()),
        ("count", [1.5, 2.0], pa.float64()),
        ("count", [True, False], pa.bool_()),
        ("at", [1, 2], pa.int64()),
        ("at", ["2013-01-01", "soon"], pa.large_string()),
        ("at", pd.to_datetime(["2013-01-01", None]), pa.timestamp("us")),
        ("id", [1, 2], pa.int64()),
        ("late", [0, 1], pa.int64()),
        ("late", [True, None], pa.bool_()),
    ],
)
def test_conform_casts_only_what_loses_nothing(
    document: dict[str, Any], column: str, values: Any, kind: pa.DataType
) -> None:
    document["columns"]["count"] = document["columns"]["size"] | {"type": "integer"}
    table = conform(pd.DataFrame({column: values}), contracts.parse(document))
    assert table.schema.field(column).type == kind
    assert table[column].null_count == pd.isna(pd.Series(values)).sum()


def test_a_column_of_mixed_types_is_named(contract: Contract) -> None:
    with pytest.raises(UserError, match=r"source.py: late has values of several types"):
        conform(pd.DataFrame({"late": [True, "yes"]}), contract)


def test_no_message_shows_a_personal_value(document: dict[str, Any]) -> None:
    document["columns"]["colour"]["personal"] = True
    contract = contracts.parse(document)
    with pytest.raises(UserError) as caught:
        conform(pd.DataFrame({"colour": [1, "mauve"]}), contract)
    assert str(caught.value) == "source.py: colour has values of several types; give it one"
    values = pa.array(["mauve"])
    assert not examples(values, Violation("colour", "", np.ones(1, dtype=bool)), contract)


@pytest.mark.parametrize("nullable", [False, True])
def test_pandas_reads_a_table_in_the_types_of_the_contract(
    document: dict[str, Any], nullable: bool
) -> None:
    kinds = {"a": "integer", "b": "boolean", "c": "datetime", "d": "number", "e": "string"}
    for name, kind in kinds.items():
        changes = {"type": kind, "nullable": nullable, "allowed": None}
        document["columns"][name] = document["columns"]["size"] | changes
    contract = contracts.parse(document)
    frame = pd.DataFrame({"a": [1], "b": [True], "c": [datetime(2013, 1, 1)], "d": [1], "e": ["x"]})
    read = checks.for_pandas(conform(frame, contract), contract).to_pandas()
    assert read.dtypes.to_dict() == {name: contract.columns[name].dtype for name in kinds}


def test_hostile_text_in_an_example_stays_on_one_line(contract: Contract) -> None:
    values = pa.array(["red\n" * 99, "red\n" * 99, None, "blue", "green", "grey"])
    shown = examples(values, Violation("colour", "", np.ones(6, dtype=bool)), contract)
    assert len(shown) == 3
    assert "\n" not in shown[0]
    assert len(shown[0]) <= 40
