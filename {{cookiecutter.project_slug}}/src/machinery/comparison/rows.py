"""rows: the test predictions of a checkout in; targets, predictions, slices and groups out.

Read with PyArrow alone: pandas would take longer to import than the rest of a report takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, first_line, missing
from machinery.pipeline.statistics.intervals import Codes, Unit, units
from machinery.pipeline.statistics.slices import slices

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]

FLOATS = {"float": np.float32, "double": np.float64}


@dataclass(frozen=True)
class Rows:
    """The table of test predictions that `evaluate` wrote."""

    table: "pa.Table"
    contract: Contract

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def target(self) -> Array:
        """Class codes, or the values of a regression."""
        values = array(self.table[self.contract.target])
        if self.contract.task == "regression":
            return values.astype(np.float64)
        codes = {value: code for code, value in enumerate(self.contract.classes)}
        return np.array([codes[value] for value in values.tolist()], dtype=np.int64)

    @cached_property
    def prediction(self) -> Array:
        """The challenger's: probabilities (rows, classes), or values (rows,)."""
        if self.contract.task == "regression":
            return array(self.table["prediction"])
        names = [f"probability_{name}" for name in self.contract.class_names]
        return np.column_stack([array(self.table[name]) for name in names])

    def units(self, by: str) -> tuple[Unit, Codes | None]:
        """What is drawn whole, and a code of it for each row."""
        names = (self.contract.group, self.contract.time)
        return units(by, *(None if each is None else array(self.table[each]) for each in names))

    @property
    def keys(self) -> Array:
        """What names each row."""
        return array(self.table[self.contract.key])

    def slices(self, columns: Sequence[str], least: int) -> Iterator[tuple[str, str, Array]]:
        """Column, value and positions of each slice of at least so many rows."""
        for column in columns:
            if column not in self.table.column_names:
                raise UserError(f"data/predictions.parquet has no {column}; run 'dvc repro'")
            for value, rows in slices(array(self.table[column]).tolist(), least):
                yield column, value, rows

    def span(self) -> tuple[Any, Any] | None:
        """The first and the last moment, where there is a time column."""
        if self.contract.time is None or not len(self):
            return None
        times = array(self.table[self.contract.time])
        ends = (times.min(), times.max())
        first, last = (end.astype("datetime64[s]").item() for end in ends)
        return first, last


def read(path: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """A Parquet file, or some columns of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # `read_table` would import pandas
            if absent := [name for name in columns or () if name not in file.schema_arrow.names]:
                raise UserError(f"{path} has no {', '.join(absent)}")
            return file.read(columns and list(columns))
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is not a readable Parquet file: {first_line(error)}") from error


def array(column: "pa.ChunkedArray") -> Array:
    """A column as NumPy has it: numbers and moments as they are, all else as Python objects.

    PyArrow's own `to_numpy` imports pandas.
    """
    return np.concatenate([_array(each) for each in column.chunks] or [np.array([], object)])


def _array(values: "pa.Array") -> Array:
    kind = str(values.type)
    if kind in FLOATS:
        return _floats(values, np.dtype(FLOATS[kind]))
    if kind.startswith("timestamp") and not values.null_count:
        whole = np.from_dlpack(values.view("int64"))
        return whole.view(f"datetime64[{values.type.unit}]")
    return np.array(values.to_pylist(), dtype=object)


def _floats(values: "pa.Array", dtype: np.dtype[Any]) -> Array:
    """The numbers, NaN where there is none (https://arrow.apache.org/docs/format/Columnar.html)."""
    valid, numbers = values.buffers()
    start, stop = values.offset, values.offset + len(values)
    found: Array = np.frombuffer(numbers, dtype)[start:stop]
    if not values.null_count:
        return found
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[start:stop]
    return np.where(bits, found, np.nan).astype(dtype)
