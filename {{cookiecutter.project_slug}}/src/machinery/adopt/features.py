"""features: a plan and its table in; the features that pass its columns on, by their kind, out."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .plan import Plan

WIDE = 60  # features beyond which features.py lists columns, and has no function for each
LEARNED = 0.8  # share of the rows in time that are learned from
DAY = 86_400_000_000  # in microseconds
MADE = {  # of a column by its use: what ends the feature's name, and how the model encodes it
    "number": [("value", "")],
    "category": [("category", "")],
    "many categories": [("category", "target")],
    "text": [("words", "text")],
    "date": [("hour", ""), ("weekday", ""), ("month", ""), ("year", "")],
}


class Feature(NamedTuple):
    """A function of features.py: its columns, with their names as given; `suffix` says its kind."""

    name: str
    suffix: str
    columns: tuple[str, ...]
    given: tuple[str, ...]
    unit: str
    encode: str


def features(plan: Plan, table: pa.Table) -> Iterator[Feature]:
    """The features, none with the name of a column; of two dates, the days between them, too."""
    taken, dates = set(plan.columns), []

    def feature(suffix: str, *names: str, unit: str = "", encode: str = "") -> Feature:
        name = free(f"{_stem(names[-1])}_{suffix}", taken)
        taken.add(name)
        given = tuple(plain(plan.columns[each].given, 50) for each in names)
        return Feature(name, suffix, names, given, unit, encode)

    for column in plan.columns.values():
        made = MADE.get(column.use, []) if column.known == "before" else []
        for suffix, encode in made:
            if plan.time and not _returns(suffix, table[column.name], table[plan.time]):
                continue  # the model never saw those that it will be asked about
            if suffix != "hour" or _has_hours(table[column.name]):
                unit = {"value": column.unit or "", "hour": "h"}.get(suffix, "")
                yield feature(suffix, column.name, unit=unit, encode=encode)
        dates += [column.name] * (column.use == "date" and bool(made))
    start = plan.time if plan.time in dates else next(iter(dates), "")
    for end in (name for name in dates if name != start):
        yield feature("days", start, end, unit="d")


def arranged(every: Sequence[Feature]) -> dict[str, Any]:
    """Of many those that are listed, by suffix and encoding; the rest, and what ruff says of it."""
    lists: dict[tuple[str, str], list[Feature]] = {}
    for each in every if len(every) > WIDE else ():
        if each.name == f"{each.columns[0]}_{each.suffix}":
            lists.setdefault((each.suffix, each.encode), []).append(each)
    listed = {each for some in lists.values() for each in some}
    rest = [each for each in every if each not in listed]
    arguments = {name for each in rest for name in each.columns}
    faults = {
        "E501": any(len(each.name) + max(map(len, each.columns)) > 60 for each in rest),
        "E741": bool(arguments & {"l", "I", "O"}),
        "N803": any(name != name.lower() for name in arguments),
    }
    noqa = ", ".join(name for name, is_broken in faults.items() if is_broken)
    return {"features": every, "lists": lists, "rest": rest, "noqa": noqa}


def free(name: str, taken: Collection[str]) -> str:
    """The name, with underscores after it until nothing else has it."""
    while name in taken:
        name += "_"
    return name


def plain(text: str, length: int = 110) -> str:
    """Text of anybody as one line that may stand in a comment, a docstring or a table."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(printable.split()).replace("\\", "/").replace('"', "'")
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _stem(name: str) -> str:
    """The beginning of a feature's name: not private, in lower case."""
    stem = name.strip("_").lower()
    return stem if stem.isidentifier() else f"column_{stem}"


def _returns(part: str, times: pa.ChunkedArray, order: pa.ChunkedArray) -> bool:
    """Whether what comes has been seen: no year, and a month if the first rows have all of them."""
    if part != "month":
        return part != "year"
    first = pc.sort_indices(order)[: int(len(order) * LEARNED)]
    return len(pc.month(times.take(first)).unique().drop_null()) == 12


def _has_hours(times: pa.ChunkedArray) -> bool:
    """Whether any of the times is not a midnight."""
    known = times.cast(pa.timestamp("us")).cast(pa.int64()).drop_null().to_numpy()
    return bool(np.any(known % DAY))
