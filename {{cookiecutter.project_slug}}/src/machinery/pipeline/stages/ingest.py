"""ingest: source files, logged rows and the data window in, one raw table out."""

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

    A row without a time is kept: `validate` quarantines it, and counts it. Of a key that the source
    has, the row in `logged` is dropped: the source has all columns.

    Raises:
        UserError: when the window holds no row, or the time column no times.
    """
    rows = conform(table, contract)
    if logged is not None and contract.key in rows.column_names:  # else `validate` says so
        rows = _appended(rows, logged, contract)
    rows = _window(rows, until, contract)
    if not len(rows):
        raise UserError(f"{SOURCE} has no row before ingest.until ({until}); move the data window")
    names = [name for name in contract.order if name in rows.column_names]
    return rows.sort_by([(name, "ascending") for name in names])


def _appended(table: pa.Table, logged: pa.Table, contract: Contract) -> pa.Table:
    """The rows of the table and then those of other keys, with the table's columns alone."""
    names = [name for name in logged.column_names if name in table.column_names]
    described = [name for name in names if name in contract.columns]
    columns = {
        name: cast(combine_chunks(logged[name]), contract.columns[name])[0] for name in described
    }
    if contract.key not in columns:
        raise UserError(f"{LOGGED} has no column {contract.key}, the key; remove that folder")
    keys, _ = cast(combine_chunks(table[contract.key]), contract.columns[contract.key])
    new = pa.table(columns).filter(pc.invert(pc.is_in(columns[contract.key], keys)))
    try:
        return pa.concat_tables([table, new], promote_options="permissive")
    except pa.ArrowException as error:
        fault = f"source.py gives a column another type than contract.yaml ({first_line(error)})"
        raise UserError(f"{fault}, which the rows in {LOGGED} have") from None


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


def read_logged() -> pa.Table | None:
    """The rows of the prediction log that a retraining has taken in; None where none has."""
    files = [read_arrow(path) for path in sorted(LOGGED.glob("*.parquet"))]
    return pa.concat_tables(files, promote_options="permissive") if files else None


def main(project: Project) -> None:
    """Read, call, write."""
    params = sections.load(Ingest)
    table = read(project.source(), params)
    write_table(ingest(table, params.until, contracts.load(), read_logged()), RAW)
