"""checks: columns and the contract in; the columns in its types, and what is wrong where, out.

The one checker: of the raw table before training, and of files to predict, a batch at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.files import UserError, first_line

from .columns import arrow_type, combine_chunks
from .contract import Column, Contract, Range

if TYPE_CHECKING:
    import pandas as pd

POINT_ZERO = r"\.0*$"  # pandas writes whole numbers so where one is missing
TRUE, FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]
EMPTY = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]  # of what is no text, in CSV
EXAMPLES = 3
EXAMPLE_LENGTH = 40
Mask = np.ndarray


@dataclass(frozen=True)
class Violation:
    """A column that breaks the contract: how, and in which rows (a mask)."""

    column: str
    problem: str
    rows: Mask

    @property
    def count(self) -> int:
        """In how many rows."""
        return int(np.count_nonzero(self.rows))

    def __str__(self) -> str:
        """The violation as a clause, the same for every batch of rows."""
        return f"{self.column} {self.problem}"


class Checked(NamedTuple):
    """Columns in the types of the contract, and its violations.

    A value that has not the type is a violation, and null from then on.
    """

    columns: dict[str, pa.Array]
    violations: list[Violation]

    def bad(self, rows: int) -> Mask:
        """Which rows have any violation."""
        bad = np.zeros(rows, dtype=np.bool_)
        for violation in self.violations:
            bad |= violation.rows
        return bad

    def reasons(self, bad: Mask) -> list[str]:
        """What is wrong with each bad row, all of it."""
        masks = [(str(each), each.rows[bad]) for each in self.violations]
        count = int(np.count_nonzero(bad))
        return ["; ".join(why for why, mask in masks if mask[row]) for row in range(count)]


def faults(schema: pa.Schema, contract: Contract) -> list[str]:
    """What is wrong with a table's columns whatever its rows: those missing, unknown, mistyped."""
    missing = "is missing from the table; add it in source.py or take it out of the contract"
    unknown = "is not in the contract; describe it there or leave it out in source.py"
    return [
        *(f"{name} {missing}" for name in contract.columns if name not in schema.names),
        *(f"{name} {unknown}" for name in schema.names if name not in contract.columns),
        *(f"{name} is not of type {column.type}" for name, column in mistyped(schema, contract)),
    ]


def mistyped(schema: pa.Schema, contract: Contract) -> list[tuple[str, Column]]:
    """The columns whose type in the table cannot hold what the contract describes."""
    described = [(field, contract.columns.get(field.name)) for field in schema]
    return [
        (field.name, column)
        for field, column in described
        if column is not None and not castable(field.type, column)
    ]


def check(columns: Mapping[str, pa.Array], contract: Contract, *, unique: bool = False) -> Checked:
    """Type and check columns of the contract, texts that are numbers included.

    `unique` is for columns of a whole table, in which no two rows have the same key.
    """
    typed: dict[str, pa.Array] = {}
    violations: list[Violation] = []
    for name, values in columns.items():
        column = contract.columns[name]
        typed[name], lost = cast(values, column)
        masks = _violations(typed[name], column, lost)
        if unique and name == contract.key:
            masks["is not unique"] = _repeated(typed[name])
        violations += [Violation(name, why, mask) for why, mask in masks.items() if mask.any()]
    return Checked(typed, violations)


def examples(values: pa.Array, violation: Violation, contract: Contract) -> list[str]:
    """A few different values that break the contract, each on one line; none that is personal."""
    if contract.columns[violation.column].personal:
        return []
    distinct = values.filter(pa.array(violation.rows)).unique().drop_null()[:EXAMPLES].to_pylist()
    texts = (repr(value) if isinstance(value, str) else str(value) for value in distinct)
    return [text[:EXAMPLE_LENGTH] for text in texts]


def conform(table: "pd.DataFrame", contract: Contract) -> pa.Table:
    """A table of pandas, each column in the type of the contract where no value is lost by that.

    Raises:
        UserError: naming a column that holds values of several types.
    """
    columns = {}
    for name in map(str, table.columns):
        column = contract.columns.get(name)
        try:
            columns[name] = combine_chunks(pa.array(table[name], from_pandas=True))
        except pa.ArrowException as error:
            why = "" if column and column.personal else f" ({first_line(error)})"
            fault = f"source.py: {name} holds values of several types{why}"
            raise UserError(f"{fault}; give it one") from None
        kind = columns[name].type
        if column and (castable(kind, column) or column.type == "datetime" and _is_text(kind)):
            typed, lost = cast(columns[name], column)
            columns[name] = columns[name] if lost is not None else typed
    return pa.table(columns)


def for_pandas(table: pa.Table, contract: Contract) -> pa.Table:
    """The table, marked with the dtypes in which pandas will read it: those of the contract."""
    import pandas as pd

    names = table.column_names
    frame = pd.DataFrame({name: pd.Series(dtype=contract.columns[name].dtype) for name in names})
    return table.cast(pa.Schema.from_pandas(frame, preserve_index=False))


