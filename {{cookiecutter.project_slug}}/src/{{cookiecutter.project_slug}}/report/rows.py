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

from ..contract import Contract
from ..files import UserError, first_line, missing

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]


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
        import pyarrow.compute as pc

        column = self.table[self.contract.target]
        if self.contract.task == "regression":
            return array(column).astype(np.float64)
        codes = pc.index_in(column, value_set=_values(self.contract, column.type))
        return np.asarray(codes.to_numpy(), dtype=np.int64)

    @cached_property
    def prediction(self) -> Array:
        """The challenger's: probabilities (rows, classes), or values (rows,)."""
        if self.contract.task == "regression":
            return array(self.table["prediction"])
        names = [f"probability_{name}" for name in self.contract.class_names]
        return np.column_stack([array(self.table[name]) for name in names])

    @cached_property
    def groups(self) -> Array | None:
        """A code for each row's group, if rows belong to groups."""
        if self.contract.group is None:
            return None
        return array(self.table[self.contract.group].combine_chunks().dictionary_encode().indices)

    @property
    def keys(self) -> "pa.ChunkedArray":
        """What names each row."""
        return self.table[self.contract.key]

    def slices(self, columns: Sequence[str], least: int) -> Iterator[tuple[str, str, Array]]:
        """Column, value and positions of each slice of at least so many rows."""
        for column in columns:
            if column not in self.table.column_names:
                raise UserError(f"data/predictions.parquet has no {column}; run 'dvc repro'")
            coded = self.table[column].combine_chunks().dictionary_encode()
            codes = np.asarray(coded.indices.fill_null(-1))
            for code, value in enumerate(coded.dictionary.to_pylist()):
                rows = np.flatnonzero(codes == code)
                if len(rows) >= least:
                    yield column, str(value), rows

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
        return pq.read_table(path, columns=columns and list(columns), partitioning=None)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path} is not a readable Parquet file: {first_line(error)}") from error


def array(column: Any) -> Array:
    """A column as NumPy has it: numbers as they are, texts as Python objects."""
    return np.asarray(column.to_numpy(zero_copy_only=False) if _one(column) else column.to_numpy())


def _one(column: Any) -> bool:
    """Whether the column is in one piece, of which PyArrow must be asked to copy it."""
    return not hasattr(column, "chunks")


def _values(contract: Contract, kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(contract.classes).cast(kind)
