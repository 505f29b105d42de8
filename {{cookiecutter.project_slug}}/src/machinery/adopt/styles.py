"""styles: the ways in which values are written as text; text in, values of a type out."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import product
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from .plan import Type

Values: TypeAlias = "pa.ChunkedArray"

UNIT = r"%|\p{Sc}|EUR|USD|GBP|CHF|JPY"  # a percentage, or a currency by its sign or its code
CODE = r"^[-+]?0\d|^\+\d{7}"  # such as zip codes and telephone numbers
PAIRS = ("true false", "yes no", "y n", "t f", "ja nein")
BLANK = "[ \u00a0\u2009\u202f'’]"
NUMBERS = (  # like what, between thousands, decimal point
    ("numbers", "", r"\."),
    ("numbers like 1,234.56", ",", r"\."),
    ("numbers like 1234,56", "", ","),
    ("numbers like 1.234,56", r"\.", ","),
    ("numbers like 1 234.56", BLANK, r"\."),
    ("numbers like 1 234,56", BLANK, ","),
)
ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?"
ZONE = r"\s?(?:Z|[-+]\d\d(?::?\d\d)?|UTC)"
DATES = {
    "%Y/%m/%d": "",
    "%d.%m.%Y": "",
    "%m/%d/%Y": "month first",
    "%d/%m/%Y": "day first",
    "%m-%d-%Y": "month first",
    "%d-%m-%Y": "day first",
    "%m/%d/%y": "month first",
    "%d/%m/%y": "day first",
    "%d-%b-%Y": "",
    "%d %b %Y": "",
    "%b %d, %Y": "",
}
EXAMPLE = datetime(2024, 12, 31, 23)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


class Style(NamedTuple):
    """A way to write values of a type; `read` gives null for what is written in another way.

    `convention` is what a column in this style proves of the table.
    """

    kind: Type
    name: str
    read: Callable[[Values], Values]
    convention: str = ""


def styles(forced: str, few: Values, some_missing: bool = False) -> list[Style]:
    """The styles to try on a few texts, in order: those of the forced type, or of all types."""
    words = [Style("boolean", pair.replace(" ", " and "), partial(_words, pair)) for pair in PAIRS]
    numbers = [
        Style("number", name, partial(_numbers, group, point, forced == "integer"), point)
        for name, group, point in NUMBERS
    ]
    if some_missing:  # pandas writes 1 as 1.0 then
        point_zero = partial(_numbers, "", r"\.", True)
        numbers.insert(0, Style("number", "whole numbers", point_zero, r"\."))
    match forced:
        case "boolean":
            return [*words, Style("boolean", "1 and 0", partial(_words, "1 0"))]
        case "integer" | "number":
            return numbers
        case "datetime":
            return _dates(few[0].as_py())
        case "":
            return [*words, *([] if coded(few) else numbers), *_dates(few[0].as_py())]
    return []


def coded(few: Values) -> bool:
    """Whether some of a few texts are codes, which only resemble numbers."""
    return bool(pc.any(pc.match_substring_regex(few, CODE)).as_py())


def unit(few: Values) -> str | None:
    """The percentage or currency that is in all of a few texts."""
    units = pc.struct_field(pc.extract_regex(few, f"(?P<unit>{UNIT})"), "unit").unique()
    only: str | None = units[0].as_py() if len(units) == 1 else None
    return only


def bare(texts: Values, unit: str) -> Values:
    """The texts without the unit before or behind them; null where it is not there."""
    mark = re.escape(unit)
    rest = pc.replace_substring_regex(texts, rf"^([-+]?){mark}\s*|\s*{mark}$", r"\1")
    return pc.if_else(pc.equal(rest, texts), None, rest)


def _only(texts: Values, pattern: str) -> Values:
    """The texts that have the pattern from end to end, others null."""
    return pc.if_else(pc.match_substring_regex(texts, f"^(?:{pattern})$"), texts, None)


def _words(pair: str, texts: Values) -> Values:
    """Two words, the first for true, in any case."""
    lower, words = pc.utf8_lower(texts), pair.split()
    known = pc.is_in(lower, pa.array(words))
    return pc.if_else(known, pc.equal(lower, words[0]), pa.scalar(None, pa.bool_()))


def _numbers(group: str, point: str, whole: bool, texts: Values) -> Values:
    """Numbers; exact integers of 64 bits if none has a fraction, or if they must be `whole`."""
    digits = rf"(?:0|[1-9]\d{{0,2}}(?:{group}\d{{3}})*)" if group else r"\d+"
    fraction = rf"(?:{digits}(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d{{1,3}})?"
    if whole:
        texts = pc.replace_substring_regex(texts, rf"(\d){point}0*$", r"\1")
    texts = _only(texts, rf"[-+]?{digits if whole else fraction}")
    if group:
        texts = pc.replace_substring_regex(texts, group, "")
    plain = pc.replace_substring_regex(pc.replace_substring(texts, ",", "."), r"^\+", "")
    if not pc.any(pc.match_substring_regex(plain, "[.eE]")).as_py():
        try:
            return plain.cast(pa.int64())
        except pa.ArrowInvalid:  # for some are beyond 64 bits
            return _only(plain, r"-?\d{1,18}").cast(pa.int64())
    values = plain.cast(pa.float64())
    return pc.if_else(pc.is_finite(values), values, None)


def _dates(first: str) -> list[Style]:
    """ISO 8601, and the other styles of dates that the first text has."""
    styles = [
        Style("datetime", "dates like 2024-12-31", partial(_times, "ISO8601", ISO)),
        Style("datetime", "times with a zone, in UTC now", partial(_times, "ISO8601", ISO + ZONE)),
    ]
    for (day, order), time in product(DATES.items(), TIMES):
        if _has(first, day + time):
            name = f"dates like {EXAMPLE:{day + time}}"
            styles.append(Style("datetime", name, partial(_times, day + time, ".*"), order))
    return styles


def _has(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _times(form: str, pattern: str, texts: Values) -> Values:
    """Dates and times of a format of pandas; with a time zone, in UTC then."""
    import pandas as pd

    plain = pc.replace_substring_regex(_only(texts, pattern), r"\s?UTC$", "Z").to_pandas()
    times = pd.to_datetime(plain, format=form, errors="coerce", utc=True)
    values = pa.chunked_array([pa.Array.from_pandas(times)])
    return values.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
