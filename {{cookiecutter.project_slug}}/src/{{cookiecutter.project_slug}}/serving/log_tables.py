"""log_tables: what requests handed over in; Arrow tables, one schema for each model, out.

Columns of an answer: request_id, row, time, role, model_version; `raw_*` as the contract types it;
`feature_*` as the model saw it; prediction; `probability_*` and `in_set_*` for each class, or low
and high. Of an outcome: request_id, row, time, outcome. What is missing is null.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from ..columns import answer_columns, arrow_type, join_answers
from ..contract import Column, Contract
from ..scoring import Answers

DAY = 86_400_000_000_000  # nanoseconds
MOMENT = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]


class Answered(NamedTuple):
    """The rows of requests that were scored together, and their answers."""

    time: int
    rows: int
    role: str
    model_version: str
    request_ids: Sequence[str]
    lengths: Sequence[int]
    raw: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]
    answers: Answers

    def first(self, rows: int) -> Self:
        """Its first requests, as many as have no more rows than so many."""
        return self.part(0, bisect_right([*accumulate(self.lengths)], rows))

    def part(self, start: int, stop: int) -> Self:
        """Some of its requests."""
        ends = [0, *accumulate(self.lengths)]
        rows = slice(ends[start], ends[stop])
        return self._replace(
            rows=rows.stop - rows.start,
            request_ids=self.request_ids[start:stop],
            lengths=self.lengths[start:stop],
            raw={name: values[rows] for name, values in self.raw.items()},
            features={name: values[rows] for name, values in self.features.items()},
            answers=self.answers.part(rows),
        )


class Outcome(NamedTuple):
    """The true outcome of one row."""

    time: int
    rows: int
    request_id: str
    row: int
    outcome: Any

    def first(self, rows: int) -> Self:
        """Nothing of it, if there is no room."""
        return self._replace(rows=min(rows, self.rows))


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
        entries = entries if len(entries) > 1 else _apart(entries[0])
        if len(entries) == 1:
            return []
    half = len(entries) // 2
    return [*tables(entries[:half], contract), *tables(entries[half:], contract)]


def answers(entries: Sequence[Answered], contract: Contract) -> pa.Table:
    """Answers of one model in one role."""
    first, rows = entries[0], [entry.rows for entry in entries]
    ids = pa.array(chain.from_iterable(entry.request_ids for entry in entries), pa.string())
    lengths = np.array([*chain.from_iterable(entry.lengths for entry in entries)], np.int64)
    ends, total = np.cumsum(lengths), sum(rows)
    columns = {
        "request_id": ids.take(pa.array(np.repeat(np.arange(len(lengths)), lengths))),
        "row": pa.array((np.arange(total) - np.repeat(ends - lengths, lengths)).astype(np.int32)),
        "time": _moments(np.repeat([entry.time for entry in entries], rows)),
        "role": pa.repeat(first.role, total),
        "model_version": pa.repeat(first.model_version, total),
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


def _apart(entry: Entry) -> Sequence[Entry]:
    """The requests of a batch, each by itself."""
    if isinstance(entry, Outcome):
        return [entry]
    return [entry.part(at, at + 1) for at in range(len(entry.lengths))]


def _moments(nanoseconds: np.ndarray) -> pa.Array:
    return pa.array(nanoseconds // 1000).cast(pa.timestamp("us")).cast(MOMENT)
