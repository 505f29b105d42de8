"""plan: what adopt knows of a table, from the columns as they were given to the roles they take."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pyarrow as pa

Type = Literal["string", "category", "integer", "number", "boolean", "datetime"]
Use = Literal["number", "category", "many categories", "text", "date", "none"]


class Given(NamedTuple):
    """A table as it was read: unique column names as given, and how it was read, in sentences.

    Columns are strings, but for those of formats that have types (Parquet, Excel, SQL, JSON lines).
    """

    table: pa.Table
    notes: list[str]


class Typed(NamedTuple):
    """One column in its type, under a name that Python can use, and the reason for the type.

    `type` is never "category": that takes a look at all columns, and is the plan's to decide.
    `unit` is what all values were written with, such as % or EUR.
    """

    name: str
    given: str
    type: Type
    values: pa.ChunkedArray
    reason: str
    unit: str | None = None


@dataclass
class Column:
    """One column of the contract to be written, and how features.py uses it.

    `notes` are what was decided about it and why, a sentence each.
    """

    name: str
    given: str
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
    """What will be written: the contract's roles, its columns in order, and every decision.

    `key` is None where the rows are to be numbered. `kind` is finer than the contract's task.
    `rows` counts those with a target; `unlabelled` those without, which source.py drops,
    as it drops `duplicates`; `kept_duplicates` are alike by chance.
    `questions` are decisions that a wrong guess would cost, with the answer that was taken.
    """

    kind: Literal["binary", "classes", "regression", "counts"]
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
