"""The styles in which tables write booleans, numbers and dates as text."""

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

SAMPLE = 1_000  # texts on which a style is tried before all are read
UNIT = r"%|\p{Sc}|EUR|USD|GBP|CHF|JPY"  # percent, or a currency by its sign or code
CODE = r"^[-+]?0\d|^\+\d{7}"  # such as zip codes and telephone numbers
BLANK = "[ \u00a0\u2009\u202f'’]"
NUMBERS = (  # name, thousands separator, decimal point
    ("numbers", "", r"\."),
    ("numbers like 1,234.56", ",", r"\."),
    ("numbers like 1234,56", "", ","),
    ("numbers like 1.234,56", r"\.", ","),
    ("numbers like 1 234.56", BLANK, r"\."),
    ("numbers like 1 234,56", BLANK, ","),
)
ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?"
ZONE = r"\s?(?:Z|[-+]\d\d(?::?\d\d)?|UTC)"
DATES = {  # format: convention
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
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
EXAMPLE = datetime(2024, 12, 31, 23)


class Style(NamedTuple):
    """A way to write values of a type; `read` returns null for text written in another way.

    A column in this style shows that the table follows the `convention`, e.g. "month first".
    """

    kind: Type
    name: str
    read: Callable[[Values], Values]
    convention: str = ""


def styles(forced: str, texts: Values) -> list[Style]:
    """The styles to try on the texts, in order: those of the forced type, or of all types."""
    sample = texts.drop_null()[:SAMPLE]
    words = [_boolean(*pair) for pair in (("true", "false"), ("yes", "no"), ("y", "n"))]
    words += [_boolean("t", "f"), _boolean("ja", "nein")]
    numbers = [
        Style("number", name, partial(_numbers, group, point, forced == "integer"), point)
        for name, group, point in NUMBERS
    ]
    if texts.null_count:  # pandas writes integers as 1.0 if one is missing
        read = partial(_numbers, "", r"\.", True)
        numbers.insert(0, Style("number", "whole numbers", read, r"\."))
    match forced:
        case "boolean":
            return [*words, _boolean("1", "0")]
        case "integer" | "number":
            return numbers
        case "datetime":
            return _dates(sample[0].as_py())
        case "":
            return [*words, *([] if coded(sample) else numbers), *_dates(sample[0].as_py())]
    return []


def coded(texts: Values) -> bool:
    """Whether some of the texts are codes that only resemble numbers."""
    return bool(pc.any(pc.match_substring_regex(texts, CODE)).as_py())


def split_unit(texts: Values) -> tuple[str | None, Values]:
    """The percent sign or currency that all texts have, and the texts without it."""
    matches = pc.extract_regex(texts.drop_null()[:SAMPLE], f"(?P<unit>{UNIT})")
    units = pc.struct_field(matches, "unit").unique().to_pylist()
    if len(units) == 1 and units[0]:
        mark = re.escape(units[0])
        bare = pc.replace_substring_regex(texts, rf"^([-+]?){mark}\s*|\s*{mark}$", r"\1")
        if not pc.any(pc.equal(bare, texts)).as_py():
            return units[0], bare
    return None, texts


def _only(texts: Values, pattern: str) -> Values:
    """The texts that match the whole pattern, null for others."""
    return pc.if_else(pc.match_substring_regex(texts, f"^(?:{pattern})$"), texts, None)


def _boolean(true: str, false: str) -> Style:
    """Two words in any case."""

    def read(texts: Values) -> Values:
        lower = pc.utf8_lower(texts)
        is_word = pc.is_in(lower, pa.array([true, false]))
        return pc.if_else(is_word, pc.equal(lower, true), pa.scalar(None, pa.bool_()))

    return Style("boolean", f"{true} and {false}", read)


def _numbers(group: str, point: str, whole: bool, texts: Values) -> Values:
    """Numbers; exact 64-bit integers if none has a fraction, or if they must be `whole`."""
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
        except pa.ArrowInvalid:  # some exceed 64 bits
            return _only(plain, r"-?\d{1,18}").cast(pa.int64())
    values = plain.cast(pa.float64())
    return pc.if_else(pc.is_finite(values), values, None)


def _dates(first: str) -> list[Style]:
    """ISO 8601, and the other formats that the first text matches."""
    in_utc = "times with a time zone, converted to UTC"
    styles = [
        Style("datetime", "dates like 2024-12-31", partial(_times, "ISO8601", ISO)),
        Style("datetime", in_utc, partial(_times, "ISO8601", ISO + ZONE)),
    ]
    for (day, convention), time in product(DATES.items(), TIMES):
        if _matches(first, day + time):
            name = f"dates like {EXAMPLE:{day + time}}"
            styles.append(Style("datetime", name, partial(_times, day + time, ".*"), convention))
    return styles


def _matches(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _times(form: str, pattern: str, texts: Values) -> Values:
    """Dates and times in a format of pandas, converted to UTC if they have a time zone."""
    import pandas as pd

    plain = pc.replace_substring_regex(_only(texts, pattern), r"\s?UTC$", "Z").to_pandas()
    times = pd.to_datetime(plain, format=form, errors="coerce", utc=True)
    values = pa.chunked_array([pa.Array.from_pandas(times)])
    return values.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
