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
from ..contract import Contract
from ..scoring import Answers

OBJECT = np.dtype(object)
DAY = 86_400_000_000_000  # nanoseconds
MOMENT = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]


class Block(NamedTuple):
    """Columns of one type: their names, and the values of each in a row (columns, rows)."""

    names: tuple[str, ...]
    values: np.ndarray


Blocks = tuple[Block, ...]
Layout = list[tuple[tuple[str, ...], np.dtype]]


class Answered(NamedTuple):
    """The rows of requests that were scored together, and their answers."""

    time: int
    rows: int
    role: str
    model_version: str
    request_ids: Sequence[str]
    lengths: Sequence[int]
    raw: Blocks
    features: Blocks
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
            raw=tuple(Block(names, values[:, rows]) for names, values in self.raw),
            features=tuple(Block(names, values[:, rows]) for names, values in self.features),
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


def layout(columns: Mapping[str, np.ndarray]) -> Layout:
    """Which columns are of one type, and which; texts are objects."""
    alike: dict[np.dtype, list[str]] = {}
    for name, values in columns.items():
        alike.setdefault(OBJECT if values.dtype.kind in "UT" else values.dtype, []).append(name)
    return [(tuple(names), kind) for kind, names in alike.items()]


def blocks(columns: Mapping[str, np.ndarray], layout: Layout) -> Blocks:
    """Copies of the columns, put together by type: a few arrays cost less than many small ones.

    Raises:
        TypeError: when one is of another type than the layout says.
    """
    return tuple(
        Block(
            names,
            np.concatenate([columns[name] for name in names], dtype=kind).reshape(len(names), -1),
        )
        for names, kind in layout
    )


def by_file(entries: Sequence[Entry]) -> Iterator[tuple[File, list[Entry]]]:
    """The entries of each file; those with other columns stand apart."""
    found: dict[tuple[int, str, str, tuple[Any, ...]], list[Entry]] = {}
    for entry in entries:
        model, role, shape = "", "", tuple[Any, ...]()
        if isinstance(entry, Answered):
            model, role = entry.model_version, entry.role
            shape = tuple((names, values.dtype) for names, values in entry.raw + entry.features)
        found.setdefault((entry.time // DAY, model, role, shape), []).append(entry)
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
    raw = _columns([entry.raw for entry in entries])
    for name in contract.known_before():
        kind = arrow_type(contract.columns[name])
        given = name in raw  # or the requests left it out
        columns[f"raw_{name}"] = _array(raw[name]).cast(kind) if given else pa.nulls(total, kind)
    for name, values in _columns([entry.features for entry in entries]).items():
        columns[f"feature_{name}"] = _array(values)
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


def _columns(parts: Sequence[Blocks]) -> dict[str, np.ndarray]:
    """The columns of all entries, which have the same blocks."""
    columns: dict[str, np.ndarray] = {}
    for same in zip(*parts, strict=True):
        values = np.concatenate([block.values for block in same], axis=1)
        columns |= zip(same[0].names, values, strict=True)
    return columns


def _array(values: np.ndarray) -> pa.Array:
    made = pa.array(values, from_pandas=True)
    return made.cast(pa.string()) if pa.types.is_null(made.type) else made


def _apart(entry: Entry) -> Sequence[Entry]:
    """The requests of a batch, each by itself."""
    if isinstance(entry, Outcome):
        return [entry]
    return [entry.part(at, at + 1) for at in range(len(entry.lengths))]


def _moments(nanoseconds: np.ndarray) -> pa.Array:
    return pa.array(nanoseconds // 1000).cast(pa.timestamp("us")).cast(MOMENT)
