"""Decide the type of each column, with the reason.

A text column gets a type if all its values are written in one style. If two styles fit, another
column of the table decides, provided its values fit only one of them.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from keyword import iskeyword
from typing import NamedTuple, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError

from .plan import RawTable, Type, TypedColumn
from .styles import SAMPLE, Style, Values, coded, split_unit, styles

WORDS = "na n/a n.a. nan null none nil - -- ? . #n/a #na <na> #null! #div/0! #value! #ref!".split()
MISSING = ["", "NaN", *(form(word) for word in WORDS for form in (str.lower, str.upper, str.title))]
EXAMPLES = 3
MAX_NAME = 60
NATIVE: dict[Type, Callable[[pa.DataType], bool]] = {
    "boolean": pa.types.is_boolean,
    "integer": lambda kind: bool(pa.types.is_integer(kind) and kind != pa.uint64()),
    "number": pa.types.is_floating,
    "datetime": lambda kind: bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind)),
}


class Reading(NamedTuple):
    """A style that all values of a column have, and the values read in it."""

    style: Style
    values: Values


class Readings(NamedTuple):
    """A column with blank-like words as nulls, and the one or two ways to read it, if any."""

    values: Values
    ways: list[Reading]
    unit: str | None
    notes: list[str]


def typed(
    table: pa.Table, overrides: Mapping[str, str], *, strict: bool = False
) -> list[TypedColumn]:
    """Give each column a type, and a name that is a Python identifier.

    Args:
        table: the columns as read, with unique names.
        overrides: the required type of a column, by its header or its new name.
        strict: refuse ambiguous values, and show none in messages.

    Raises:
        UserError: for an unknown column, or a value that does not have the required type.
    """
    names = dict(zip(table.column_names, python_names(table.column_names), strict=True))
    for name, kind in overrides.items():
        if name not in names and name not in names.values():
            raise UserError(f"--set {name}.type={kind}: the table has no column {name}")
        if kind not in get_args(Type):
            raise UserError(f"--set {name}.type={kind}: a type is {', '.join(get_args(Type))}")
    forced = [overrides.get(header, overrides.get(name, "")) for header, name in names.items()]
    with ThreadPoolExecutor() as pool:
        columns = [*pool.map(_readings, table.columns, forced)]
    conventions = {column.ways[0].style.convention for column in columns if len(column.ways) == 1}
    return [
        _decide(header, column, kind, conventions - {""}, strict)._replace(name=name)
        for (header, name), column, kind in zip(names.items(), columns, forced, strict=True)
    ]


def convert(raw: RawTable, contract: Contract) -> RawTable:
    """Give a later table the column names and types of the contract, by the same rules.

    The key and columns that are only known after the prediction may be missing.

    Raises:
        UserError: naming the missing columns, or a value that does not have its type.
    """
    table = raw.table.rename_columns(python_names(raw.table.column_names))
    names, columns = table.column_names, contract.columns
    if missing := [
        name for name in contract.known_before() if name not in names and name != contract.key
    ]:
        raise UserError(f"the table lacks {', '.join(missing)}, which contract.yaml describes")
    notes = [
        f"{name} is left out because contract.yaml does not describe it."
        for name in names
        if name not in columns
    ]
    notes += [f"{name} is not in the table." for name in columns if name not in names]
    kinds = {name: column.type for name, column in columns.items() if name in names}
    results = typed(table.select([*kinds]), kinds, strict=True)
    for column in results:
        unit = columns[column.header].unit
        if unit != column.unit and (column.unit or unit == "%"):
            written = f"in {column.unit}" if column.unit else "without unit"
            declared = f"but contract.yaml says {unit or 'none'}; compare the values."
            notes.append(f"{column.header} is written {written}, {declared}")
    table = pa.table({column.header: column.values for column in results})
    return RawTable(table, [*raw.notes, *notes])


def python_names(headers: Sequence[str]) -> list[str]:
    """A unique identifier for each header, in order; a header that is one stays as it is."""
    names = {
        header: header
        for header in headers
        if header.isidentifier()
        and not iskeyword(header)
        and unicodedata.is_normalized("NFKC", header)  # as Python will read it
    }
    for number, header in enumerate(headers, 1):
        if header not in names:
            letters = unicodedata.normalize("NFKD", header.casefold()).encode("ascii", "ignore")
            plain = re.sub(r"\W+", "_", letters.decode()).strip("_")[:MAX_NAME].rstrip("_")
            if not plain or plain[0].isdigit():
                plain = f"column_{plain or number}"
            names[header] = unique(plain + "_" * iskeyword(plain), names.values())
    return [names[header] for header in headers]


def unique(name: str, names: Collection[str]) -> str:
    """The name, with a number appended if it is among the names."""
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name}_{number}"
    return free


def as_text(values: Values) -> Values:
    """The values as strings; nested ones as JSON."""
    try:
        return values.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [
            None if value is None else json.dumps(value, default=str)
            for value in values.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])


def _readings(values: Values, forced: str) -> Readings:
    """Find the styles that all values have."""
    kind = next((kind for kind, matches in NATIVE.items() if matches(values.type)), None)
    if kind and forced in ("", kind):
        name = f"{values.type} in the source"
        if kind == "number":
            values = pc.if_else(pc.is_nan(values), None, values)
        elif pa.types.is_timestamp(values.type) and values.type.tz:
            values = values.cast(pa.timestamp("us", "UTC"), safe=False)
            name = f"{name}, now in UTC"
        values = values.cast(arrow_type(kind), safe=False)
        return Readings(values, [Reading(Style(kind, name, as_text), values)], None, [])
    trimmed = pc.utf8_trim_whitespace(as_text(values))
    missing = pc.is_in(trimmed, pa.array(MISSING))
    words = [repr(word) for word in trimmed.filter(missing).unique().to_pylist() if word]
    notes = [f"{', '.join(words)} taken as missing"] if words else []
    texts = pc.if_else(missing, None, trimmed)
    if texts.null_count == len(texts):
        empty = Style(cast(Type, forced or "string"), "every value is missing", as_text)
        return Readings(texts, [Reading(empty, texts)], None, [])
    unit, bare = split_unit(texts) if forced in ("", "integer", "number") else (None, texts)
    ways = _ways(bare, forced or ("number" if unit else ""))
    if unit and not ways and not forced:
        unit, bare, ways = None, texts, _ways(texts, forced)
    if not ways and not forced:
        notes = [_why_text(texts), *notes]
    return Readings(bare, ways, unit, notes)


def _ways(texts: Values, forced: str) -> list[Reading]:
    """The styles of one type that all texts have: the first of each convention, at most two."""
    sample = texts.drop_null()[:SAMPLE]
    ways: dict[str, Reading] = {}
    for style in styles(forced, texts):
        if "" in ways or any(way.style.kind != style.kind for way in ways.values()):
            break
        if style.convention in ways or style.read(sample).null_count:
            continue
        values = style.read(texts)
        constant = style.kind == "boolean" and not forced and len(values.drop_null().unique()) < 2
        if values.null_count == texts.null_count and not constant:
            ways[style.convention] = Reading(style, values)
    readings = [*ways.values()]
    if len(readings) == 2 and readings[0].values.equals(readings[1].values):  # shows neither
        return [readings[0]._replace(style=readings[0].style._replace(convention=""))]
    return readings


def _decide(
    header: str, column: Readings, forced: str, conventions: Collection[str], strict: bool
) -> TypedColumn:
    """Read the column in the style of the other columns' convention, or else in the first."""
    values, ways, unit, notes = column
    kind: Type = "string"
    if len(ways) > 1:
        likely = [way for way in ways if way.style.convention in conventions]
        first, second = (way.style.name for way in ways)
        if len(likely) == 1:
            ways, notes = likely, ["as other columns are written", *notes]
        elif strict and first != "numbers":
            remedy = "write dates as 2024-12-31 and numbers as 1234.5"
            raise UserError(f"{header} may contain {first} or {second}; {remedy}")
        else:
            notes = [f"they could also be {second}", *notes]
    if ways:
        style, values = ways[0]
        kind = "integer" if pa.types.is_integer(values.type) else style.kind
        notes = [style.name, *notes]
    elif forced not in ("", "string", "category"):
        misfit = _misfits(values, forced)[1][0]
        value = "a value" if strict else repr(misfit.as_py())
        place = f"{header} has {value} in row {pc.index(values, misfit).as_py() + 1}"
        raise UserError(f"{place}, which is not of type {forced}; correct it there")
    if forced:
        kind, notes = cast(Type, "string" if forced == "category" else forced), [*notes, "as set"]
    reason = "; ".join(notes)
    reason = f"{reason[0].upper()}{reason[1:]}."
    values = values.cast(arrow_type(kind), safe=False)
    return TypedColumn(header, header, kind, values, reason, unit)


def _misfits(texts: Values, forced: str) -> tuple[str, Values]:
    """The most common style of the first texts, and all texts written in another."""
    sample = texts.drop_null()[:SAMPLE]
    style = min(styles(forced, sample), key=lambda style: style.read(sample).null_count)
    return style.name, texts.filter(pc.and_(style.read(texts).is_null(), texts.is_valid()))


def _why_text(texts: Values) -> str:
    """Why no other type fits."""
    if pc.all(pc.match_substring_regex(texts, r"^[-+]?\d+$")).as_py() and coded(texts):
        return "codes, because some begin with 0 or +"
    style, misfits = _misfits(texts, "")
    if not 0 < 2 * len(misfits) <= len(texts) - texts.null_count:
        return "text"
    examples = ", ".join(map(repr, misfits.unique()[:EXAMPLES].to_pylist()))
    return f"text: most are {style}, but not {examples}"
