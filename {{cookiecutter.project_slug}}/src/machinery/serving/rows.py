"""Decode and validate the rows of a request body, and turn them into columns.

msgspec decodes and validates in one pass, by a type that is generated from the contract. The same
type describes a row in the OpenAPI document.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw
from msgspec.json import Decoder, decode

from machinery.pipeline.data.contract import Column, Contract, Range
from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT

MAX_STRING = 1000  # characters of one value
MAX_SHOWN = 20  # values listed in an error
MAX_EXAMPLE = 40  # characters shown of a wrong value
DATETIME = (  # without a time zone, so it is not a date-time of RFC 3339
    "^([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|[12][0-9](0[48]|[2468][048]|[13579][26])-02-29)"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
)
ESCAPED = re.compile(r'["\\\x00-\x1f]')
UNREADABLE = msgspec.DecodeError, UnicodeDecodeError, RecursionError
INT64 = -(2**63), 2**63 - 1
WORDS = {
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "datetime": "a date and time without time zone, such as 2026-01-31T06:00:00",
    "string": f"a string of at most {MAX_STRING} characters",
}

Columns = Mapping[str, Sequence[Any]]


class RequestError(Exception):
    """A request that cannot be answered: the status, and one sentence that names the field."""

    def __init__(
        self, status: int, sentence: str, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.row = status, row
        self.sentence = sentence if row is None else f"Row {row}: {sentence}"
        self.field = None if field is None else shown(field)


def shown(text: str) -> str:
    """A string from a client, safe to repeat in a response: not too long, and valid UTF-8."""
    return text[:MAX_STRING].encode("utf-8", "replace").decode()


class Reader:
    """Reads rows with the given columns.

    Every column is required, as null where it is unknown: one that is left out may be misspelt.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        max_rows: int,
        *,
        after: Collection[str] = (),
        optional: Collection[str] = (),
        name: str = "Row",
    ) -> None:
        """Generate the type of a row, which has this `name` in the OpenAPI document.

        Columns in `after` are refused since they are only known after the prediction; those in
        `optional` may be left out.
        """
        self._columns, self._max_rows = columns, max_rows
        self._after, self._optional = after, optional
        self.type = _row_type(name, columns, optional)
        self._decoder = Decoder(self.type | list[self.type])  # type: ignore[name-defined]
        checks = {name: _check(column) for name, column in columns.items()}
        self._checks = {name: check for name, check in checks.items() if check is not None}
        self._integers = [name for name, column in columns.items() if column.type == "integer"]

    def read(self, body: bytes) -> Columns:
        """The rows in the body, one object or a list of them, by column; None where null.

        Raises:
            RequestError: 400 if the body is not JSON, 413 for too many rows, 422 for a row that
                breaks the contract.
        """
        try:
            decoded = self._decoder.decode(body)
        except UNREADABLE:
            raise self._fault(body) from None
        rows = decoded if isinstance(decoded, list) else [decoded]
        if not rows:
            raise RequestError(422, "The list has no rows; send at least one")
        if len(rows) > self._max_rows:
            limit = f"The list has {len(rows)} rows; send at most {self._max_rows} at a time"
            raise RequestError(413, limit)
        values = zip(*map(msgspec.structs.astuple, rows), strict=True)
        columns: dict[str, Sequence[Any]] = dict(zip(self._columns, values, strict=True))
        for name, is_valid in self._checks.items():
            if not all(map(is_valid, columns[name])):
                raise self._fault(body)
        for name in self._integers:
            columns[name] = [None if value is None else int(value) for value in columns[name]]
        return columns

    def _fault(self, body: bytes) -> RequestError:
        """Find the first invalid field of a body."""
        try:
            decoded = decode(body, type=dict[str, Raw] | list[dict[str, Raw]])
            is_list = isinstance(decoded, list)
            for row, fields in enumerate(decoded if is_list else [decoded]):
                for name in [*fields, *self._columns]:
                    if sentence := self._fault_of_field(name, fields):
                        return RequestError(422, sentence, name, row if is_list else None)
        except msgspec.ValidationError:
            return RequestError(422, "A row must be an object like the example in /openapi.json")
        except UNREADABLE as error:
            return RequestError(400, f"The body is not valid JSON: {error}")
        return RequestError(422, "A field occurs twice in a row; send it once")

    def _fault_of_field(self, name: str, fields: Mapping[str, Raw]) -> str | None:
        if name in self._after:
            return f"{name} is only known after the prediction; leave it out"
        if name not in self._columns:
            missing = [column for column in self._columns if column not in fields]
            matches = get_close_matches(shown(name), missing, 1)
            remedy = f"rename it to {matches[0]}" if matches else "leave it out"
            return f"{shown(name)} is not a field of a row (see /openapi.json); {remedy}"
        column = self._columns[name]
        if name not in fields:
            sentence = f"{name} is missing; send {expected(column)}"
            return None if name in self._optional else sentence
        try:
            value = decode(fields[name], type=_type(column))
            if name not in self._checks or self._checks[name](value):
                return None
        except msgspec.ValidationError:
            pass
        text = shown(bytes(fields[name]).decode("utf-8", "replace"))[:MAX_EXAMPLE]
        return f"{name} must be {expected(column)}" + ("" if column.personal else f"; it is {text}")


