"""Convert columns to the arrays that features take, typed by the contract alone.

The pipeline and `predict` have Arrow columns, the service Python values. A feature gets the same
array from both, whatever other rows there are: a nullable column has a dtype that can hold missing
values even where none is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Column, Contract, Range

if TYPE_CHECKING:  # the service has neither
    import pandas as pd
    import pyarrow as pa

Arrays = dict[str, np.ndarray]

EPOCH = datetime(1970, 1, 1)
NAT = -(2**63)  # NumPy's NaT, in microseconds since EPOCH


def arrow_type(kind: str) -> "pa.DataType":
    """The Arrow type of a type of the contract."""
    import pyarrow as pa

    names = {"integer": "int64", "number": "float64", "boolean": "bool"}
    return pa.type_for_alias((names | {"datetime": "timestamp[us]"}).get(kind, "string"))


def dtype(column: Column) -> np.dtype[Any]:
    """The dtype of the column's array; missing values are NaN, among strings too, or NaT."""
    match column.type:
        case "string" | "category":
            return np.dtype(object)
        case "datetime":
            return np.dtype("datetime64[us]")
        case "integer" if not column.nullable:
            return np.dtype(np.int64)
        case "boolean" if not column.nullable:
            return np.dtype(np.bool_)
        case _:
            return np.dtype(np.float64)


def arrays(
    table: "pa.Table | Mapping[str, pa.Array]", names: Iterable[str], of: Contract
) -> Arrays:
    """Convert the named columns of a table with the contract's types."""
    return {name: from_arrow(table[name], of.columns[name]) for name in names}


def from_pandas(table: "pd.DataFrame", names: Iterable[str], of: Contract) -> Arrays:
    """Convert the named columns of a pandas table."""
    import pyarrow as pa

    return arrays(pa.Table.from_pandas(table[[*names]], preserve_index=False), names, of)


def from_arrow(values: "pa.Array | pa.ChunkedArray", column: Column) -> np.ndarray:
    """Convert an Arrow column."""
    values, kind = combine_chunks(values), dtype(column)
    if kind.kind == "O":
        return _strings(values)
    if kind.kind == "f":
        values = values.cast("float64", safe=False)  # 2^53 + 1 becomes 2^53, as everywhere
    return np.asarray(values.to_numpy(zero_copy_only=False).astype(kind, copy=False))


def combine_chunks(values: "pa.Array | pa.ChunkedArray") -> "pa.Array":
    """A column as one array, without a copy if it has one chunk."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values


def _strings(values: "pa.Array") -> np.ndarray:
    """An object array in which equal strings are one Python object."""
    import pyarrow as pa

    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    strings = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    codes = encoded.indices.fill_null(len(strings) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(strings[codes])


def from_python(values: Sequence[Any], column: Column) -> np.ndarray:
    """Convert Python values, of which the missing ones are None."""
    kind = dtype(column)
    if kind.kind == "M":
        return _datetimes(values)
    if kind.kind == "O":
        values = [np.nan if value is None else value for value in values]
    return np.fromiter(values, kind, len(values))  # np.array would first infer shape and type


def _datetimes(values: Sequence[Any]) -> np.ndarray:
    """Convert datetimes, or ISO 8601 strings, faster than NumPy converts datetimes."""
    unit = timedelta(microseconds=1)
    try:
        numbers = [NAT if value is None else (value - EPOCH) // unit for value in values]
    except TypeError:
        return np.array(values, dtype="datetime64[us]")
    return np.array(numbers, dtype=np.int64).view("datetime64[us]")


def example(contract: Contract, names: Iterable[str]) -> Arrays:
    """One row to infer the types of features from; nullable columns and numbers are missing."""
    columns = {name: contract.columns[name] for name in names}
    return {
        name: from_python([None if column.type == "number" else placeholder(column)], column)
        for name, column in columns.items()
    }


def placeholder(column: Column) -> Any:
    """A value that the contract allows and that reveals nothing; None if it is nullable."""
    if column.nullable:
        return None
    match column.allowed:
        case list(values):
            return values[0]
        case Range(min=low, max=high):
            bound = next((bound for bound in (low, high) if bound is not None), 1)
            return int(bound) if column.type == "integer" else float(bound)
    plain = {"string": "", "integer": 1, "number": 1.0, "boolean": True, "datetime": EPOCH}
    return plain[column.type]
