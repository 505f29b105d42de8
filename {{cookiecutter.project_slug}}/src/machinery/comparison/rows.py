"""rows: the test predictions of a checkout in; targets, predictions, slices and groups out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.statistics.intervals import Codes, Unit, units
from machinery.pipeline.statistics.slices import Positions, slices

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rows:
    """The table of test predictions that `evaluate` wrote."""

    table: "pd.DataFrame"
    contract: Contract

    @cached_property
    def target(self) -> NDArray[Any]:
        """Class codes, or the values of a regression."""
        return self.contract.encode(self.table[self.contract.target])

    @cached_property
    def prediction(self) -> NDArray[Any]:
        """The challenger's: probabilities (rows, classes), or values (rows,)."""
        return self.contract.gather(self.table)

    def units(self, by: str) -> tuple[Unit, Codes | None]:
        """What is resampled whole, and a code of it for each row."""
        names = (self.contract.group, self.contract.time)
        return units(by, *(None if name is None else self.table[name].to_numpy() for name in names))

    def slices(self, columns: Sequence[str], least: int) -> Iterator[tuple[str, str, Positions]]:
        """Column, value and positions of each slice of at least so many rows."""
        for column in columns:
            if column not in self.table:
                raise UserError(f"data/predictions.parquet has no {column}; run 'dvc repro'")
            for value, rows in slices(self.table[column], least):
                yield column, value, rows
