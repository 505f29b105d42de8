"""kinds: columns as given in; the same in the contract's types, each with the reason for it, out.

A column of text gets a type where all its values are written in one style. Where they can be read
in two ways, other columns decide, if their values prove one of the two.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from keyword import iskeyword
from typing import NamedTuple, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError

from .plan import Given, Type, Typed
from .styles import NUMBERS, Style, Values, styles, unit

WORDS = "na n/a n.a. nan null none nil - -- ? . #n/a #na <na> #null! #div/0! #value! #ref!".split()
MISSING = ["", "NaN", *(form(word) for word in WORDS for form in (str.lower, str.upper, str.title))]
SAMPLE = 1_000
EXAMPLES = 3
LONGEST_NAME = 60


class Reading(NamedTuple):
    """A style in which all values of a column are written, and what they are then."""

    style: Style
    values: Values


class Column(NamedTuple):
    """A column of text, blank-like words missing, and how it may be read."""

    given: str
    forced: str
    texts: Values
    readings: list[Reading]
    unit: str | None
    notes: list[str]


def typed(table: pa.Table, overrides: Mapping[str, str]) -> list[Typed]:
    """Give each column a type, and a name that Python can use.

    Args:
        table: columns as they were read, with unique names.
        overrides: a column, by either name, to the type that it must have.

    Raises:
        UserError: naming a column that is not there, or a value that is not of the forced type.
    """
    names = dict(zip(table.column_names, python_names(table.column_names), strict=True))
    forced = {given: overrides.get(given, overrides.get(names[given], "")) for given in names}
    for name, kind in overrides.items():
        if name not in names and name not in names.values():
            raise UserError(f"--set {name}.type={kind}: the table has no column {name}")
        if kind not in get_args(Type):
            raise UserError(f"--set {name}.type={kind}: a type is {', '.join(get_args(Type))}")
    return [each._replace(name=names[each.given]) for each in _typed(table, forced)]


def convert(given: Given, contract: Contract) -> Given:
    """The columns of a later table in the names and types of the contract, by the same rules.

    The key and columns that are known only after the prediction may be missing.

    Raises:
        UserError: naming columns that are missing, or values that do not fit.
    """
    table = given.table.rename_columns(python_names(given.table.column_names))
    names, columns = {*table.column_names}, contract.columns
    if needed := [each for each in contract.known_before() if each not in {*names, contract.key}]:
        raise UserError(f"the table lacks {', '.join(needed)}, which contract.yaml describes")
    unknown = [each for each in table.column_names if each not in columns]
    notes = [f"{each} is left out, for contract.yaml does not describe it." for each in unknown]
    notes += [f"{each} is not in the table." for each in columns if each not in names]
    kinds = {name: each.type for name, each in columns.items() if name in names}
    hidden = [name for name in kinds if columns[name].personal]
    results = _typed(table.select([*kinds]), kinds, hidden, later=True)
    return Given(pa.table({each.given: each.values for each in results}), [*given.notes, *notes])


def python_names(given: Sequence[str]) -> list[str]:
    """The names as identifiers, unique and no keywords, in order; what is one stays."""
    names = {name: name for name in given if _is_usable(name)}
    for number, name in enumerate(given, 1):
        if name not in names:
            letters = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore")
            plain = re.sub(r"\W+", "_", letters.decode()).strip("_")[:LONGEST_NAME].rstrip("_")
            if not plain or plain[0].isdigit():
                plain = f"column_{plain or number}"
            names[name] = unique(plain + "_" * iskeyword(plain), names.values())
    return [names[name] for name in given]


def unique(name: str, others: Collection[str]) -> str:
    """The name, with a number behind it where others have it."""
    number, free = 1, name
    while free in others:
        number += 1
        free = f"{name}_{number}"
    return free


def as_text(values: Values) -> Values:
    """The values as strings; what is nested, as JSON."""
    try:
        return values.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        each = (
            None if value is None else json.dumps(value, default=str)
            for value in values.to_pylist()
        )
        return pa.chunked_array([pa.array(each, pa.string())])


def _is_usable(name: str) -> bool:
    same = unicodedata.normalize("NFKC", name) == name  # as Python will read it
    return name.isidentifier() and not iskeyword(name) and same


def _typed(
    table: pa.Table, forced: Mapping[str, str], hidden: Collection[str] = (), later: bool = False
) -> list[Typed]:
    """The columns in their types, under the names given.

    `hidden` are those whose values are not shown; a `later` table must be certain by itself.

    Raises:
        UserError: naming each value that is not of the forced type.
    """

    def column(name: str) -> Column:
        return _column(name, table[name], forced.get(name, ""))

    with ThreadPoolExecutor() as pool:
        columns = [*pool.map(column, table.column_names)]
    proven = {each.readings[0].style.convention for each in columns if len(each.readings) == 1}
    results, faults = [], []
    for each in columns:
        try:
            results.append(_decided(each, proven - {""}, each.given in hidden, later))
        except UserError as fault:
            faults.append(str(fault))
    if faults:
        raise UserError("; ".join(faults))
    return results


def _column(given: str, values: Values, forced: str) -> Column:
    """Find the styles in which all values are written."""
    own = _own(values)
    if own is not None and forced in ("", own.style.kind):
        return Column(given, forced, values, [own], None, [])
    whole = as_text(values)
    trimmed = pc.utf8_trim_whitespace(whole)
    missing = pc.is_in(trimmed, pa.array(MISSING))
    words = [repr(word) for word in trimmed.filter(missing).unique().to_pylist() if word]
    notes = [f"{', '.join(words)} taken as missing"] if words else []
    if pc.any(pc.not_equal(trimmed, whole)).as_py():
        notes.append("blanks around values are left out")
    texts = pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
    few = texts.drop_null()[:SAMPLE]
    if not len(few):
        empty = Style(cast(Type, forced or "string"), "every value is missing", as_text)
        return Column(given, forced, texts, [Reading(empty, texts)], None, [])
    mark = unit(few)
    tried = styles(forced, mark, some_missing=bool(texts.null_count))
    readings = _readings(texts, few, tried, forced)
    if not readings and not forced:
        notes = [_why_text(texts, few, tried), *notes]
    return Column(given, forced, texts, readings, (mark or None) if readings else None, notes)


def _readings(texts: Values, few: Values, tried: list[Style], forced: str) -> list[Reading]:
    """The styles of one type that all texts have; those that give the same values are one."""
    readings: list[Reading] = []
    for style in tried:
        if readings and (readings[0].style.kind != style.kind or not readings[0].style.convention):
            break
        sample = style.read(few)
        if sample.null_count or any(
            one.style.convention == style.convention and one.style.read(few).equals(sample)
            for one in readings
        ):
            continue
        values = style.read(texts)
        constant = style.kind == "boolean" and not forced and len(values.unique().drop_null()) < 2
        if values.null_count > texts.null_count or constant:
            continue
        if readings and readings[0].values.equals(values):
            readings[0] = Reading(readings[0].style._replace(convention=""), values)
        else:
            readings.append(Reading(style, values))
    return readings


def _decided(column: Column, proven: Collection[str], hidden: bool, later: bool) -> Typed:
    """The column in its type: in the style whose convention is proven, or else in the first.

    Raises:
        UserError: when no value but one of another type is there, or two styles in a later table.
    """
    given, forced, texts, readings, mark, notes = column
    kind: Type = "string"
    values = texts
    if readings:
        favoured = [one for one in readings if one.style.convention in proven]
        style, values = favoured[0] if len(favoured) == 1 else readings[0]
        others = " or ".join(one.style.name for one in readings if one.style is not style)
        if others and len(favoured) != 1:
            if later and style.name != NUMBERS[0].name:
                cure = "write dates as 2024-12-31 and numbers as 1234.5"
                raise UserError(f"{given} may hold {style.name} or {others}; {cure}")
            notes = [f"they could be {others} as well", *notes]
        elif others:
            notes = ["as other columns are written", *notes]
        kind = "integer" if pa.types.is_integer(values.type) else style.kind
        notes = [style.name, *notes]
    elif forced not in ("", "string", "category"):
        few = texts.drop_null()[:SAMPLE]
        _, misfits = _closest(texts, few, styles(forced, unit(few), some_missing=True))
        shown = "a value" if hidden else repr(misfits[0].as_py())
        row = pc.index(texts, misfits[0]).as_py() + 1
        raise UserError(f"{given} has {shown} in row {row}, which is no {forced}; correct it there")
    if forced:
        kind, notes = cast(Type, "string" if forced == "category" else forced), [*notes, "as set"]
    reason = "; ".join(notes)
    reason = f"{reason[0].upper()}{reason[1:]}."
    return Typed(given, given, kind, values.cast(arrow_type(kind)), reason, mark)


def _closest(texts: Values, few: Values, tried: list[Style]) -> tuple[Style, Values]:
    """The style that fits most of a few texts, and which of all texts it does not fit."""
    style = min(tried, key=lambda style: style.read(few).null_count)
    return style, texts.filter(pc.and_(style.read(texts).is_null(), texts.is_valid())).unique()


def _why_text(texts: Values, few: Values, tried: list[Style]) -> str:
    """Why the texts get no other type."""
    if pc.all(pc.match_substring_regex(texts, r"^[-+]?\d+$")).as_py():
        coded = pc.any(pc.match_substring_regex(texts, "^[-+]?0.")).as_py()
        return "codes, for some begin with 0" if coded else "digits, more than a number holds"
    style, others = _closest(texts, few, tried)
    if 2 * style.read(few).null_count > len(few) or not len(others):
        return "text"
    shown = ", ".join(map(repr, others[:EXAMPLES].to_pylist()))
    more = f" and {len(others) - EXAMPLES} others" if len(others) > EXAMPLES else ""
    return f"text: most are {style.name}, but not {shown}{more}"


def _own(values: Values) -> Reading | None:
    """The column in the type that it has where it comes from; None for text."""
    types, own = pa.types, values.type
    name, whole = f"{own} where it comes from", types.is_decimal(own) and own.scale == 0
    if types.is_boolean(own):
        kind: Type = "boolean"
    elif types.is_integer(own) or whole:
        kind = "integer"
    elif types.is_floating(own):
        kind, values = "number", pc.if_else(pc.is_nan(values), pa.scalar(None, own), values)
    elif types.is_decimal(own):
        kind, values = "number", values.cast(pa.string())  # then to the nearest float
    elif types.is_date(own) or types.is_timestamp(own):
        kind = "datetime"
        if types.is_timestamp(own) and own.tz:
            values, name = values.cast(pa.timestamp("us", "UTC"), safe=False), f"{name}, in UTC now"
    elif types.is_dictionary(own) and types.is_string(own.value_type):
        kind = "string"
    else:
        return None
    try:
        typed = values.cast(arrow_type(kind), safe=kind != "datetime")
    except pa.ArrowInvalid:  # beyond 64 bits
        return None
    return Reading(Style(kind, name, as_text), typed)
