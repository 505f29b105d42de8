"""Validate the raw table: quarantine rows that violate the contract, and report on quality."""

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
    """The rows that satisfy the contract, those that violate it, and the report on both."""

    valid: pa.Table
    quarantine: pa.Table
    report: dict[str, Any]


def validate(
    table: pa.Table, until: datetime | None, contract: Contract, params: Validate
) -> Validated:
    """Check the rows against the contract and measure the quality of the valid ones.

    Raises:
        CheckError: when the columns are wrong, or too many rows are.
    """
    faults = checks.faults(table.schema, contract)
    mistyped = dict(checks.mistyped(table.schema, contract))
    names = [name for name in contract.columns if name in table.column_names]
    columns = {name: combine_chunks(table[name]) for name in names if name not in mistyped}
    checked = checks.check(columns, contract, unique=True)
    violations = [_row(violation, table, contract) for violation in checked.violations]
    if faults:
        raise CheckError(f"{RAW}: {'; '.join([*faults, *map(_sentence, violations)])}")
    bad = checked.bad(len(table))
    count = int(bad.sum())
    if count > params.quarantine_limit * len(table):
        share = f"{count} of {len(table)} rows break the contract"
        reasons = "; ".join(map(_sentence, violations))
        raise CheckError(f"{share}, more than validate.quarantine_limit: {RAW}: {reasons}")
    typed = pa.table({name: checked.columns[name] for name in table.column_names})
    valid = checks.for_pandas(typed.filter(pa.array(~bad)) if count else typed, contract)
    before = {contract.target, *contract.known_before()}
    report = {
        "rows": len(table),
        "valid": len(valid),
        "quarantined": wilson(count, len(table), params.level)._asdict(),
        "violations": violations,
        "known_after": [name for name in contract.columns if name not in before],
        **quality(valid, until, contract, params),
    }
    return Validated(valid, table.filter(pa.array(bad)), report)


def quality(
    table: pa.Table, until: datetime | None, contract: Contract, params: Validate
) -> dict[str, Any]:
    """Freshness, and the statistics of each column in the reference and in the newest window.

    Without an end of the data window the age of the newest row is unknown.
    """
    if contract.time is None:
        columns = _columns(table, {"reference": None}, contract, params.level)
        return {"freshness": None, "columns": columns}
    time = table[contract.time]
    latest = pc.max(time).as_py()
    start = (until or latest) - timedelta(days=params.window_days)
    newest = pc.greater_equal(time, pa.scalar(start, time.type))
    windows = {"reference": pc.invert(newest), "newest": newest}
    parts = {name: time.filter(rows) for name, rows in windows.items()}
    return {
        "freshness": {
            "newest_row": str(latest),
            "window_end": str(until) if until else None,
            "age_days": (until - latest) / timedelta(days=1) if until else None,
        },
        "windows": {
            name: {"from": str(pc.min(part).as_py()), "rows": len(part)}
            for name, part in parts.items()
        },
        "columns": _columns(table, windows, contract, params.level),
    }


def statistics(values: pa.ChunkedArray, column: Column, level: float) -> dict[str, Interval]:
    """The share of missing values, and the mean of numbers or the share of each category.

    Personal numbers have no mean, which would reveal the values of few rows.
    """
    present = values.drop_null()
    estimates = {"missing": wilson(values.null_count, len(values), level)}
    if isinstance(column.allowed, list):
        counts = {item["values"]: item["counts"] for item in present.value_counts().to_pylist()}
        for value in column.allowed:
            estimates[f"share of {value}"] = wilson(counts.get(value, 0), len(present), level)
    elif column.type in ("integer", "number", "boolean") and not column.personal:
        estimates["mean"] = mean_interval(present.to_numpy().astype(float), level)
    return estimates


def _columns(
    table: pa.Table, windows: dict[str, pa.ChunkedArray | None], contract: Contract, level: float
) -> dict[str, dict[str, Any]]:
    columns = {}
    for name, column in contract.columns.items():
        values = {  # one column at a time, since a window may be nearly the whole table
            window: table[name] if rows is None else table[name].filter(rows)
            for window, rows in windows.items()
        }
        parts = {window: statistics(part, column, level) for window, part in values.items()}
        columns[name] = {
            statistic: {window: part[statistic]._asdict() for window, part in parts.items()}
            for statistic in parts["reference"]
        }
    return columns


def _row(violation: Violation, table: pa.Table, contract: Contract) -> dict[str, Any]:
    return {
        "column": violation.column,
        "problem": violation.problem,
        "rows": violation.count,
        "examples": checks.examples(combine_chunks(table[violation.column]), violation, contract),
    }


def _sentence(violation: dict[str, Any]) -> str:
    sentence = f"{violation['column']} {violation['problem']}, {times(violation['rows'])}"
    examples = ", ".join(violation["examples"])
    return f"{sentence}, e.g. {examples}" if examples else sentence


def main(_: Project) -> None:
    """Run the stage."""
    until = sections.load(Ingest).until
    table = read_arrow(RAW).combine_chunks()  # once, instead of once more for every column
    result = validate(table, until, contracts.load(), sections.load(Validate))
    write_table(result.valid, VALID)
    write_table(result.quarantine, QUARANTINE)
    write_json(result.report, DATA_QUALITY)
