"""log_tables: what requests handed over in; Arrow tables, one schema for each model, out.

Columns of an answer: request_id, row, time, role, model_version; `raw_*` as the contract types it;
`feature_*` as the model saw it; prediction; `probability_*` and `in_set_*` for each class, or low
and high. Of an outcome: request_id, row, time, outcome. What is missing is null.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..columns import answer_columns, arrow_type, join_answers
from ..contract import Column, Contract
from ..scoring import Answers

DAY = 86_400_000_000_000  # nanoseconds
MOMENT = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]


class Answered(NamedTuple):
    """The rows of one request and their answers."""

    time: int
    rows: int
    role: str
    model_version: str
    request_id: str
    raw: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]
    answers: Answers


class Outcome(NamedTuple):
    """The true outcome of one row."""

    time: int
    rows: int
    request_id: str
    row: int
    outcome: Any


class File(NamedTuple):
    """What stands together in a file: one kind, of one day, of one model and role."""

    kind: str
    day: str
    model_version: str = ""
    role: str = ""


Entry = Answered | Outcome


def by_file(entries: Sequence[Entry]) -> Iterator[tuple[File, list[Entry]]]:
    """The entries of each file; those with other features stand apart."""
    found: dict[tuple[int, str, str, tuple[str, ...]], list[Entry]] = {}
    for entry in entries:
        model, role, features = "", "", tuple[str, ...]()
        if isinstance(entry, Answered):
            model, role, features = entry.model_version, entry.role, tuple(entry.features)
        found.setdefault((entry.time // DAY, model, role, features), []).append(entry)
    for (day, model_version, role, _), group in found.items():
        kind = "answers" if role else "feedback"
        yield File(kind, str(np.datetime64(day, "D")), model_version, role), group


def tables(entries: Sequence[Any], contract: Contract) -> list[pa.Table]:
    """The entries of one file as one table, or several; what fits none is left out."""
    make = outcomes if isinstance(entries[0], Outcome) else answers
    try:
        return [make(entries, contract)]
    except (pa.ArrowException, ValueError, TypeError, IndexError):
        if len(entries) == 1:
            return []
    half = len(entries) // 2
    return [*tables(entries[:half], contract), *tables(entries[half:], contract)]


def answers(entries: Sequence[Answered], contract: Contract) -> pa.Table:
    """Answers of one model in one role."""
    first, rows = entries[0], np.array([entry.rows for entry in entries])
    ends = np.cumsum(rows)
    columns = {
        "request_id": _repeat([entry.request_id for entry in entries], rows),
        "row": pa.array((np.arange(ends[-1]) - np.repeat(ends - rows, rows)).astype(np.int32)),
        "time": _moments(np.repeat([entry.time for entry in entries], rows)),
        "role": _repeat([first.role] * len(entries), rows),
        "model_version": _repeat([first.model_version] * len(entries), rows),
    }
    for name in contract.known_before():
        columns[f"raw_{name}"] = _raw(name, entries, contract.columns[name])
    for name in first.features:
        columns[f"feature_{name}"] = _array([entry.features[name] for entry in entries])
    columns |= answer_columns(join_answers([entry.answers for entry in entries]), contract)
    return pa.table(columns)


def outcomes(entries: Sequence[Outcome], contract: Contract) -> pa.Table:
    """Outcomes, typed as the target."""
    target = arrow_type(contract.columns[contract.target])
    return pa.table(
        {
            "request_id": pa.array([entry.request_id for entry in entries], pa.string()),
            "row": pa.array([entry.row for entry in entries], pa.int32()),
            "time": _moments(np.array([entry.time for entry in entries])),
            "outcome": pa.array([entry.outcome for entry in entries], target),
        }
    )


def _raw(name: str, entries: Sequence[Answered], column: Column) -> pa.Array:
    try:
        parts = [entry.raw[name] for entry in entries]
    except KeyError:  # some request left the column out
        parts = [
            entry.raw[name].astype(object) if name in entry.raw else np.full(entry.rows, None)
            for entry in entries
        ]
    return _array(parts).cast(arrow_type(column))


def _array(parts: Sequence[Any]) -> pa.Array:
    made = pa.array(np.concatenate(parts), from_pandas=True)
    return made.cast(pa.string()) if pa.types.is_null(made.type) else made


def _repeat(texts: Sequence[str], rows: np.ndarray) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(np.repeat(np.arange(len(rows)), rows)))


def _moments(nanoseconds: np.ndarray) -> pa.Array:
    return pa.array(nanoseconds // 1000).cast(pa.timestamp("us")).cast(MOMENT)
