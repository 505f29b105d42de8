"""kinds: columns as given in; the same in the contract's types, each with the reason for it, out.

A column of text gets a type where all its values are written in one style. Where they can be read
in two ways, other columns decide, if their values prove one of the two.
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

from .plan import Given, Type, Typed
from .styles import Style, Values, bare, coded, styles, unit

WORDS = "na n/a n.a. nan null none nil - -- ? . #n/a #na <na> #null! #div/0! #value! #ref!".split()
MISSING = ["", "NaN", *(form(word) for word in WORDS for form in (str.lower, str.upper, str.title))]
SAMPLE = 1_000
EXAMPLES = 3
OWN: dict[Type, Callable[[pa.DataType], bool]] = {
    "boolean": pa.types.is_boolean,
    "integer": pa.types.is_integer,
    "number": pa.types.is_floating,
    "datetime": lambda own: pa.types.is_date(own) or pa.types.is_timestamp(own),
}
LONGEST_NAME = 60


class Reading(NamedTuple):
    """A style in which all values of a column are written, and what they are then."""

    style: Style
    values: Values


class Column(NamedTuple):
    """A column, blank-like words missing, and the one or two ways in which it may be read."""

    values: Values
    readings: list[Reading]
    unit: str | None
    notes: list[str]


def typed(table: pa.Table, overrides: Mapping[str, str], later: bool = False) -> list[Typed]:
    """Give each column a type, and a name that Python can use.

    Args:
        table: columns as they were read, with unique names.
        overrides: a column, by either name, to the type that it must have.
        later: whether the table must be certain by itself, and no value may be shown.

    Raises:
        UserError: naming a column that is not there, or a value that is not of the forced type.
    """
    names = dict(zip(table.column_names, python_names(table.column_names), strict=True))
    for name, kind in overrides.items():
        if name not in names and name not in names.values():
            raise UserError(f"--set {name}.type={kind}: the table has no column {name}")
        if kind not in get_args(Type):
            raise UserError(f"--set {name}.type={kind}: a type is {', '.join(get_args(Type))}")
    forced = [overrides.get(given, overrides.get(name, "")) for given, name in names.items()]
    with ThreadPoolExecutor() as pool:
        columns = [*pool.map(_column, table.columns, forced)]
    proven = {each.readings[0].style.convention for each in columns if len(each.readings) == 1}
    results = []
    for (given, name), column, kind in zip(names.items(), columns, forced, strict=True):
        decided = _decided(given, column, kind, proven - {""}, later)
        results.append(decided._replace(name=name))
    return results


def convert(given: Given, contract: Contract) -> Given:
    """The columns of a later table in the names and types of the contract, by the same rules.

    The key and columns that are known only after the prediction may be missing.

    Raises:
        UserError: naming columns that are missing, or rows whose values do not fit.
    """
    table = given.table.rename_columns(python_names(given.table.column_names))
    names, columns = {*table.column_names}, contract.columns
    if needed := [each for each in contract.known_before() if each not in {*names, contract.key}]:
        raise UserError(f"the table lacks {', '.join(needed)}, which contract.yaml describes")
    unknown = [each for each in table.column_names if each not in columns]
    notes = [f"{each} is left out, for contract.yaml does not describe it." for each in unknown]
    notes += [f"{each} is not in the table." for each in columns if each not in names]
    kinds = {name: each.type for name, each in columns.items() if name in names}
    results = typed(table.select([*kinds]), kinds, later=True)
    for each in results:
        if (unit := columns[each.given].unit) != each.unit and (each.unit or unit == "%"):
            written = f"in {each.unit}" if each.unit else "without unit"
            but = f"but contract.yaml says {unit or 'none'}; compare the values."
            notes.append(f"{each.given} is written {written}, {but}")
    return Given(pa.table({each.given: each.values for each in results}), [*given.notes, *notes])


def python_names(given: Sequence[str]) -> list[str]:
    """The names as identifiers, unique and no keywords, in order; what is one stays."""
    names = {
        name: name
        for name in given
        if name.isidentifier()
        and not iskeyword(name)
        and unicodedata.is_normalized("NFKC", name)  # as Python will read it
    }
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
        texts = [
            None if each is None else json.dumps(each, default=str) for each in values.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])


def _column(values: Values, forced: str) -> Column:
    """Find the styles in which all values are written."""
    own = _own(values)
    if own is not None and forced in ("", own.style.kind):
        return Column(values, [own], None, [])
    trimmed = pc.utf8_trim_whitespace(as_text(values))
    missing = pc.is_in(trimmed, pa.array(MISSING))
    words = [repr(word) for word in trimmed.filter(missing).unique().to_pylist() if word]
    notes = [f"{', '.join(words)} taken as missing"] if words else []
    texts = pc.if_else(missing, None, trimmed)
    if texts.null_count == len(texts):
        empty = Style(cast(Type, forced or "string"), "every value is missing", as_text)
        return Column(texts, [Reading(empty, texts)], None, [])
    mark = unit(texts.drop_null()[:SAMPLE]) if forced in ("", "integer", "number") else None
    if mark and (without := bare(texts, mark)).null_count == texts.null_count:
        readings = _readings(without, forced or "number")
        if readings or forced:
            return Column(without, readings, mark, notes)
    readings = _readings(texts, forced)
    if not readings and not forced:
        notes = [_why_text(texts), *notes]
    return Column(texts, readings, None, notes)


def _readings(texts: Values, forced: str) -> list[Reading]:
    """The styles of one type that all texts have: the first of a convention, two at most."""
    few = texts.drop_null()[:SAMPLE]
    readings: dict[str, Reading] = {}
    for style in styles(forced, few, bool(texts.null_count)):
        if "" in readings or any(one.style.kind != style.kind for one in readings.values()):
            break
        if style.convention in readings or style.read(few).null_count:
            continue
        values = style.read(texts)
        constant = style.kind == "boolean" and not forced and len(values.drop_null().unique()) < 2
        if values.null_count == texts.null_count and not constant:
            readings[style.convention] = Reading(style, values)
    some = [*readings.values()]
    if len(some) == 2 and some[0].values.equals(some[1].values):  # it proves neither
        return [some[0]._replace(style=some[0].style._replace(convention=""))]
    return some


def _decided(
    given: str, column: Column, forced: str, proven: Collection[str], later: bool
) -> Typed:
    """The column in its type: in the style whose convention is proven, or else in the first."""
    values, readings, mark, notes = column
    kind: Type = "string"
    if len(readings) > 1:
        favoured = [one for one in readings if one.style.convention in proven]
        first, second = (one.style.name for one in readings)
        if len(favoured) == 1:
            readings, notes = favoured, ["as other columns are written", *notes]
        elif later and first != "numbers":
            cure = "write dates as 2024-12-31 and numbers as 1234.5"
            raise UserError(f"{given} may hold {first} or {second}; {cure}")
        else:
            notes = [f"they could be {second} as well", *notes]
    if readings:
        style, values = readings[0]
        kind = "integer" if pa.types.is_integer(values.type) else style.kind
        notes = [style.name, *notes]
    elif forced not in ("", "string", "category"):
        misfit = _misfits(values, forced)[1][0]
        shown = "a value" if later else repr(misfit.as_py())
        row = pc.index(values, misfit).as_py() + 1
        raise UserError(f"{given} has {shown} in row {row}, which is no {forced}; correct it there")
    if forced:
        kind, notes = cast(Type, "string" if forced == "category" else forced), [*notes, "as set"]
    reason = "; ".join(notes)
    reason = f"{reason[0].upper()}{reason[1:]}."
    return Typed(given, given, kind, values.cast(arrow_type(kind), safe=False), reason, mark)


def _misfits(texts: Values, forced: str) -> tuple[str, Values]:
    """The style that most of the first texts have, and all texts that do not have it."""
    few = texts.drop_null()[:SAMPLE]
    style = min(styles(forced, few), key=lambda style: style.read(few).null_count)
    return style.name, texts.filter(pc.and_(style.read(texts).is_null(), texts.is_valid()))


def _why_text(texts: Values) -> str:
    """Why the texts get no other type."""
    if pc.all(pc.match_substring_regex(texts, r"^[-+]?\d+$")).as_py() and coded(texts):
        return "codes, for some begin with 0 or +"
    style, others = _misfits(texts, "")
    if not 0 < 2 * len(others) <= len(texts) - texts.null_count:
        return "text"
    shown = ", ".join(map(repr, others.unique()[:EXAMPLES].to_pylist()))
    return f"text: most are {style}, but not {shown}"


def _own(values: Values) -> Reading | None:
    """The column in the type that it has where it comes from; None where our rules decide."""
    own, name = values.type, f"{values.type} where it comes from"
    kind = next((kind for kind, is_own in OWN.items() if is_own(own)), None)
    if kind is None or own == pa.uint64():
        return None
    if kind == "number":
        values = pc.if_else(pc.is_nan(values), None, values)
    if pa.types.is_timestamp(own) and own.tz:
        values, name = values.cast(pa.timestamp("us", "UTC"), safe=False), f"{name}, in UTC now"
    return Reading(Style(kind, name, as_text), values.cast(arrow_type(kind), safe=False))
