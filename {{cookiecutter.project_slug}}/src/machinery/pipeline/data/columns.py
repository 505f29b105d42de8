"""columns: values of a column, and its line of the contract, in; typed by that alone, out.

The pipeline and `predict` come with Arrow columns, the service with Python values. Either way a
feature gets the same array, whatever other rows are in the table: a column that may be missing has
a type with room for that even where every value is there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Column, Contract, Range

if TYPE_CHECKING:  # the service does without them
    import pandas as pd
    import pyarrow as pa

Arrays = dict[str, np.ndarray]

EPOCH = datetime(1970, 1, 1)
NAT = timedelta(microseconds=-(2**63))  # since EPOCH: the number that NumPy takes for NaT


def arrow_type(kind: str) -> "pa.DataType":
    """The type in which values of a column of the contract's type are kept."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "category": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us"),
    }[kind]


def dtype(column: Column) -> np.dtype[Any]:
    """The dtype in which features see the column: missing are NaN, in texts too, and NaT."""
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
    """The named columns of a table, which has the types of the contract, as features take them."""
    return {name: from_arrow(table[name], of.columns[name]) for name in names}


def from_pandas(table: "pd.DataFrame", names: Iterable[str], of: Contract) -> Arrays:
    """The same of a pandas table."""
    import pyarrow as pa

    return arrays(pa.Table.from_pandas(table[[*names]], preserve_index=False), names, of)


def from_arrow(values: "pa.Array | pa.ChunkedArray", column: Column) -> np.ndarray:
    """The array of an Arrow column."""
    values = combine_chunks(values)
    wanted = dtype(column)
    if wanted.kind == "O":
        return _texts(values)
    if wanted.kind == "f":
        values = values.cast("float64", safe=False)  # 2^53 + 1 becomes 2^53, as everywhere
    return np.asarray(values.to_numpy(zero_copy_only=False).astype(wanted, copy=False))


def combine_chunks(values: "pa.Array | pa.ChunkedArray") -> "pa.Array":
    """A column in one piece."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values


def _texts(values: "pa.Array") -> np.ndarray:
    """Each text once as a Python string, however often it occurs."""
    import pyarrow as pa

    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = np.empty(len(encoded.dictionary) + 1, dtype=object)
    texts[:-1] = encoded.dictionary.to_pylist()
    texts[-1] = np.nan
    codes = encoded.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(texts[codes])


def from_python(values: Sequence[Any], column: Column) -> np.ndarray:
    """The array of a column's Python values, None where one is missing."""
    kind = dtype(column)
    if kind.kind == "M":
        return _datetimes(values)
    if kind.kind == "O":
        values = [np.nan if value is None else value for value in values]
    return np.fromiter(values, kind, len(values))  # np.array would first infer shape and type


def _datetimes(values: Sequence[Any]) -> np.ndarray:
    """Times, as datetime or ISO 8601; NumPy itself takes eight times as long for datetime."""
    try:
        times = [NAT if value is None else value - EPOCH for value in values]
    except TypeError:
        return np.array(values, dtype="datetime64[us]")
    return np.array(
        [(time.days * 86_400 + time.seconds) * 1_000_000 + time.microseconds for time in times],
        dtype=np.int64,
    ).view("datetime64[us]")


def example(contract: Contract, names: Iterable[str]) -> Arrays:
    """One row, from which features show their types: missing is what may be, and every number."""
    columns = {name: contract.columns[name] for name in names}
    values = {name: placeholder(of) for name, of in columns.items() if of.type != "number"}
    return {name: from_python([values.get(name)], of) for name, of in columns.items()}


def placeholder(column: Column) -> Any:
    """A value that the contract allows, and that tells nothing: None where it may be missing."""
    if column.nullable:
        return None
    match column.allowed:
        case list(values):
            return values[0]
        case Range(min=low, max=high):
            end = next((end for end in (low, high) if end is not None), 1)
            return int(end) if column.type == "integer" else float(end)
    plain = {"string": "", "integer": 1, "number": 1.0, "boolean": True, "datetime": EPOCH}
    return plain[column.type]
