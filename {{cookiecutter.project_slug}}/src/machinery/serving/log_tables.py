"""log_tables: records of a journal in; Arrow tables, one schema for each layout, out.

Columns of an answer: request_id, row, time, role, model_version; `raw_*` as the contract types it;
`feature_*` as the model saw it; prediction; `probability_*` and `in_set_*` for each class, or low
and high. Of an outcome: request_id, row, time, outcome. What is missing is null.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from machinery.pipeline.data.columns import TYPES
from machinery.pipeline.model.answers import Answers, answer_columns
from .log_journal import DAY, Found
from .log_records import Answered, Block, Layout, Outcome, Schema

MOMENT = pa.timestamp("us", tz="UTC")
KEY = ["request_id", "row"]


class Group(NamedTuple):
    """What stands together in a file: its kind, its day, when it begins (ns), and its rows.

    `lost` counts the rows that fit no table; where none fits, there is none.
    """

    kind: str
    day: str
    time: int
    table: pa.Table | None
    lost: int


def groups(found: Found) -> Iterator[Group]:
    """The records of a segment by day and layout, outcomes apart, in the order that they came."""
    apart: dict[tuple[int, int | None], list[Any]] = {}
    for record in found.records:
        which = record.layout if isinstance(record, Answered) else None
        apart.setdefault((record.time // DAY, which), []).append(record)
    for (day, which), records in apart.items():
        tables = [*_tables(partial(_table, found, which), records)]
        table = pa.concat_tables(tables).combine_chunks() if tables else None
        lost = sum(map(_rows, records)) - (table.num_rows if table else 0)
        kind = "feedback" if which is None else "answers"
        yield Group(kind, str(np.datetime64(day, "D")), records[0].time, table, lost)


def _rows(record: Answered | Outcome) -> int:
    return sum(record.lengths) if isinstance(record, Answered) else 1


def _table(found: Found, which: int | None, records: Sequence[Any]) -> pa.Table:
    if which is None:
        return outcomes(records, found.schema)
    return answers(records, found.layouts[which], found.schema)


def _tables(
    make: Callable[[Sequence[Any]], pa.Table], records: Sequence[Any]
) -> Iterator[pa.Table]:
    """One table, or several; what fits none is left out."""
    try:
        yield make(records)
    except (pa.ArrowException, ValueError, TypeError, IndexError):
        if len(records) > 1:
            half = len(records) // 2
            yield from _tables(make, records[:half])
            yield from _tables(make, records[half:])


def answers(records: Sequence[Answered], layout: Layout, schema: Schema) -> pa.Table:
    """Answers of one model in one role."""
    rows = [sum(each.lengths) for each in records]
    lengths = np.array([*chain.from_iterable(each.lengths for each in records)])
    ends, total = np.cumsum(lengths), sum(rows)
    ids = pa.array(chain.from_iterable(each.request_ids for each in records), pa.string())
    columns = {
        "request_id": ids.take(pa.array(np.repeat(np.arange(len(lengths)), lengths))),
        "row": pa.array((np.arange(total) - np.repeat(ends - lengths, lengths)).astype(np.int32)),
        "time": _moments(np.repeat([each.time for each in records], rows)),
        "role": pa.repeat(layout.role, total),
        "model_version": pa.repeat(layout.model_version, total),
    }
    parts = [*zip(*(each.parts for each in records), strict=True)]
    raw, features = dict[str, pa.Array](), dict[str, pa.Array]()
    for block, part in zip(layout.blocks, parts, strict=False):
        made = _arrays(part, block, total)
        (raw if block.raw else features).update(zip(block.names, made, strict=True))
    for name, kind in schema.raw.items():
        given = name in raw  # or the requests left it out
        values = raw[name].cast(TYPES[kind]) if given else pa.nulls(total, TYPES[kind])
        columns[f"raw_{name}"] = values
    columns |= {f"feature_{name}": values for name, values in features.items()}
    found = {
        name: _numbers(part, kind, (total, width) if width else (total,))
        for (name, kind, width), part in zip(
            layout.answers, parts[len(layout.blocks) :], strict=True
        )
    }
    return pa.table(columns | answer_columns(Answers(**found), schema.classes))


def outcomes(records: Sequence[Outcome], schema: Schema) -> pa.Table:
    """Outcomes, typed as the target."""
    return pa.table(
        {
            "request_id": pa.array([each.request_id for each in records], pa.string()),
            "row": pa.array([each.row for each in records], pa.int32()),
            "time": _moments(np.array([each.time for each in records])),
            "outcome": pa.array([each.outcome for each in records], TYPES[schema.target]),
        }
    )


def _arrays(parts: Sequence[Any], block: Block, rows: int) -> list[pa.Array]:
    """The columns of a block, of all records."""
    if block.kind:
        table = _numbers(parts, block.kind, (rows, len(block.names)))
        return [pa.array(values, from_pandas=True) for values in np.ascontiguousarray(table.T)]
    columns = zip(*parts, strict=True)
    return [
        pa.array([*chain.from_iterable(each)], pa.string(), from_pandas=True) for each in columns
    ]


def _numbers(parts: Sequence[bytes], kind: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(b"".join(parts), kind).reshape(shape)


def _moments(nanoseconds: np.ndarray) -> pa.Array:
    return pa.array(nanoseconds // 1000).cast(pa.timestamp("us")).cast(MOMENT)
