"""styles: the ways in which values are written as text; text in, values of a type out."""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from .plan import Type

Values: TypeAlias = "pa.ChunkedArray"
Read = Callable[[Values], Values]

CODES = "EUR USD GBP CHF JPY CNY INR SEK NOK DKK PLN CZK HUF CAD AUD BRL"
UNITS = [*"%‰€$£¥₹", *CODES.split()]
NAMES = "jan feb mar apr may jun jul aug sep oct nov dec - - mär - mai - - - - okt - dez".split()
MONTHS, NUMBERED = pa.array(NAMES), pa.array([f"{at % 12 + 1:02}" for at in range(24)])
ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
ZONE = r"\s?(?:Z|[-+]\d\d(?::?\d\d)?|UTC|GMT)"
CLOCK = r"(?P<H>\d\d?):(?P<M>\d\d)(?::(?P<S>\d\d(?:\.\d{1,6})?))?\s?(?P<half>[AaPp][Mm])?"


class Style(NamedTuple):
    """A way to write values of a type; `read` gives null for what is written in another way.

    `convention` is what a column in this style proves of the table.
    """

    kind: Type
    name: str
    read: Read
    convention: str = ""


def styles(forced: str, unit: str | None, *, some_missing: bool) -> list[Style]:
    """The styles to try, in order: those of the forced type, or all if there is none."""
    numbers = [*NUMBERS]
    if unit is not None:
        numbers = [
            each._replace(read=partial(_bare, each.read, unit)) for each in [WHOLE, *NUMBERS]
        ]
    match forced:
        case "":
            return [*WORDS, WHOLE, *[POINT_ZERO] * some_missing, *numbers, *DATES]
        case "boolean":
            return [*WORDS, ONE_ZERO]
        case "integer":
            whole = [each._replace(read=partial(_whole, each.read)) for each in numbers]
            return [DIGITS, *whole]
        case "number":
            return [DIGITS, *numbers]
        case "datetime":
            return [*DATES, COMPACT]
    return []


def unit(few: Values) -> str | None:
    """What most of a few texts have beside the number; empty if only their signs are unusual."""
    beside = pc.replace_substring_regex(few, r"[-+\d.,'’\s]", "").to_pylist()
    [(most, count)] = Counter(each.strip("()−") for each in beside).most_common(1)
    if most in UNITS and 2 * count > len(beside):
        return str(most)
    return "" if any(each in ("()", "−") for each in beside) else None


def _bare(read: Read, unit: str, texts: Values) -> Values:
    """Read what has the unit, without it; (5) is -5."""
    mark = rf"\s*{re.escape(unit)}\s*"
    bare = pc.replace_substring_regex(texts, rf"^([-+−(]?){mark}|{mark}(\)?)$", r"\1\2")
    if unit:
        bare = pc.if_else(pc.equal(bare, texts), pa.scalar(None, texts.type), bare)
    return read(pc.replace_substring_regex(bare, r"^(?:−|\((.*)\)$)", r"-\1"))


def _only(texts: Values, pattern: str) -> Values:
    """The texts that have the pattern from end to end, others null."""
    fits = pc.match_substring_regex(texts, f"^(?:{pattern})$")
    return pc.if_else(fits, texts, pa.scalar(None, texts.type))


