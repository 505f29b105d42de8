"""tables: a table and the contract in; the table in its types, and what breaks it, out."""

from collections.abc import Set
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from .contract import Column, Contract, Range

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
EXAMPLE_LENGTH = 40


@dataclass(frozen=True)
class Violation:
    """A column that breaks the contract: how, how often, three examples, and in which rows.

    `rows` are positions in the table; None when the table itself is wrong, not single rows.
    """

    column: str
    problem: str
    count: int
    examples: tuple[str, ...]
    rows: tuple[int, ...] | None

    def __str__(self) -> str:
        """The violation as one clause."""
        if self.rows is None and not self.examples:
            return f"{self.column} {self.problem}"
        return f"{self.column} {self.problem}, {self.count} times, e.g. {', '.join(self.examples)}"


def conform(table: "pd.DataFrame", contract: Contract) -> "pd.DataFrame":
    """The table with each column in its contract's dtype, where that loses nothing.

    An integer or boolean that is missing where it must not be keeps the dtype that has nulls, so
    that `check` can name its row.
    """
    casts = {
        name: _cast(table[name], column)
        for name, column in contract.columns.items()
        if name in table
    }
    return table.assign(**casts)


def check(table: "pd.DataFrame", contract: Contract) -> list[Violation]:
    """Every violation of the contract in the table, all at once."""
    import pandera.errors

    try:
        _schema(table, contract).validate(table.reset_index(drop=True), lazy=True)
    except pandera.errors.SchemaErrors as error:
        return _violations(error.failure_cases, set(table.columns), contract)
    return []


def _cast(values: "pd.Series[Any]", column: Column) -> "pd.Series[Any]":
    """The values in the column's dtype, or as they are where the cast would change one of them."""
    from pandas.api import types

    if values.dtype == column.dtype:
        return values
    kind = types.infer_dtype(values)  # tells what objects are: Parquet gives booleans with nulls so
    numbers = types.is_numeric_dtype(values.dtype) and kind != "boolean"
    fitting = {"boolean": kind == "boolean", "integer": numbers, "number": numbers}
    if kind != "empty" and not fitting.get(column.type, not numbers):
        return values
    for dtype in (column.dtype, _dtype_with_nulls(column)):
        try:
            cast = values.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            continue
        unchanged = (cast.dropna() == values.dropna()).all() if numbers else True
        if unchanged and cast.isna().equals(values.isna()):
            return cast
    return values


def _dtype_with_nulls(column: Column) -> Any:
    """The dtype in which a missing value can stand until its row is put aside."""
    return column.model_copy(update={"nullable": True}).dtype


def _schema(table: "pd.DataFrame", contract: Contract) -> Any:
    import pandera.pandas as pa

    def dtype(name: str, column: Column) -> Any:
        loose = _dtype_with_nulls(column)
        return loose if name in table and table[name].dtype == loose else column.dtype

    columns = {
        name: pa.Column(
            dtype(name, column),
            checks=_checks(column, pa.Check),
            nullable=column.nullable,
            unique=name == contract.key,
            report_duplicates="exclude_first",
        )
        for name, column in contract.columns.items()
    }
    return pa.DataFrameSchema(columns, strict=True)


def _checks(column: Column, check: Any) -> list[Any]:
    match column.allowed:
        case list(values):
            return [check.isin(values)]
        case Range(min=low, max=high):
            return [check.in_range(-inf if low is None else low, inf if high is None else high)]
        case _:
            return []


def _violations(cases: "pd.DataFrame", present: Set[str], contract: Contract) -> list[Violation]:
    """One violation a column and check; of a column of a wrong type, only that."""
    names = cases["column"].fillna(cases["failure_case"].astype(str))
    mistyped = cases["check"].str.startswith("dtype")
    cases = cases.assign(column=names)[mistyped | ~names.isin(names[mistyped])]
    found = [
        _violation(str(name), str(check), part, present, contract)
        for (name, check), part in cases.groupby(["column", "check"], sort=False)
    ]
    places = {name: place for place, name in enumerate(contract.columns)}
    return sorted(found, key=lambda violation: places.get(violation.column, len(places)))


def _violation(
    name: str, check: str, cases: "pd.DataFrame", present: Set[str], contract: Contract
) -> Violation:
    column = contract.columns.get(name)
    of_the_table = column is None or name not in present
    structural = of_the_table or check.startswith("dtype")
    return Violation(
        column=name,
        problem=_problem(name, check, column, present),
        count=len(cases),
        examples=() if of_the_table else _examples(cases["failure_case"]),
        rows=None if structural else tuple(sorted(int(row) for row in cases["index"])),
    )


def _examples(cases: "pd.Series[Any]") -> tuple[str, ...]:
    values = cases.drop_duplicates().head(EXAMPLES)
    texts = (repr(value) if isinstance(value, str) else str(value) for value in values)
    return tuple(text[:EXAMPLE_LENGTH] for text in texts)


def _problem(name: str, check: str, column: Column | None, present: Set[str]) -> str:
    if column is None:
        return "is not in the contract; describe it there or leave it out in source.py"
    if name not in present:
        return "is missing from the table; add it in source.py or take it out of the contract"
    if check == "not_nullable":
        return "is empty where the contract says nullable: false"
    if check.startswith("dtype"):
        return f"is not of type {column.type}"
    if "unique" in check:
        return "is not unique"
    if isinstance(column.allowed, Range):
        return f"is outside {column.allowed}"
    return "is not among the allowed values"
