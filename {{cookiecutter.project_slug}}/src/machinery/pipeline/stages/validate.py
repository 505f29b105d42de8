"""validate: raw table in, the rows that keep the contract out, the others in quarantine."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from machinery.pipeline import params
from machinery.pipeline.data import contract, tables
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.tables import Violation
from machinery.pipeline.files import CheckError, read_table, write_json, write_table
from machinery.pipeline.params import Ingest, Validate
from machinery.pipeline.paths import DATA_QUALITY, QUARANTINE, RAW, VALID
from machinery.pipeline.project import Project
from machinery.pipeline.statistics.intervals import Interval, mean_interval, wilson

if TYPE_CHECKING:
    import pandas as pd


class Validated(NamedTuple):
    """The rows that keep the contract, those that break it, and the report on both."""

    valid: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    report: dict[str, Any]


def validate(
    table: "pd.DataFrame", until: datetime | None, contract: Contract, params: Validate
) -> Validated:
    """Part the rows by the contract and measure the quality of those that keep it.

    Raises:
        CheckError: when the table itself is wrong, or too many of its rows are.
    """
    violations = tables.check(table, contract)
    if any(violation.rows is None for violation in violations):
        raise CheckError(_sentence(violations))
    bad = sorted({row for violation in violations for row in violation.rows or ()})
    if len(bad) > params.quarantine_limit * len(table):
        share = f"{len(bad)} of {len(table)} rows break the contract"
        raise CheckError(f"{share}, more than validate.quarantine_limit: {_sentence(violations)}")
    keep = ~table.index.isin(table.index[bad])
    valid = tables.conform(table[keep].reset_index(drop=True), contract)
    report = {
        "rows": len(table),
        "valid": len(valid),
        "quarantined": wilson(len(bad), len(table), params.level)._asdict(),
        "violations": [_row(violation) for violation in violations],
        **quality(valid, until, contract, params),
    }
    return Validated(valid, table[~keep].reset_index(drop=True), report)


def quality(
    table: "pd.DataFrame", until: datetime | None, contract: Contract, params: Validate
) -> dict[str, Any]:
    """Freshness, and each column's figures in the reference window and in the newest one.

    Without an end of the data window nothing tells how old the newest row is.
    """
    if contract.time is None:
        columns = _columns({"reference": table}, contract, params.level)
        return {"freshness": None, "columns": columns}
    time = table[contract.time]
    end = time.max() if until is None else until
    age = None if until is None else (until - time.max()) / timedelta(days=1)
    newest = time >= end - timedelta(days=params.window_days)
    windows = {"reference": table[~newest], "newest": table[newest]}
    return {
        "freshness": {
            "newest_row": str(time.max()),
            "window_end": None if until is None else str(until),
            "age_days": age,
        },
        "windows": {
            name: {"from": str(part[contract.time].min()), "rows": len(part)}
            for name, part in windows.items()
        },
        "columns": _columns(windows, contract, params.level),
    }


def figures(values: "pd.Series[Any]", allowed: Sequence[Any], level: float) -> dict[str, Interval]:
    """The share of missing values, and the mean of numbers or the share of each category."""
    present = values.dropna()
    found = {"missing": wilson(len(values) - len(present), len(values), level)}
    if allowed:
        counts = present.value_counts()
        for value in allowed:
            found[f"share of {value}"] = wilson(int(counts.get(value, 0)), len(present), level)
    elif values.dtype.kind in "iufb":
        found["mean"] = mean_interval(present.to_numpy(dtype=float), level)
    return found


def _columns(
    windows: dict[str, "pd.DataFrame"], contract: Contract, level: float
) -> dict[str, dict[str, Any]]:
    columns = {}
    for name, column in contract.columns.items():
        allowed = column.allowed if isinstance(column.allowed, list) else []
        parts = {window: figures(part[name], allowed, level) for window, part in windows.items()}
        columns[name] = {
            figure: {window: part[figure]._asdict() for window, part in parts.items()}
            for figure in parts["reference"]
        }
    return columns


def _row(violation: Violation) -> dict[str, Any]:
    return {
        "column": violation.column,
        "problem": violation.problem,
        "rows": violation.count,
        "examples": list(violation.examples),
    }


def _sentence(violations: list[Violation]) -> str:
    return f"{RAW}: {'; '.join(map(str, violations))}"


def main(_: Project) -> None:
    """Read, call, write."""
    until = params.load(Ingest).until
    result = validate(read_table(RAW), until, contract.load(), params.load(Validate))
    write_table(result.valid, VALID)
    write_table(result.quarantine, QUARANTINE)
    write_json(result.report, DATA_QUALITY)
