"""ingest: source files and the data window in, one raw table out."""

from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import ValidationError, validate_call

from machinery.pipeline import params
from machinery.pipeline.data import contract, tables
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.params import Ingest
from machinery.pipeline.paths import RAW, SOURCE
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd


def ingest(table: "pd.DataFrame", until: datetime | None, contract: Contract) -> "pd.DataFrame":
    """The rows of the data window, in the contract's types and order.

    A row without a time is kept: `validate` puts it aside, and counts it.

    Raises:
        UserError: when the window holds no row, or the time column no times.
    """
    table = _window(tables.conform(table, contract), until, contract)
    if table.empty:
        raise UserError(f"{SOURCE} has no row before ingest.until ({until}); move the data window")
    sortable = [name for name in contract.order if name in table]
    return table.sort_values(sortable, ignore_index=True, kind="stable")


def _window(table: "pd.DataFrame", until: datetime | None, contract: Contract) -> "pd.DataFrame":
    if contract.time is None or contract.time not in table:
        return table
    time = table[contract.time]
    if time.dtype != contract.columns[contract.time].dtype:
        wanted = "must be dates and times without a time zone; convert it in source.py"
        raise UserError(f"{SOURCE}: the time column {contract.time} is {time.dtype}, but {wanted}")
    return table if until is None else table[~(time >= until)]


def read(source: ModuleType, dials: Ingest) -> "pd.DataFrame":
    """The source, read by the `read` of the project's source.py with the params of its own.

    Raises:
        UserError: naming the parameter that `source.read` does not take, lacks, or cannot use.
    """
    try:
        return validate_call(source.read)(SOURCE, until=dials.until, **dials.source)
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg'].lower()}" for fault in error.errors()]
        where = "params.yaml: ingest.source does not fit `read` in source.py"
        raise UserError(f"{where} ({'; '.join(faults)})") from None


def main(project: Project) -> None:
    """Read, call, write."""
    dials = params.load(Ingest)
    write_table(ingest(read(project.source(), dials), dials.until, contract.load()), RAW)