def _row_type(
    name: str, columns: Mapping[str, Column], optional: Collection[str]
) -> type[msgspec.Struct]:
    """The type of a row; its fields are numbered, since a column may have any name.

    Raises:
        UserError: for a column name that JSON would have to escape, which msgspec cannot.
    """
    fields: list[Any] = []
    for index, (column, of) in enumerate(columns.items()):
        if ESCAPED.search(column):
            reason = "has a quote, a backslash or a control character"
            raise UserError(f"{CONTRACT}: the name of {column!r} {reason}; rename it to serve it")
        unit = f", in {of.unit}" if of.unit else ""
        kind: Any = Annotated[_type(of), Meta(description=f"{of.description}{unit}")]
        fields.append((f"c{index}", kind, *[None] * (column in optional)))
    return msgspec.defstruct(
        name,
        fields,
        rename={f"c{index}": column for index, column in enumerate(columns)},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def feedback_columns(contract: Contract) -> dict[str, Column]:
    """The fields of feedback, described like columns."""
    field = partial(Column, unit=None, owner="service", known="after")
    about, position = "The request_id of the answer", "The row's position in the request, from 0"
    positions = Range(min=0, max=2**31 - 1)
    request_id = field(type="string", description=about, allowed=None, nullable=False)
    row = field(type="integer", description=position, allowed=positions, nullable=True)
    return {"request_id": request_id, "row": row, "outcome": contract.columns[contract.target]}


def _type(column: Column) -> Any:
    """The type of a value; `_check` covers what a type cannot express."""
    low, high = _limits(column)
    kind: Any = Annotated[str, Meta(max_length=MAX_STRING)]
    match column.type:
        case "number":
            kind = Annotated[float, Meta(ge=low, le=high)]
        case "integer":  # 3.0 is one in JSON Schema, and pandas writes it so
            types = ["integer", "null"] if column.nullable else "integer"
            schema: Any = {"type": types, "minimum": low, "maximum": high}
            kind = Annotated[int | float, Meta(extra_json_schema=schema)]
        case "boolean":
            kind = bool
        case "datetime":
            schema = {"pattern": DATETIME, "examples": ["2026-01-31T06:00:00"]}
            kind = Annotated[datetime, Meta(tz=False, extra_json_schema=schema)]
        case _ if isinstance(column.allowed, list):
            kind = Literal[tuple(str(value) for value in column.allowed)]
    return kind | None if column.nullable else kind


def _limits(column: Column) -> tuple[float | None, float | None]:
    allowed = column.allowed if isinstance(column.allowed, Range) else Range()
    low, high = INT64 if column.type == "integer" else (None, None)
    return (
        low if allowed.min is None else allowed.min,
        high if allowed.max is None else allowed.max,
    )


def _check(column: Column) -> Callable[[Any], bool] | None:
    """A check of values beyond their type, if the column needs one."""
    if isinstance(column.allowed, list) and column.type not in ("string", "category"):
        return frozenset([*column.allowed, None]).__contains__
    if column.type != "integer":
        return None
    low, high = _limits(column)
    return lambda value: value is None or (low <= value <= high and value == int(value))


def expected(column: Column) -> str:
    """A description of the values that a column accepts."""
    if isinstance(column.allowed, list):
        listed = ", ".join(str(value) for value in column.allowed[:MAX_SHOWN])
        words = f"one of {listed}{', …' * (len(column.allowed) > MAX_SHOWN)}"
    else:
        limits = column.allowed or Range()
        words = WORDS[column.type]
        words += "" if limits.min is None else f" from {limits.min:.15g}"
        words += "" if limits.max is None else f" to {limits.max:.15g}"
        words += f" in {column.unit}" if column.unit else ""
    return f"{words}, or null" if column.nullable else words