def castable(kind: pa.DataType, column: Column) -> bool:
    """Whether a column of a table of this type may hold what the contract describes."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        return True
    match column.type:
        case "string" | "category":
            return _is_text(kind)
        case "integer" | "number":
            return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
        case "boolean":
            return bool(types.is_boolean(kind))
        case "datetime":
            return bool(types.is_date(kind) or (types.is_timestamp(kind) and not kind.tz))


def cast(values: pa.Array, column: Column) -> tuple[pa.Array, Mask | None]:
    """The values in the type of the contract, and which have it not, if there are any."""
    kind = arrow_type(column.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type):  # for which few functions are
        values = values.cast(pa.large_string())
    if values.type == kind or _is_text(values.type) and _is_text(kind):
        return _without_nan(values), None
    one: Callable[[pa.Array, pa.DataType], pa.Array] = _cast
    if _is_text(values.type):
        empty = pc.is_in(values, pa.array(EMPTY, values.type))
        values = pc.if_else(empty, pa.scalar(None, values.type), values)
        one = _read_booleans if column.type == "boolean" else _read
    try:
        return _without_nan(one(values, kind)), None
    except pa.ArrowInvalid:
        lost = np.zeros(len(values), dtype=np.bool_)
        parts = _cast_each(values, kind, one, lost, 0)
        return _without_nan(pa.concat_arrays(parts)), lost


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Of a time what is finer than microseconds is cut off; 2^53 + 1 as a float is 2^53.

    A decimal becomes the nearest float by way of its digits, as in CSV.
    """
    if pa.types.is_decimal(values.type) and pa.types.is_floating(kind):
        values = values.cast(pa.string())
    rounded = pa.types.is_timestamp(kind) or (
        pa.types.is_floating(kind) and pa.types.is_integer(values.type)
    )
    return values.cast(kind, safe=not rounded)


def _read(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_timestamp(kind):
        values = pc.utf8_trim_whitespace(values)
    if pa.types.is_integer(kind):
        values = pc.replace_substring_regex(values, POINT_ZERO, "")
    return values.cast(kind)


def _read_booleans(values: pa.Array, kind: pa.DataType) -> pa.Array:
    true = pc.is_in(values, pa.array(TRUE, values.type))
    known = pc.or_(true, pc.is_in(values, pa.array(FALSE, values.type)))
    if pc.any(pc.invert(pc.or_(known, values.is_null()))).as_py():
        raise pa.ArrowInvalid("no boolean")
    return pc.if_else(values.is_null(), pa.scalar(None, kind), true)


def _cast_each(values: pa.Array, kind: pa.DataType, one: Any, lost: Mask, at: int) -> list[Any]:
    """Cast halves, and halves of the halves that do not cast, down to the values that do not."""
    try:
        return [one(values, kind)]
    except pa.ArrowInvalid:
        if len(values) == 1:
            lost[at] = True
            return [pa.nulls(1, kind)]
    half = len(values) // 2
    first = _cast_each(values[:half], kind, one, lost, at)
    return first + _cast_each(values[half:], kind, one, lost, at + half)


def _violations(values: pa.Array, column: Column, lost: Mask | None) -> dict[str, Mask]:
    masks: dict[str, Mask] = {}
    if lost is not None:
        masks[f"is not of type {column.type}"] = lost
    if values.null_count and not column.nullable:
        empty = _mask(values.is_null())
        masks["is empty where the contract says nullable: false"] = (
            empty if lost is None else empty & ~lost
        )
    if pa.types.is_floating(values.type) and column.allowed is None:
        masks["is infinite"] = _mask(pc.is_inf(values))
    if isinstance(column.allowed, Range):
        masks[f"is outside {column.allowed}"] = _outside(values, column.allowed)
    elif column.allowed is not None:
        known = pc.is_in(values, pa.array(column.allowed).cast(values.type))
        masks["is not among the allowed values"] = ~_mask(pc.or_(known, values.is_null()))
    return masks


def _outside(values: pa.Array, allowed: Range) -> Mask:
    outside = np.zeros(len(values), dtype=np.bool_)
    if allowed.min is not None:
        outside |= _mask(pc.less(values, allowed.min))
    if allowed.max is not None:
        outside |= _mask(pc.greater(values, allowed.max))
    return outside


def _repeated(values: pa.Array) -> Mask:
    """Rows whose value a row before them has."""
    codes = values.dictionary_encode().indices.fill_null(-1).to_numpy()
    repeated = np.ones(len(codes), dtype=np.bool_)
    repeated[np.unique(codes, return_index=True)[1]] = False
    return np.asarray(repeated & (codes >= 0))


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False))


def _without_nan(values: pa.Array) -> pa.Array:
    """NaN is a missing value, as it is in pandas."""
    if not pa.types.is_floating(values.type):
        return values
    number = pc.is_nan(values)
    if not pc.any(number).as_py():
        return values
    return pc.if_else(number, pa.scalar(None, values.type), values)


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
