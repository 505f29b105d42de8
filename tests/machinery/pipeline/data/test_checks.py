"""tables: what the contract finds in a table, and what it casts without loss."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.tables import Violation, check, conform
from machinery.pipeline.files import read_table

from machinery.pipeline.data import contract as contracts


def violations_of(table: pd.DataFrame, contract: Contract) -> list[Violation]:
    return check(conform(table, contract), contract)


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
    assert violations_of(good_table(), contract) == []


@pytest.mark.parametrize(
    ("column", "values", "problem", "rows"),
    [
        ("size", [1.0, 2.0, 11.0, -1.0], "is outside 0 to 10, 2 times, e.g. 11.0, -1.0", (2, 3)),
        ("colour", ["red", "green", "red", "red"], "not among the allowed values", (1,)),
        ("colour", ["red", None, "red", "red"], "empty where the contract says", (1,)),
        ("id", ["a", "b", "b", "b"], "id is not unique, 2 times", (2, 3)),
        ("late", [True, None, False, True], "late is empty where the contract says", (1,)),
    ],
)
def test_a_bad_row_is_told_with_column_count_and_examples(
    contract: Contract, column: str, values: list[Any], problem: str, rows: tuple[int, ...]
) -> None:
    (violation,) = violations_of(good_table().assign(**{column: values}), contract)
    assert problem in str(violation)
    assert violation.rows == rows


def test_every_violation_is_told_at_once(contract: Contract) -> None:
    table = good_table().assign(size=99.0, colour="green", extra=1).drop(columns="delay")
    violations = violations_of(table, contract)
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
    (violation,) = violations_of(good_table().assign(**change), contract)
    assert problem in str(violation)
    assert violation.rows is None


def test_conform_casts_only_what_loses_nothing(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"type": "integer", "nullable": True}
    contract = contracts.parse(document)
    whole = conform(good_table(), contract)["size"]
    halves = conform(good_table().assign(size=[1.5, 2.0, 3.0, 4.0]), contract)["size"]
    assert (whole.dtype, halves.dtype) == (pd.Int64Dtype(), "float64")


@pytest.mark.parametrize(
    "values",
    [[True, False, True, True], [True, None, False, True], [None, None, None, None]],
    ids=["without nulls", "with nulls", "nulls alone"],
)
def test_booleans_that_may_be_missing_pass_as_a_file_gives_them(
    document: dict[str, Any], tmp_path: Path, values: list[bool | None]
) -> None:
    document["columns"]["delay"] |= {"type": "boolean", "nullable": True}
    contract, path = contracts.parse(document), tmp_path / "table.parquet"
    pq.write_table(pa.table({"delay": pa.array(values, pa.bool_())}), path)
    table = good_table().assign(delay=read_table(path)["delay"])
    assert violations_of(table, contract) == []
    cast = conform(table, contract)["delay"].astype(object)
    assert cast.where(cast.notna(), None).tolist() == values


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("count", [1.5, 2.0, 3.0, 4.0]),
        ("count", [True, False, True, True]),
        ("at", [1, 2, 3, 4]),
        ("id", [1, 2, 3, 4]),
        ("late", [0, 1, 0, 1]),
        ("late", [True, "yes", False, True]),
    ],
)
def test_conform_leaves_what_a_cast_would_change(
    document: dict[str, Any], column: str, values: list[Any]
) -> None:
    document["columns"]["count"] = document["columns"]["size"] | {
        "type": "integer",
        "nullable": False,
    }
    table = good_table().assign(**{column: values})
    kept = conform(table, contracts.parse(document))[column]
    assert kept.tolist() == values
    assert kept.dtype == table[column].dtype


def test_hostile_text_in_an_example_stays_on_one_line(contract: Contract) -> None:
    (violation,) = violations_of(good_table().assign(colour="red\n" * 99), contract)
    assert "\n" not in str(violation)
    assert len(str(violation)) < 120
