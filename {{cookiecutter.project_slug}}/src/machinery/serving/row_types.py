"""row_types: the contract in; msgspec's type of a row, and the words for its columns, out."""

import re
from collections.abc import Sequence
from datetime import datetime
from math import ceil, floor
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from machinery.pipeline.data.contract import Column, Range
from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT

ODD = re.compile(r'["\\\x00-\x1f]')
MAX_TEXT = 1000  # characters of one value
SHOWN_VALUES = 20


def row_type(
    names: Sequence[str], columns: Sequence[Column], *, whole: bool
) -> type[msgspec.Struct]:
    """A type whose fields are named by number, since a column may be named as no Python name is.

    A row that is `whole` has all of them; of another, those that may be null may be left out.

    Raises:
        UserError: naming a column whose name JSON would have to escape, which msgspec cannot.
    """
    if odd := [name for name in names if ODD.search(name)]:
        reason = "has a quote, a backslash or a control character"
        raise UserError(f"{CONTRACT}: the name of {odd[0]!r} {reason}; rename it to serve a model")
    fields: list[Any] = []
    for at, column in enumerate(columns):
        kind = _type(column)
        if column.nullable and not whole:
            fields.append((f"c{at}", kind | None | UnsetType, UNSET))
        else:
            fields.append((f"c{at}", kind | None if column.nullable else kind))
    rename = {f"c{at}": name for at, name in enumerate(names)}
    return msgspec.defstruct(
        "Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _type(column: Column) -> Any:
    allowed = column.allowed
    low, high = (allowed.min, allowed.max) if isinstance(allowed, Range) else (None, None)
    match column.type:
        case "number":
            return Annotated[float, Meta(ge=low, le=high)] if isinstance(allowed, Range) else float
        case "integer":  # may be written 3.0, so that is made an integer later
            least = -(2**63) if low is None else ceil(low)
            most = 2**63 - 1 if high is None else floor(high)
            whole = Meta(ge=least, lt=2.0**63) if high is None else Meta(ge=least, le=most)
            return Annotated[int, Meta(ge=least, le=most)] | Annotated[float, whole]
        case "boolean":
            return bool
        case "datetime":
            return Annotated[datetime, Meta(tz=False)]
        case _ if isinstance(allowed, list):
            return Literal[tuple(str(value) for value in allowed)]
        case _:
            return Annotated[str, Meta(max_length=MAX_TEXT)]


def expected(column: Column) -> str:
    """What a value of the column must be, in words."""
    unit = f" {column.unit}" if column.unit else ""
    match column.type, column.allowed:
        case _, list(values):
            shown = ", ".join(str(value) for value in values[:SHOWN_VALUES])
            words = f"one of {shown}{', …' * (len(values) > SHOWN_VALUES)}"
        case "number" | "integer" as kind, Range(min=low, max=high) if (low, high) != (None, None):
            ends = [f"from {low:.15g}"] * (low is not None)
            ends += [f"to {high:.15g}"] * (high is not None)
            words = f"a{'n' * (kind == 'integer')} {kind} {' '.join(ends)}{unit}"
        case "number", _:
            words = f"a number{f' of{unit}' if unit else ''}"
        case "integer", _:
            words = f"an integer{f' of{unit}' if unit else ''}"
        case "boolean", _:
            words = "true or false"
        case "datetime", _:
            words = "a date and time without time zone, such as 2026-01-31T06:00:00"
        case _:
            words = f"a text of at most {MAX_TEXT} characters"
    return f"{words}, or null" if column.nullable else words
