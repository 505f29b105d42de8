"""ingest: source files and the data window in, one raw table out."""

from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError, validate_call

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.checks import conform
from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.params import Ingest
from machinery.pipeline.paths import RAW, SOURCE
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd


def ingest(table: "pd.DataFrame", until: datetime | None, contract: Contract) -> pa.Table:
    """The rows of the data window, in the contract's types and order.

    A row without a time is kept: `validate` quarantines it, and counts it.

    Raises:
        UserError: when the window holds no row, or the time column no times.
    """
    rows = _window(conform(table, contract), until, contract)
    if not len(rows):
        raise UserError(f"{SOURCE} has no row before ingest.until ({until}); move the data window")
    names = [name for name in contract.order if name in rows.column_names]
    return rows.sort_by([(name, "ascending") for name in names])


def _window(table: pa.Table, until: datetime | None, contract: Contract) -> pa.Table:
    if contract.time is None or contract.time not in table.column_names:
        return table
    time = table[contract.time]
    if time.type != arrow_type("datetime"):
        wanted = "must be dates and times without a time zone; convert it in source.py"
        raise UserError(f"{SOURCE}: the time column {contract.time} is {time.type}, but {wanted}")
    if until is None:
        return table
    return table.filter(pc.fill_null(pc.less(time, pa.scalar(until, time.type)), True))


def read(source: ModuleType, params: Ingest) -> "pd.DataFrame":
    """The source, read by the `read` of the project's source.py with the params of its own.

    Raises:
        UserError: naming the parameter that `source.read` does not take, lacks, or cannot use.
    """
    try:
        table: pd.DataFrame = validate_call(source.read)(
            SOURCE, until=params.until, **params.source
        )
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg'].lower()}" for fault in error.errors()]
        where = "params.yaml: ingest.source does not fit `read` in source.py"
        raise UserError(f"{where} ({'; '.join(faults)})") from None
    return table


def main(project: Project) -> None:
    """Read, call, write."""
    params = sections.load(Ingest)
    table = read(project.source(), params)
    write_table(ingest(table, params.until, contracts.load()), RAW)
