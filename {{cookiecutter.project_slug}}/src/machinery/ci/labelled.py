"""Turn logged predictions that have an outcome into training rows (data/source/logged).

A row is the request as it was logged, with the outcome that came later. Columns known only
afterwards are null, except for the target, and so are personal ones: the log lacks their values.
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
BAD = "that violate the contract"


def unfit(contract: Contract) -> list[str]:
    """The columns that the log lacks and that must not be null: with any, no row can be used."""
    filled = {contract.target, *_logged(contract)}
    columns = contract.columns.items()
    return [name for name, column in columns if name not in filled and not column.nullable]


def take_in(
    folder: Path, until: datetime, contract: Contract, now: datetime
) -> tuple[int, Counter[str]]:
    """Merge the labelled rows before `until` into LOGGED, one file per month.

    The newest row of a key wins. The same rows give the same bytes. Returns the number of rows in
    LOGGED, and how many were skipped, by reason.
    """
    skipped: Counter[str] = Counter()
    files = sorted(LOGGED.glob("*.parquet"))
    names = {name: name for name in contract.columns}
    tables = [_checked(read_arrow(path), names, contract, skipped) for path in files]
    names = {name: f"raw_{name}" for name in _logged(contract)} | {contract.target: "outcome"}
    logged = _labelled(log_files.read(folder), now, skipped)
    new, time = _checked(logged, names, contract, skipped), str(contract.time)
    before = pc.less(new[time], pa.scalar(until, arrow_type("datetime")))
    rows = pa.concat_tables([*tables, new.filter(before)])
    numbered = rows.append_column("number", pa.array(range(len(rows)), pa.int64()))
    newest = numbered.group_by(contract.key).aggregate([("number", "max")])["number_max"]
    rows = rows.take(newest).sort_by([(name, "ascending") for name in contract.order])
    months = pc.strftime(rows[time], "%Y-%m")
    written = {LOGGED / f"{month}.parquet": month for month in months.unique().to_pylist()}
    for path, month in written.items():
        write_table(rows.filter(pc.equal(months, month)), path)
    for path in {*files} - {*written}:
        path.unlink()
    return len(rows), skipped


def _logged(contract: Contract) -> list[str]:
    return [name for name in contract.known_before() if not contract.columns[name].personal]


def _labelled(log: pa.Table, now: datetime, skipped: Counter[str]) -> pa.Table:
    """The champion's answers whose outcome came between the answer and now."""
    log = log.filter(pc.and_(pc.equal(log["role"], "champion"), log["outcome_time"].is_valid()))
    late = pc.greater(log["outcome_time"], pa.scalar(now.astimezone(UTC), log_files.TIME))
    impossible = pc.or_(late, pc.less(log["outcome_time"], log["time"]))
    skipped[IMPOSSIBLE] += pc.sum(impossible).as_py() or 0
    return log.filter(pc.invert(impossible))


def _checked(
    table: pa.Table, names: Mapping[str, str], contract: Contract, skipped: Counter[str]
) -> pa.Table:
    """The rows that satisfy the contract, in its columns; columns that the table lacks are null."""
    columns = {}
    for name, column in contract.columns.items():
        if names.get(name) in table.column_names:
            columns[name] = combine_chunks(table[names[name]])
        else:
            columns[name] = pa.nulls(len(table), arrow_type(column.type))
    checked = check(columns, contract)
    bad = checked.bad(len(table))
    skipped[BAD] += int(bad.sum())
    return pa.table(checked.columns).filter(pa.array(~bad))