def _cast(texts: Values, kind: pa.DataType) -> Values:
    """Null where a text is not of the type: of halves that do not cast, their halves are cast."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.chunked_array([pa.nulls(1, kind)])
    half = len(texts) // 2
    return pa.chunked_array(
        [*_cast(texts[:half], kind).chunks, *_cast(texts[half:], kind).chunks], kind
    )


def _words(true: str, false: str, texts: Values) -> Values:
    """Two words, in any case."""
    lower = pc.utf8_lower(texts)
    either = pc.is_in(lower, pa.array([true, false], texts.type))
    return pc.if_else(either, pc.equal(lower, true), pa.scalar(None, pa.bool_()))


def _integers(pattern: str, texts: Values) -> Values:
    """Exact, up to 64 bits."""
    texts = _only(texts, pattern)
    return _cast(pc.replace_substring_regex(texts, r"^\+|\.0*$", ""), pa.int64())


def _numbers(group: str, point: str, texts: Values) -> Values:
    """Numbers; integers if none has a fraction."""
    whole = rf"0|[1-9]\d{{0,2}}(?:{group}\d{{3}})*" if group else r"0|[1-9]\d*"
    rest = rf"(?:{point}\d*)?(?:[eE](?:-\d{{1,3}}|\+?[0-2]?\d{{1,2}}))?"
    texts = _only(texts, rf"(?:-?(?:{whole})|\+\d{{1,6}}){rest}|[-+]?{point}\d+{rest}")
    if group:
        texts = pc.replace_substring_regex(texts, group, "")
    if point == COMMA:
        texts = pc.replace_substring(texts, COMMA, ".")
    fraction = pc.any(pc.match_substring_regex(texts, "[.eE]")).as_py()
    return _cast(
        pc.replace_substring_regex(texts, r"^\+", ""), pa.float64() if fraction else pa.int64()
    )


def _whole(read: Read, texts: Values) -> Values:
    """Read integers, others null."""
    values = read(texts)
    whole = pc.equal(pc.floor(values), values)
    return pc.if_else(whole, values, pa.scalar(None, values.type)).cast(pa.int64())


def _times(pattern: str, texts: Values) -> Values:
    """ISO 8601; with a time zone, in UTC then."""
    texts = pc.replace_substring_regex(_only(texts, pattern), r"(\.\d{6})\d+", r"\1")
    if pattern == ISO:
        return _cast(texts, pa.timestamp("us"))
    texts = pc.replace_substring_regex(texts, r"\s?(UTC|GMT)$", "Z")
    return _cast(texts, pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def _dates(pattern: str, texts: Values) -> Values:
    """Dates with the parts that the pattern names, and a time or none."""
    parts = pc.extract_regex(texts, rf"^{pattern}(?:(?:T|,?\s+){CLOCK})?$")

    def part(name: str) -> Values:
        return pc.utf8_lpad(pc.struct_field(parts, name), width=2, padding="0")

    joined, half = pc.binary_join_element_wise, pc.utf8_lower(pc.struct_field(parts, "half"))
    year, month, hour = part("y"), part("m"), part("H")
    if SHORT in pattern:
        year = joined(pc.if_else(pc.less(year, "69"), "20", "19"), year, "")
    if WORD in pattern:
        letters = pc.utf8_lower(pc.utf8_slice_codeunits(month, 0, 3))
        month = pc.take(NUMBERED, pc.index_in(letters, MONTHS))
    if pc.any(pc.not_equal(half, "")).as_py():
        hour = pc.if_else(pc.and_(pc.equal(hour, "12"), pc.not_equal(half, "")), "00", hour)
        later = pc.add(_cast(hour, pa.int64()), 12).cast(pa.string())
        hour = pc.if_else(pc.equal(half, "pm"), later, hour)
    date, time = joined(year, month, part("d"), "-"), joined(hour, part("M"), part("S"), ":")
    return _cast(joined(date, time, "T"), pa.timestamp("us"))


PAIRS = ("true false", "yes no", "y n", "t f", "ja nein", "wahr falsch")
WORDS = [
    Style("boolean", pair.replace(" ", " and "), partial(_words, *pair.split())) for pair in PAIRS
]
ONE_ZERO = Style("boolean", "1 and 0", partial(_words, "1", "0"))
WHOLE = Style("integer", "whole numbers", partial(_integers, r"-?(?:0|[1-9]\d*)|\+\d{1,6}"))
DIGITS = Style("integer", "whole numbers", partial(_integers, r"[-+]?\d+(?:\.0*)?"))
POINT_ZERO = Style(
    "integer",
    "whole numbers with .0, as where some are missing",
    partial(_integers, r"-?(?:0|[1-9]\d*)\.0+"),
)
POINT, COMMA, BLANK = r"\.", ",", "[ \u00a0\u2009\u202f'’]"
NUMBERS = [
    Style("number", f"numbers{like}", partial(_numbers, group, point), f"decimal {point}")
    for like, group, point in (
        ("", "", POINT),
        (" like 1,234.56", COMMA, POINT),
        (" like 1234,56", "", COMMA),
        (" like 1.234,56", POINT, COMMA),
        (" like 1 234.56", BLANK, POINT),
        (" like 1 234,56", BLANK, COMMA),
    )
]
Y, M, D = r"(?P<y>\d{4})", r"(?P<m>\d\d?)", r"(?P<d>\d\d?)"
SHORT, WORD = r"(?P<y>\d\d)", r"(?P<m>[a-zA-Zä]{3,9})\.?"
COMPACT = Style("datetime", "dates like 20241231", partial(_dates, Y + r"(?P<m>\d\d)(?P<d>\d\d)"))
DATES = [
    Style("datetime", "dates like 2024-12-31", partial(_times, ISO)),
    Style("datetime", "times with a zone, in UTC now", partial(_times, ISO + ZONE)),
    *(
        Style("datetime", f"dates like {like}", partial(_dates, pattern), order)
        for like, pattern, order in (
            ("2024/12/31", f"{Y}[-/.]{M}[-/.]{D}", ""),
            ("31.12.2024", rf"{D}\.{M}\.{Y}", ""),
            ("31.12.24", rf"(?P<d>\d\d)\.(?P<m>\d\d)\.{SHORT}", ""),
            ("12/31/2024", f"{M}/{D}/{Y}", "month first"),
            ("31/12/2024", f"{D}/{M}/{Y}", "day first"),
            ("12-31-2024", f"{M}-{D}-{Y}", "month first"),
            ("31-12-2024", f"{D}-{M}-{Y}", "day first"),
            ("12/31/24", f"{M}/{D}/{SHORT}", "month first"),
            ("31/12/24", f"{D}/{M}/{SHORT}", "day first"),
            ("31 Dec 2024", rf"{D}\.?[ -]{WORD}[ -]{Y}", ""),
            ("Dec 31, 2024", f"{WORD} {D},? {Y}", ""),
        )
    ),
]
