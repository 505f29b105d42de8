"""Read the source and the logged rows of the data window into one raw table."""

from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError, validate_call

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.checks import cast, conform
from machinery.pipeline.data.columns import arrow_type, combine_chunks
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, first_line, read_arrow, write_table
from machinery.pipeline.params import Ingest
from machinery.pipeline.paths import LOGGED, RAW, SOURCE
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd


def ingest(
    table: "pd.DataFrame",
    until: datetime | None,
    contract: Contract,
    logged: pa.Table | None = None,
) -> pa.Table:
    """The rows of the data window, in the contract's types and order.

    Rows without a time are kept, for `validate` to quarantine. For a key that is in both, the row
    of the source wins over the one in `logged`, since it has all columns.

    Raises:
        UserError: when the window has no row, or the time column no times.
    """
    rows = conform(table, contract)
    if logged is not None and contract.key in rows.column_names:  # else `validate` reports it
        rows = _appended(rows, logged, contract)
    rows = _window(rows, until, contract)
    if not len(rows):
        raise UserError(f"{SOURCE} has no row before ingest.until ({until}); move the data window")
    names = [name for name in contract.order if name in rows.column_names]
    return rows.sort_by([(name, "ascending") for name in names])


def _appended(table: pa.Table, logged: pa.Table, contract: Contract) -> pa.Table:
    """The rows of the table, then the logged rows with other keys; only the table's columns."""
    columns = {
        name: cast(combine_chunks(logged[name]), contract.columns[name])[0]
        for name in logged.column_names
        if name in table.column_names and name in contract.columns
    }
    if contract.key not in columns:
        raise UserError(f"{LOGGED} has no column {contract.key}, the key; remove that folder")
    keys, _ = cast(combine_chunks(table[contract.key]), contract.columns[contract.key])
    new = pa.table(columns).filter(pc.invert(pc.is_in(columns[contract.key], keys)))
    try:
        return pa.concat_tables([table, new], promote_options="permissive")
    except pa.ArrowException as error:
        fault = f"source.py gives a column another type than contract.yaml ({first_line(error)})"
        raise UserError(f"{fault}, so the rows in {LOGGED} do not fit") from None


def _window(table: pa.Table, until: datetime | None, contract: Contract) -> pa.Table:
    if contract.time is None or contract.time not in table.column_names:
        return table
    time = table[contract.time]
    if time.type != arrow_type("datetime"):
        remedy = "must be dates and times without a time zone; convert it in source.py"
        raise UserError(f"{SOURCE}: the time column {contract.time} is {time.type}, but {remedy}")
    if until is None:
        return table
    return table.filter(pc.fill_null(pc.less(time, pa.scalar(until, time.type)), True))


def read(source: ModuleType, params: Ingest) -> "pd.DataFrame":
    """The table returned by `read` in the project's source.py, called with `ingest.source`.

    Raises:
        UserError: naming the parameter that is unknown, missing or invalid.
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


def read_logged() -> pa.Table | None:
    """The rows that retraining has added from the prediction log, or None."""
    files = [read_arrow(path) for path in sorted(LOGGED.glob("*.parquet"))]
    return pa.concat_tables(files, promote_options="permissive") if files else None


def main(project: Project) -> None:
    """Run the stage."""
    params = sections.load(Ingest)
    table = read(project.source(), params)
    write_table(ingest(table, params.until, contracts.load(), read_logged()), RAW)
