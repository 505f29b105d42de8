"""labelled: the prediction log and its outcomes in; rows to learn from, in data/source/logged, out.

A row is what the service was asked, as it was logged, with the outcome that came later. What is
known only afterwards is null, but for the target, and so is what is personal: the log has neither
as the source has it.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.checks import check
from machinery.pipeline.data.columns import arrow_type, combine_chunks
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_arrow, write_table
from machinery.pipeline.paths import LOGGED
from machinery.serving import log_files

IMPOSSIBLE = "with an outcome from before the answer or from the future"
BAD = "that break the contract"


def unfit(contract: Contract) -> list[str]:
    """The columns that the log lacks and that may not be null: with any, no row can be taken in."""
    filled = {contract.target, *_logged(contract)}
    columns = contract.columns.items()
    return [name for name, column in columns if name not in filled and not column.nullable]


def take_in(
    folder: Path, until: datetime, contract: Contract, now: datetime
) -> tuple[int, Counter[str]]:
    """Write the labelled rows before `until` into LOGGED, a file a month, with those there.

    The newest answer of a key counts. The same rows give the same bytes. Returns how many rows are
    there, and how many were left out, by reason.
    """
    left: Counter[str] = Counter()
    files = sorted(LOGGED.glob("*.parquet"))
    same = {name: name for name in contract.columns}
    tables = [_typed(read_arrow(path), same, contract, left) for path in files]
    new = _labelled(log_files.read(folder), now, left)
    places = {name: f"raw_{name}" for name in _logged(contract)} | {contract.target: "outcome"}
    typed, time = _typed(new, places, contract, left), str(contract.time)
    before = pc.less(typed[time], pa.scalar(until, arrow_type("datetime")))
    rows = pa.concat_tables([*tables, typed.filter(before)])
    numbered = rows.append_column("number", pa.array(range(len(rows)), pa.int64()))
    newest = numbered.group_by(contract.key).aggregate([("number", "max")])["number_max"]
    rows = rows.take(newest).sort_by([(name, "ascending") for name in contract.order])
    months = pc.strftime(rows[time], "%Y-%m")
    written = {LOGGED / f"{month}.parquet": month for month in months.unique().to_pylist()}
    for path, month in written.items():
        write_table(rows.filter(pc.equal(months, month)), path)
    for path in {*files} - {*written}:
        path.unlink()
    return len(rows), left


def _logged(contract: Contract) -> list[str]:
    return [name for name in contract.known_before() if not contract.columns[name].personal]


def _labelled(log: pa.Table, now: datetime, left: Counter[str]) -> pa.Table:
    """The champion's answers with an outcome that came between the answer and now."""
    log = log.filter(pc.and_(pc.equal(log["role"], "champion"), log["outcome_time"].is_valid()))
    late = pc.greater(log["outcome_time"], pa.scalar(now.astimezone(UTC), log_files.TIME))
    impossible = pc.or_(late, pc.less(log["outcome_time"], log["time"]))
    left[IMPOSSIBLE] += pc.sum(impossible).as_py() or 0
    return log.filter(pc.invert(impossible))


def _typed(
    table: pa.Table, places: Mapping[str, str], contract: Contract, left: Counter[str]
) -> pa.Table:
    """The rows that keep the contract, with its columns: those that the table lacks are null."""
    columns = {}
    for name, column in contract.columns.items():
        there = places.get(name) in table.column_names
        nulls = pa.nulls(0 if there else len(table), arrow_type(column.type))
        columns[name] = combine_chunks(table[places[name]]) if there else nulls
    checked = check(columns, contract)
    bad = checked.bad(len(table))
    left[BAD] += int(bad.sum())
    return pa.table(checked.columns).filter(pa.array(~bad))
