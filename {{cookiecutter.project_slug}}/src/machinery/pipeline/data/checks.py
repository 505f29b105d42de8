"""Check columns against the contract, and convert them to its types.

The only checker: of the raw table before training, and of files to predict, batch by batch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.files import UserError, first_line

from .columns import arrow_type, combine_chunks
from .contract import Column, Contract, Range

if TYPE_CHECKING:
    import pandas as pd

POINT_ZERO = r"\.0*$"  # pandas writes integers so if any is missing
EMPTY = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]  # missing values in CSV
EXAMPLES = 3
EXAMPLE_LENGTH = 40
Mask = np.ndarray


@dataclass(frozen=True)
class Violation:
    """How a column breaks the contract, and a mask of the rows in which it does."""

    column: str
    problem: str
    rows: Mask

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(np.count_nonzero(self.rows))

    def __str__(self) -> str:
        """The violation as a clause, the same for every batch of rows."""
        return f"{self.column} {self.problem}"


class Checked(NamedTuple):
    """Columns in the types of the contract, and its violations.

    Values of the wrong type are violations and become null.
    """

    columns: dict[str, pa.Array]
    violations: list[Violation]

    def bad(self, rows: int) -> Mask:
        """A mask of the rows with any violation."""
        bad = np.zeros(rows, dtype=np.bool_)
        for violation in self.violations:
            bad |= violation.rows
        return bad

    def reasons(self, bad: Mask) -> list[str]:
        """All violations of each bad row."""
        masks = [(str(violation), violation.rows[bad]) for violation in self.violations]
        count = int(np.count_nonzero(bad))
        return ["; ".join(text for text, mask in masks if mask[row]) for row in range(count)]


def faults(schema: pa.Schema, contract: Contract) -> list[str]:
    """A sentence for each missing, unknown or mistyped column of a table."""
    missing = "is missing from the table; add it in source.py or take it out of the contract"
    unknown = "is not in the contract; describe it there or leave it out in source.py"
    return [
        *(f"{name} {missing}" for name in contract.columns if name not in schema.names),
        *(f"{name} {unknown}" for name in schema.names if name not in contract.columns),
        *(f"{name} is not of type {column.type}" for name, column in mistyped(schema, contract)),
    ]


def mistyped(schema: pa.Schema, contract: Contract) -> list[tuple[str, Column]]:
    """The columns whose type in the table cannot hold what the contract describes."""
    columns = [(field, contract.columns.get(field.name)) for field in schema]
    return [
        (field.name, column)
        for field, column in columns
        if column and not castable(field.type, column)
    ]


def check(columns: Mapping[str, pa.Array], contract: Contract, *, unique: bool = False) -> Checked:
    """Convert and check columns of the contract, numbers in strings included.

    `unique` is for columns of a whole table, in which keys must not repeat.
    """
    typed: dict[str, pa.Array] = {}
    violations: list[Violation] = []
    for name, values in columns.items():
        column = contract.columns[name]
        typed[name], invalid = cast(values, column)
        masks = _violations(typed[name], column, invalid)
        if unique and name == contract.key:
            masks["is not unique"] = _repeated(typed[name])
        violations += [Violation(name, text, mask) for text, mask in masks.items() if mask.any()]
    return Checked(typed, violations)


def examples(values: pa.Array, violation: Violation, contract: Contract) -> list[str]:
    """A few distinct violating values, each on one line; none of a personal column."""
    if contract.columns[violation.column].personal:
        return []
    distinct = values.filter(pa.array(violation.rows)).unique().drop_null()[:EXAMPLES].to_pylist()
    texts = (repr(value) if isinstance(value, str) else str(value) for value in distinct)
    return [text[:EXAMPLE_LENGTH] for text in texts]


def conform(table: "pd.DataFrame", contract: Contract) -> pa.Table:
    """Convert a pandas table, with each column in the contract's type if that loses no value.

    Raises UserError for a column with values of several types.
    """
    columns = {}
    for name in map(str, table.columns):
        column = contract.columns.get(name)
        try:
            values = combine_chunks(pa.array(table[name], from_pandas=True))
        except pa.ArrowException as error:
            details = "" if column and column.personal else f" ({first_line(error)})"
            fault = f"source.py: {name} has values of several types{details}"
            raise UserError(f"{fault}; give it one") from None
        if column and (
            castable(values.type, column) or column.type == "datetime" and _is_text(values.type)
        ):
            typed, invalid = cast(values, column)
            values = values if invalid.any() else typed
        columns[name] = values
    return pa.table(columns)


def for_pandas(table: pa.Table, contract: Contract) -> pa.Table:
    """The table with metadata that makes pandas read it in the contract's dtypes."""
    import pandas as pd

    names = table.column_names
    frame = pd.DataFrame({name: pd.Series(dtype=contract.columns[name].dtype) for name in names})
    return table.cast(pa.Schema.from_pandas(frame, preserve_index=False))


