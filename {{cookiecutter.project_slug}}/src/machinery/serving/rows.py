"""rows: the contract's columns and the body of a request in; its rows by column out.

msgspec decodes and validates in one pass, by a type that is generated from the contract. The same
type describes a row in the OpenAPI document.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import ceil, floor
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from machinery.pipeline.data.contract import Column, Contract, Range
from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT

MAX_STRING = 1000  # characters of one value
MAX_SHOWN = 20  # values that an error names
DATETIME = (  # without a time zone, so it is not a date-time of RFC 3339
    "^([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|[12][0-9](0[48]|[2468][048]|[13579][26])-02-29)"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
)
ESCAPED = re.compile(r'["\\\x00-\x1f]')
# msgspec's messages may quote the client, so only their beginning and their end are trusted.
PLACE = re.compile(r".* - at `\$(?:\[(\d+)\])?(?:\.(.*))?`", re.DOTALL)
FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
LIST = re.compile(rb"[ \t\r\n]*\[")

Columns = Mapping[str, Sequence[Any]]


class RequestError(Exception):
    """A request that cannot be answered: the status, and one sentence naming the field."""

    def __init__(
        self, status: int, sentence: str, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.row = status, sentence, row
        self.field = None if field is None else shown(field)


def shown(text: str) -> str:
    """A string from a client, safe to repeat in an answer: not too long, and in UTF-8."""
    return text[:MAX_STRING].encode("utf-8", "replace").decode()


class Reader:
    """Reads rows of some columns; those in `after` are refused as known only later."""

    def __init__(
        self,
        columns: Mapping[str, Column],
        max_rows: int,
        after: Iterable[str] = (),
        name: str = "Row",
    ) -> None:
        """`name` is what the OpenAPI document calls a row."""
        self._names, self._max_rows, self._after = list(columns), max_rows, frozenset(after)
        self._expected = {name: expected(column) for name, column in columns.items()}
        self.type = row_type(name, columns)
        self._one = msgspec.json.Decoder(self.type)
        self._many = msgspec.json.Decoder(list[self.type])  # type: ignore[name-defined]
        self._integers = [name for name, each in columns.items() if each.type == "integer"]
        self._checks: dict[str, Callable[[Any], bool]] = {}  # what a type cannot say
        for name, column in columns.items():
            if isinstance(column.allowed, list) and column.type not in ("string", "category"):
                self._checks[name] = frozenset(column.allowed).__contains__
            elif column.type == "integer":
                self._checks[name] = _is_whole

    def read(self, body: bytes) -> Columns:
        """The rows in the body, one object or a list of them, by column; None where left out.

        Raises:
            RequestError: 400 for what is not JSON, 413 for too many rows, 422 for a row that breaks
                the contract.
        """
        many = LIST.match(body) is not None
        try:
            decoded = self._many.decode(body) if many else [self._one.decode(body)]
        except msgspec.ValidationError as error:
            self._refuse(str(error), many)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(400, f"The body is not valid JSON: {error}") from None
        if not decoded:
            raise RequestError(422, "The list holds no row; give at least one")
        if len(decoded) > self._max_rows:
            raise RequestError(
                413, f"The list holds {len(decoded)} rows; give at most {self._max_rows} at a time"
            )
        values = zip(*map(msgspec.structs.astuple, decoded), strict=True)
        columns: dict[str, Sequence[Any]] = dict(zip(self._names, values, strict=True))
        for name, is_right in self._checks.items():
            for row, value in enumerate(columns[name]):
                if value is not None and not is_right(value):
                    raise self._wrong(name, row if many else None)
        for name in self._integers:
            columns[name] = [None if value is None else int(value) for value in columns[name]]
        return columns

    def _refuse(self, message: str, many: bool) -> NoReturn:
        """Turn msgspec's message into a sentence about the column and the row."""
        place = PLACE.fullmatch(message) if many or not message.startswith("Object ") else None
        row = int(place[1]) if place and place[1] else None
        where = f"Row {row}: " if row is not None else ""
        what = message if row is None else message.removesuffix(f" - at `$[{row}]`")
        if field := FIELD.fullmatch(what):
            name = field[2]
            unknown = field[1] == "contains unknown"
            sentence = self._unknown(name) if unknown else self._missing(name)
            raise RequestError(422, where + sentence, name, row)
        if place is None or place[2] is None:
            must = "each row must be" if many else "the body must be"
            raise RequestError(
                422, f"{where}{must} an object such as the examples in /openapi.json"
            )
        raise self._wrong(place[2], row)

    def _missing(self, name: str) -> str:
        return f"{name} is missing; give {self._expected[name]}"

    def _unknown(self, name: str) -> str:
        if name in self._after:
            return f"{name} is known only after the prediction is made; leave it out"
        return f"{shown(name)} is not a field of a row (see /openapi.json); leave it out"

    def _wrong(self, name: str, row: int | None) -> RequestError:
        where = f"Row {row}: " if row is not None else ""
        wanted = self._expected.get(name, "as contract.yaml says")
        return RequestError(422, f"{where}{name} must be {wanted}", name, row)


