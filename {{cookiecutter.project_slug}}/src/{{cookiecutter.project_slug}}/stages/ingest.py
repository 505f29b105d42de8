"""ingest: source files and the data window in, one raw table out."""

import inspect
from datetime import datetime
from typing import TYPE_CHECKING

from .. import contract, params, source
from ..contract import Contract
from ..files import UserError, write_table
from ..params import Ingest
from ..paths import RAW, SOURCE

if TYPE_CHECKING:
    import pandas as pd


def ingest(table: "pd.DataFrame", until: datetime | None, contract: Contract) -> "pd.DataFrame":
    """The rows of the data window, in the contract's types and order.

    Raises:
        UserError: when the window holds no row.
    """
    if contract.time is not None and until is not None and contract.time in table:
        table = table[table[contract.time] < until]
    if table.empty:
        raise UserError(f"{SOURCE} has no row before ingest.until ({until}); move the data window")
    sortable = [name for name in contract.order if name in table]
    return contract.conform(table.sort_values(sortable, ignore_index=True, kind="stable"))


def main() -> None:
    """Read, call, write."""
    dials = params.load(Ingest)
    try:
        arguments = inspect.signature(source.read).bind(SOURCE, until=dials.until, **dials.source)
    except TypeError as error:
        raise UserError(f"params.yaml: ingest.source does not fit source.read: {error}") from None
    table = source.read(*arguments.args, **arguments.kwargs)
    write_table(ingest(table, dials.until, contract.load()), RAW)