def castable(kind: pa.DataType, column: Column) -> bool:
    """Whether a table's column of this type may hold what the contract describes."""
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


def cast(values: pa.Array, column: Column) -> tuple[pa.Array, Mask]:
    """Convert to the contract's type; invalid values become null, and are true in the mask."""
    kind = arrow_type(column.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type):  # which few functions support
        values = values.cast(pa.large_string())
    invalid = np.zeros(len(values), dtype=np.bool_)
    if not (_is_text(values.type) and _is_text(kind)):
        if _is_text(values.type):
            empty = pc.is_in(values, pa.array(EMPTY, values.type))
            values = pc.if_else(empty, pa.scalar(None, values.type), values)
        values = _convert_valid(values, kind, invalid)
    return _without_nan(values), invalid


def _convert_valid(values: pa.Array, kind: pa.DataType, invalid: Mask) -> pa.Array:
    """Convert all at once, or else the halves, down to the values that are invalid."""
    try:
        return _convert(values, kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            invalid[0] = True
            return pa.nulls(1, kind)
    half = len(values) // 2
    first = _convert_valid(values[:half], kind, invalid[:half])
    return pa.concat_arrays([first, _convert_valid(values[half:], kind, invalid[half:])])


def _convert(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Convert without loss, but truncate times to microseconds and round 2^53 + 1 to 2^53."""
    types = pa.types
    if types.is_decimal(values.type) and types.is_floating(kind):
        values = values.cast(pa.string())  # to the nearest float, as in CSV
    if _is_text(values.type) and not types.is_timestamp(kind):
        values = pc.utf8_trim_whitespace(values)
    if _is_text(values.type) and types.is_integer(kind):
        values = pc.replace_substring_regex(values, POINT_ZERO, "")
    lossy = types.is_timestamp(kind) or types.is_integer(values.type) and types.is_floating(kind)
    return values.cast(kind, safe=not lossy)


def _violations(values: pa.Array, column: Column, invalid: Mask) -> dict[str, Mask]:
    masks = {f"is not of type {column.type}": invalid}
    if values.null_count and not column.nullable:
        empty = _mask(values.is_null()) & ~invalid
        masks["is empty where the contract says nullable: false"] = empty
    if isinstance(column.allowed, Range):
        masks[f"is outside {column.allowed}"] = _outside(values, column.allowed)
    elif column.allowed is not None:
        allowed = pa.array([*column.allowed, None]).cast(values.type)
        masks["is not among the allowed values"] = ~_mask(pc.is_in(values, allowed))
    elif pa.types.is_floating(values.type):
        masks["is infinite"] = _mask(pc.is_inf(values))
    return masks


def _outside(values: pa.Array, allowed: Range) -> Mask:
    numbers = values.cast(pa.float64(), safe=False)
    low = -math.inf if allowed.min is None else allowed.min
    high = math.inf if allowed.max is None else allowed.max
    return _mask(pc.or_(pc.less(numbers, low), pc.greater(numbers, high)))


def _repeated(values: pa.Array) -> Mask:
    """A mask of the rows whose value occurs in an earlier row."""
    codes = values.dictionary_encode().indices.fill_null(-1).to_numpy()
    repeated = np.ones(len(codes), dtype=np.bool_)
    repeated[np.unique(codes, return_index=True)[1]] = False
    return np.asarray(repeated & (codes >= 0))


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False))


def _without_nan(values: pa.Array) -> pa.Array:
    """Make NaN null, as in pandas."""
    if not pa.types.is_floating(values.type):
        return values
    nan = pc.is_nan(values)
    return pc.if_else(nan, pa.scalar(None, values.type), values) if pc.any(nan).as_py() else values


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
