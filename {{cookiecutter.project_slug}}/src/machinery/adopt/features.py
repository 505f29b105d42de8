"""features: a plan and its table in; the features that pass its columns on, by their kind, out."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from .plan import Plan

WIDE = 60  # features beyond which features.py lists columns, and writes no function for each
MADE = {  # of a column by its use: what ends the feature's name, and how the model encodes it
    "number": [("value", "")],
    "category": [("category", "")],
    "many categories": [("category", "target")],
    "text": [("words", "text")],
    "date": [("hour", ""), ("weekday", ""), ("month", ""), ("year", "")],
}
MAKERS = {"value": "number", "category": "text"}  # in features.py, of what has not its own name
MEANINGS = {
    "value": "{}, as the table has it.",
    "category": "{}, as the table has it.",
    "words": "The words of {}, in lower case.",
    "hour": "Time of day of {}, minutes as a fraction.",
    "weekday": "Day of the week of {}, in English.",
    "month": "Month of {}, from 1 to 12.",
    "year": "Year of {}.",
}
MOMENT = "datetime(2024, 1, 6, 18, 30)"
EXAMPLES = {  # what a test gives to a feature, and what comes of it
    "value": ("3", "3.0"),
    "category": ('"Two Words"', '"Two Words"'),
    "words": ('"Two, Words!"', '"two words"'),
    "hour": (MOMENT, "18.5"),
    "weekday": (MOMENT, '"Saturday"'),
    "month": (MOMENT, "1.0"),
    "year": (MOMENT, "2024.0"),
}
DAY = 86_400_000_000  # in microseconds


class Feature(NamedTuple):
    """A function of features.py: its columns, what makes it of them, and what its tag says."""

    name: str
    columns: tuple[str, ...]
    suffix: str
    meaning: str
    unit: str = ""
    encode: str = ""

    @property
    def maker(self) -> str:
        """The function of features.py behind it."""
        return MAKERS.get(self.suffix, self.suffix)

    @property
    def example(self) -> tuple[str, str, str]:
        """Its name, values of its columns, and what it is then: of a test, as Python."""
        if self.suffix == "days":
            start, end = self.columns
            values = f'{{"{start}": datetime(2024, 1, 6), "{end}": datetime(2024, 1, 8, 12)}}'
            return self.name, values, "2.5"
        value, wanted = EXAMPLES[self.suffix]
        return self.name, f'{{"{self.columns[0]}": {value}}}', wanted


def features(plan: Plan, table: pa.Table) -> Iterator[Feature]:
    """The features, none with the name of a column; of two dates, the days between them, too."""
    taken, dates = set(plan.columns), []
    for column in plan.columns.values():
        if column.known == "after":
            continue
        for suffix, encode in MADE.get(column.use, ()):
            if suffix in ("month", "year") and plan.time:
                continue  # the model never saw those that it will be asked about
            if suffix == "hour" and not _has_hours(table[column.name]):
                continue
            name = free(f"{_stem(column.name)}_{suffix}", taken)
            unit = {"value": column.unit or "", "hour": "h"}.get(suffix, "")
            meaning = MEANINGS[suffix].format(plain(column.given, 50))
            taken.add(name)
            yield Feature(name, (column.name,), suffix, meaning, unit, encode)
        dates += [column.name] * (column.use == "date")
    start = plan.time if plan.time in dates else next(iter(dates), "")
    for end in (name for name in dates if name != start):
        name = free(f"{_stem(end)}_days", taken)
        yield Feature(name, (start, end), "days", f"Days from {start} to {end}.", "d")


def described(every: Sequence[Feature]) -> dict[str, Any]:
    """What the templates of features.py and of its tests want to know of the features."""
    lists: dict[tuple[str, str], list[Feature]] = {}
    rest = list(every)
    if len(every) > WIDE:
        for each in every:
            if each.name == f"{each.columns[0]}_{each.suffix}" and each.suffix != "days":
                lists.setdefault((each.suffix, each.encode), []).append(each)
        rest = [each for each in every if not any(each in some for some in lists.values())]
    arguments = {name for each in rest for name in each.columns}
    faults = {
        "E501": any(len(each.name) + max(map(len, each.columns)) > 60 for each in rest),
        "E741": bool(arguments & {"l", "I", "O"}),
        "N803": any(name != name.lower() for name in arguments),
    }
    makers = dict.fromkeys(each.maker for each in every)
    if makers.keys() & {"hour", "month", "year", "days"}:
        makers["number"] = None
    examples = {each.suffix: each.example for each in reversed(every)}
    return {
        "rest": rest,
        "lists": lists,
        "makers": list(makers),
        "noqa": ", ".join(name for name, broken in faults.items() if broken),
        "examples": list(examples.values())[::-1],
        "dated": any("datetime(" in values for _, values, _ in examples.values()),
        "encoded": any(each.encode for each in every),
        "wide": bool(lists),
    }


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


def _has_hours(times: pa.ChunkedArray) -> bool:
    """Whether any of the times is not a midnight."""
    known = times.cast(pa.timestamp("us")).cast(pa.int64()).drop_null().to_numpy()
    return bool(np.any(known % DAY))
