"""validate: raw table in, the rows that keep the contract out, the others in quarantine."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline import params as sections
from machinery.pipeline.data import checks
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.checks import Violation
from machinery.pipeline.data.columns import combine_chunks
from machinery.pipeline.data.contract import Column, Contract
from machinery.pipeline.files import CheckError, read_arrow, times, write_json, write_table
from machinery.pipeline.params import Ingest, Validate
from machinery.pipeline.paths import DATA_QUALITY, QUARANTINE, RAW, VALID
from machinery.pipeline.project import Project
from machinery.pipeline.statistics.intervals import Interval, mean_interval, wilson


class Validated(NamedTuple):
    """The rows that keep the contract, those that break it, and the report on both."""

    valid: pa.Table
    quarantine: pa.Table
    report: dict[str, Any]


def validate(
    table: pa.Table, until: datetime | None, contract: Contract, params: Validate
) -> Validated:
    """Part the rows by the contract and measure the quality of those that keep it.

    Raises:
        CheckError: when the table itself is wrong, or too many of its rows are.
    """
    wrong = checks.faults(table.schema, contract)
    mistyped = dict(checks.mistyped(table.schema, contract))
    names = [name for name in contract.columns if name in table.column_names]
    columns = {name: combine_chunks(table[name]) for name in names if name not in mistyped}
    checked = checks.check(columns, contract, unique=True)
    if wrong:
        wrong += _sentences(checked.violations, table, contract)
        raise CheckError(f"{RAW}: {'; '.join(wrong)}")
    bad = checked.bad(len(table))
    count = int(bad.sum())
    if count > params.quarantine_limit * len(table):
        share = f"{count} of {len(table)} rows break the contract"
        reasons = "; ".join(_sentences(checked.violations, table, contract))
        raise CheckError(f"{share}, more than validate.quarantine_limit: {RAW}: {reasons}")
    typed = pa.table({name: checked.columns[name] for name in table.column_names})
    valid = checks.for_pandas(typed.filter(pa.array(~bad)) if count else typed, contract)
    report = {
        "rows": len(table),
        "valid": len(valid),
        "quarantined": wilson(count, len(table), params.level)._asdict(),
        "violations": [_row(violation, table, contract) for violation in checked.violations],
        "known_after": [
            name
            for name, column in contract.columns.items()
            if column.known == "after" and name != contract.target
        ],
        **quality(valid, until, contract, params),
    }
    return Validated(valid, table.filter(pa.array(bad)), report)


def quality(
    table: pa.Table, until: datetime | None, contract: Contract, params: Validate
) -> dict[str, Any]:
    """Freshness, and each column's figures in the reference window and in the newest one.

    Without an end of the data window nothing tells how old the newest row is.
    """
    if contract.time is None:
        columns = _columns(table, {"reference": None}, contract, params.level)
        return {"freshness": None, "columns": columns}
    time = table[contract.time]
    latest = pc.max(time).as_py()
    start = (latest if until is None else until) - timedelta(days=params.window_days)
    newest = pc.greater_equal(time, pa.scalar(start, time.type))
    windows = {"reference": pc.invert(newest), "newest": newest}
    times_of = {name: time.filter(rows) for name, rows in windows.items()}
    return {
        "freshness": {
            "newest_row": str(latest),
            "window_end": None if until is None else str(until),
            "age_days": None if until is None else (until - latest) / timedelta(days=1),
        },
        "windows": {
            name: {"from": str(pc.min(part).as_py()), "rows": len(part)}
            for name, part in times_of.items()
        },
        "columns": _columns(table, windows, contract, params.level),
    }


def figures(values: pa.ChunkedArray, column: Column, level: float) -> dict[str, Interval]:
    """The share of missing values, and the mean of numbers or the share of each category.

    A mean of few rows tells their values: personal numbers have none.
    """
    present = values.drop_null()
    shares = {"missing": wilson(values.null_count, len(values), level)}
    if isinstance(column.allowed, list):
        counts = {each["values"]: each["counts"] for each in present.value_counts().to_pylist()}
        for value in column.allowed:
            shares[f"share of {value}"] = wilson(counts.get(value, 0), len(present), level)
    elif column.type in ("integer", "number", "boolean") and not column.personal:
        shares["mean"] = mean_interval(present.to_numpy().astype(float), level)
    return shares


def _columns(
    table: pa.Table, windows: dict[str, pa.ChunkedArray | None], contract: Contract, level: float
) -> dict[str, dict[str, Any]]:
    columns = {}
    for name, column in contract.columns.items():
        values = {  # a column at a time: a window may be nearly the whole table
            window: table[name] if rows is None else table[name].filter(rows)
            for window, rows in windows.items()
        }
        parts = {window: figures(part, column, level) for window, part in values.items()}
        columns[name] = {
            figure: {window: part[figure]._asdict() for window, part in parts.items()}
            for figure in parts["reference"]
        }
    return columns


def _row(violation: Violation, table: pa.Table, contract: Contract) -> dict[str, Any]:
    return {
        "column": violation.column,
        "problem": violation.problem,
        "rows": violation.count,
        "examples": checks.examples(combine_chunks(table[violation.column]), violation, contract),
    }


def _sentences(violations: list[Violation], table: pa.Table, contract: Contract) -> list[str]:
    sentences = []
    for violation in violations:
        shown = ", ".join(_row(violation, table, contract)["examples"])
        sentences.append(f"{violation}, {times(violation.count)}{', e.g. ' * bool(shown)}{shown}")
    return sentences


def main(_: Project) -> None:
    """Read, call, write."""
    until = sections.load(Ingest).until
    table = read_arrow(RAW).combine_chunks()  # once, and not a second time column by column
    result = validate(table, until, contracts.load(), sections.load(Validate))
    write_table(result.valid, VALID)
    write_table(result.quarantine, QUARANTINE)
    write_json(result.report, DATA_QUALITY)
