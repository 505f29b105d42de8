"""violations: Arrow columns and the contract in; typed columns, and what is wrong where, out.

What `tables` checks with pandas before training, here without it, a batch at a time: types, ranges,
categories and nulls of the columns that are known before the prediction.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import TYPES
from .contract import Column, Contract, Range

POINT_ZERO = r"\.0*$"  # pandas writes whole numbers so where one is missing
TRUE, FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]
EMPTY = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]  # of what is no text, in CSV
Masks = dict[str, np.ndarray]


class Checked(NamedTuple):
    """Columns in the types of the contract, and for each violation which rows have it."""

    columns: dict[str, pa.Array]
    violations: Masks

    def bad(self, rows: int) -> np.ndarray:
        """Which rows have any."""
        found = np.zeros(rows, dtype=np.bool_)
        for mask in self.violations.values():
            found |= mask
        return found

    def reasons(self, bad: np.ndarray) -> list[str]:
        """What is wrong with each bad row, all of it."""
        masks = [(reason, mask[bad]) for reason, mask in self.violations.items()]
        count = int(np.count_nonzero(bad))
        return ["; ".join(why for why, mask in masks if mask[row]) for row in range(count)]


def check(columns: Mapping[str, pa.Array], contract: Contract) -> Checked:
    """Type and check each column of the contract that is given; of texts, numbers are read.

    A value that has not the type is a violation, and null from then on.
    """
    typed: dict[str, pa.Array] = {}
    violations: Masks = {}
    for name, values in columns.items():
        column = contract.columns[name]
        typed[name], lost = cast(values, column)
        if lost is not None:
            violations[f"{name} is not of type {column.type}"] = lost
        violations |= _violations(name, typed[name], column, lost)
    return Checked(typed, violations)


def castable(kind: pa.DataType, column: Column) -> bool:
    """Whether a column of a table of this type may hold what the contract describes."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return True
    match column.type:
        case "string" | "category":
            return _is_text(kind)
        case "integer" | "number":
            return bool(
                pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            )
        case "boolean":
            return bool(pa.types.is_boolean(kind))
        case "datetime":
            return bool(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and not kind.tz))


def cast(values: pa.Array, column: Column) -> tuple[pa.Array, np.ndarray | None]:
    """The values in the type of the contract, and which have it not, if there are any."""
    kind = TYPES[column.type]
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type == kind or _is_text(values.type) and _is_text(kind):
        return _without_nan(values), None
    if _is_text(values.type):
        values = _without_empty(values)
        cast_one = _read_booleans if column.type == "boolean" else _cast
    else:
        cast_one = _cast
    try:
        return _without_nan(cast_one(values, kind)), None
    except pa.ArrowInvalid:
        return _cast_each(values, kind, cast_one)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if _is_text(values.type) and not pa.types.is_timestamp(kind):
        values = pc.utf8_trim_whitespace(values)
        if pa.types.is_integer(kind):
            values = pc.replace_substring_regex(values, POINT_ZERO, "")
    return values.cast(kind)


def _cast_each(values: pa.Array, kind: pa.DataType, cast_one: Any) -> tuple[pa.Array, np.ndarray]:
    """Cast halves, and halves of the halves that do not cast, down to the values that do not."""
    lost = np.zeros(len(values), dtype=np.bool_)

    def attempt(start: int, stop: int) -> list[pa.Array]:
        try:
            return [cast_one(values[start:stop], kind)]
        except pa.ArrowInvalid:
            if stop - start == 1:
                lost[start] = True
                return [pa.nulls(1, kind)]
        middle = (start + stop) // 2
        return [*attempt(start, middle), *attempt(middle, stop)]

    return _without_nan(pa.concat_arrays(attempt(0, len(values)))), lost


def _read_booleans(values: pa.Array, kind: pa.DataType) -> pa.Array:
    true = pc.is_in(values, pa.array(TRUE, values.type))
    known = pc.or_(true, pc.is_in(values, pa.array(FALSE, values.type)))
    if pc.any(pc.invert(pc.or_(known, values.is_null()))).as_py():  # of no values: null
        raise pa.ArrowInvalid("no boolean")
    return pc.if_else(values.is_null(), pa.scalar(None, kind), true)


def _violations(name: str, values: pa.Array, column: Column, lost: np.ndarray | None) -> Masks:
    found: Masks = {}
    if values.null_count and not column.nullable:
        empty = _mask(values.is_null())
        if lost is not None:
            empty &= ~lost
        found[f"{name} is empty where the contract says nullable: false"] = empty
    if pa.types.is_floating(values.type) and column.allowed is None:
        found[f"{name} is infinite"] = _mask(pc.is_inf(values))
    if isinstance(column.allowed, Range):
        found[f"{name} is outside {column.allowed}"] = _outside(values, column.allowed)
    elif column.allowed is not None:
        found[f"{name} is not among the allowed values"] = _not_among(values, column.allowed)
    return {reason: mask for reason, mask in found.items() if mask.any()}


def _outside(values: pa.Array, allowed: Range) -> np.ndarray:
    ends = pc.min_max(values)
    low, high = allowed.min, allowed.max
    inside = np.zeros(len(values), dtype=np.bool_)
    smallest, largest = ends["min"].as_py(), ends["max"].as_py()
    if smallest is None or _within(smallest, largest, low, high):
        return inside
    outside = inside
    if low is not None:
        outside |= _mask(pc.less(values, low))
    if high is not None:
        outside |= _mask(pc.greater(values, high))
    return outside


def _within(smallest: Any, largest: Any, low: float | None, high: float | None) -> bool:
    return (low is None or smallest >= low) and (high is None or largest <= high)


def _not_among(values: pa.Array, allowed: list[Any]) -> np.ndarray:
    known = pc.is_in(values, pa.array(allowed).cast(values.type))
    return _mask(pc.invert(pc.or_(known, values.is_null())))


def _mask(values: pa.Array) -> np.ndarray:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False))


def _without_nan(values: pa.Array) -> pa.Array:
    """NaN is a missing value, as it is in pandas."""
    if not pa.types.is_floating(values.type):
        return values
    number = pc.is_nan(values)
    if not pc.any(number).as_py():
        return values
    return pc.if_else(number, pa.scalar(None, values.type), values)


def _without_empty(values: pa.Array) -> pa.Array:
    empty = pc.is_in(values, pa.array(EMPTY, values.type))
    return pc.if_else(empty, pa.scalar(None, values.type), values)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
