"""The features that features.py will have: each column in the form that its kind calls for."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.files import printable

from .kinds import unique
from .plan import Plan

WIDE = 60  # features; with more, features.py lists columns instead of defining a function for each
LEARNED = 0.8  # share of the rows in time that are for training
FORMS = {  # use of a column: suffix of the feature's name, and how the model encodes it
    "number": [("value", "")],
    "category": [("category", "")],
    "many categories": [("category", "target")],
    "text": [("words", "text")],
    "date": [("hour", ""), ("weekday", ""), ("month", ""), ("year", "")],
}


class Feature(NamedTuple):
    """A function of features.py with its columns and their headers; `suffix` is its kind."""

    name: str
    suffix: str
    columns: tuple[str, ...]
    headers: tuple[str, ...]
    unit: str
    encode: str


def features(plan: Plan, table: pa.Table) -> Iterator[Feature]:
    """The features, none named like a column; for further dates also the days between them."""
    names, dates = set(plan.columns), []

    def feature(suffix: str, *columns: str, unit: str = "", encode: str = "") -> Feature:
        name = unique(f"{_stem(columns[-1])}_{suffix}", names)
        names.add(name)
        headers = tuple(plain(plan.columns[column].header, 50) for column in columns)
        return Feature(name, suffix, columns, headers, unit, encode)

    for column in plan.columns.values():
        forms = FORMS.get(column.use, []) if column.known == "before" else []
        for suffix, encode in forms:
            if plan.time and not _recurs(suffix, table[column.name], table[plan.time]):
                continue
            if suffix != "hour" or _has_hours(table[column.name]):
                unit = {"value": column.unit or "", "hour": "h"}.get(suffix, "")
                yield feature(suffix, column.name, unit=unit, encode=encode)
        if column.use == "date" and forms:
            dates.append(column.name)
    start = plan.time if plan.time in dates else next(iter(dates), "")
    for end in dates:
        if end != start:
            yield feature("days", start, end, unit="d")


def layout(features: Sequence[Feature]) -> dict[str, Any]:
    """The features as functions, or in lists by suffix and encoding; and ruff's exceptions."""
    lists: dict[tuple[str, str], list[Feature]] = {}
    functions = []
    for feature in features:
        if len(features) > WIDE and feature.name == f"{feature.columns[0]}_{feature.suffix}":
            lists.setdefault((feature.suffix, feature.encode), []).append(feature)
        else:
            functions.append(feature)
    arguments = {name for feature in functions for name in feature.columns}
    exceptions = {
        "E501": any(len(item.name) + max(map(len, item.columns)) > 60 for item in functions),
        "E741": bool(arguments & {"l", "I", "O"}),
        "N803": any(name != name.lower() for name in arguments),
    }
    noqa = ", ".join(code for code, is_needed in exceptions.items() if is_needed)
    return {"features": features, "lists": lists, "functions": functions, "noqa": noqa}


def plain(text: str, length: int = 110) -> str:
    """Any text as one line that is safe in a comment, a docstring, a table or a terminal."""
    line = " ".join(printable(text).split()).replace("\\", "/").replace('"', "'")
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _stem(name: str) -> str:
    """The beginning of a feature's name: not private, in lower case."""
    stem = name.strip("_").lower()
    return stem if stem.isidentifier() else f"column_{stem}"


def _recurs(suffix: str, times: pa.ChunkedArray, order: pa.ChunkedArray) -> bool:
    """Whether later rows have values that training had: a year never, a month after a full year."""
    if suffix != "month":
        return suffix != "year"
    first = pc.sort_indices(order)[: int(len(order) * LEARNED)]
    return len(pc.month(times.take(first)).unique().drop_null()) == 12


def _has_hours(times: pa.ChunkedArray) -> bool:
    """Whether any of the times is not midnight."""
    days = times.cast(pa.date32(), safe=False).cast(times.type)
    return bool(pc.any(pc.not_equal(times, days)).as_py())