def _is_whole(value: float) -> bool:
    return value == int(value)  # 3.0 is an integer in JSON Schema, and pandas writes it so


def row_type(name: str, columns: Mapping[str, Column], about: str = "") -> type[msgspec.Struct]:
    """The type of a row; columns that may be null may be left out.

    Its fields are numbered, since the name of a column need not be one of Python.

    Raises:
        UserError: naming a column whose name JSON would have to escape, which msgspec cannot.
    """
    for column in columns:
        if ESCAPED.search(column):
            reason = "has a quote, a backslash or a control character"
            raise UserError(f"{CONTRACT}: the name of {column!r} {reason}; rename it to serve it")
    fields: list[Any] = []
    for at, column_ in enumerate(columns.values()):
        described: Any = Annotated[_type(column_), _described(column_)]
        fields.append((f"c{at}", described, *[None] * column_.nullable))
    return msgspec.defstruct(
        name,
        fields,
        rename={f"c{at}": column for at, column in enumerate(columns)},
        namespace={"__doc__": about},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def feedback_columns(contract: Contract) -> dict[str, Column]:
    """The fields of feedback, described as columns are."""
    plain: Any = {"unit": None, "owner": "service", "known": "after"}
    about, place = "The request_id of the answer", "The row's place in the request, from 0"
    places = Range(min=0, max=2**31 - 1)
    request_id = Column(type="string", description=about, allowed=None, nullable=False, **plain)
    row = Column(type="integer", description=place, allowed=places, nullable=True, **plain)
    return {"request_id": request_id, "row": row, "outcome": contract.columns[contract.target]}


def _described(column: Column) -> Meta:
    unit = f", in {column.unit}" if column.unit else ""
    description = f"{column.description}{unit}"
    if column.type != "integer":
        return Meta(description=description)
    kinds = ["integer", "null"] if column.nullable else "integer"  # not any float
    return Meta(description=description, extra_json_schema={"type": kinds})


def _type(column: Column) -> Any:
    kind = _present(column)
    return kind | None if column.nullable else kind


def _present(column: Column) -> Any:
    allowed = column.allowed
    low, high = (allowed.min, allowed.max) if isinstance(allowed, Range) else (None, None)
    match column.type:
        case "number":
            return Annotated[float, Meta(ge=low, le=high)] if isinstance(allowed, Range) else float
        case "integer":  # or a float such as 3.0, which becomes an integer later
            least = -(2**63) if low is None else ceil(low)
            most = 2**63 - 1 if high is None else floor(high)
            whole = Meta(ge=least, lt=2.0**63) if high is None else Meta(ge=least, le=most)
            return Annotated[int, Meta(ge=least, le=most)] | Annotated[float, whole]
        case "boolean":
            return bool
        case "datetime":
            schema = {"pattern": DATETIME, "examples": ["2026-01-31T06:00:00"]}
            return Annotated[datetime, Meta(tz=False, extra_json_schema=schema)]
        case _ if isinstance(allowed, list):
            return Literal[tuple(str(value) for value in allowed)]
        case _:
            return Annotated[str, Meta(max_length=MAX_STRING)]


def expected(column: Column) -> str:
    """What a value of the column must be, in words."""
    unit = f" {column.unit}" if column.unit else ""
    match column.type, column.allowed:
        case _, list(values):
            named = ", ".join(str(value) for value in values[:MAX_SHOWN])
            words = f"one of {named}{', …' * (len(values) > MAX_SHOWN)}"
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
            words = f"a string of at most {MAX_STRING} characters"
    return f"{words}, or null" if column.nullable else words
