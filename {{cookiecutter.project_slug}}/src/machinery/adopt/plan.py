"""The data model of adopt: columns as read, columns with a type, and the plan for the project."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pyarrow as pa

Type = Literal["string", "category", "integer", "number", "boolean", "datetime"]
Use = Literal["number", "category", "many categories", "text", "date", "none"]
Kind = Literal["binary", "classes", "regression", "counts"]


class RawTable(NamedTuple):
    """A table with unique column names, and notes on how it was read.

    Columns are strings, except for those of typed formats (Parquet, Excel, SQL, JSON lines).
    """

    table: pa.Table
    notes: list[str]


class TypedColumn(NamedTuple):
    """A column with its type, and the reason for the type.

    `name` is a Python identifier, `header` the name in the source. `type` is never "category",
    which depends on all columns and is decided by the plan. `unit` is written in all values, e.g. %
    or EUR.
    """

    name: str
    header: str
    type: Type
    values: pa.ChunkedArray
    reason: str
    unit: str | None = None


@dataclass
class Column:
    """A column of the contract, and how features.py uses it; `notes` explain the decisions."""

    name: str
    header: str
    type: Type
    use: Use
    unit: str | None = None
    allowed: list[Any] | dict[str, float | None] | None = None
    nullable: bool = False
    known: Literal["before", "after"] = "before"
    identifier: bool = False
    personal: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """What adopt will write: the contract's roles and columns, and every decision.

    `key` is None if rows must be numbered. `rows` have a target; source.py drops the `unlabelled`
    ones without, and `duplicates`, but not `kept_duplicates`, which are equal by chance.
    `questions` are the decisions where a wrong guess is costly, each with the default answer.
    """

    kind: Kind
    target: str
    positive: Any
    key: str | None
    time: str | None
    group: str | None
    columns: dict[str, Column]
    rows: int
    unlabelled: int
    duplicates: int
    kept_duplicates: int
    decisions: list[str]
    questions: list[str]

    @property
    def task(self) -> Literal["classification", "regression"]:
        """The contract's task."""
        return "classification" if self.kind in ("binary", "classes") else "regression"
