"""rows: a request's body and the contract in; its rows by column, or one sentence, out.

msgspec decodes and validates in one pass, by a type made of the contract: several times faster
than decoding first and validating then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, ValidationError

from ..contract import Column
from .faults import RequestError, look_for_twins, refuse_malformed
from .row_types import MAX_TEXT, expected, row_type

PLACE = re.compile(r" - at `\$(?:\[(\d+)\])?(?:\.(.*))?`$", re.DOTALL)
FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*?)`", re.DOTALL)


class Rows(NamedTuple):
    """The rows of a request, a tuple for each column that was given anywhere."""

    number: int
    columns: dict[str, Sequence[Any]]


class Reader:
    """Reads rows of some columns; those in `after` are refused as known only later."""

    def __init__(
        self, columns: Mapping[str, Column], max_rows: int, after: Iterable[str] = ()
    ) -> None:
        self._max_rows, self._after = max_rows, frozenset(after)
        self.names, known = list(columns), list(columns.values())
        self._expected = {name: expected(column) for name, column in columns.items()}
        row = row_type(self.names, known)
        self._one, self._many = msgspec.json.Decoder(row), msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._colons = [
            1 + name.count(":") + 2 * (column.type == "datetime")
            for name, column in columns.items()
        ]
        self._texts = [at for at, each in enumerate(known) if each.type in ("string", "category")]
        self._times = [at for at, each in enumerate(known) if each.type == "datetime"]
        self._listed = [
            (name, set(column.allowed))
            for name, column in columns.items()
            if isinstance(column.allowed, list) and column.type in ("number", "boolean", "datetime")
        ]

    def read(self, body: bytes) -> Rows:
        """The rows in the body: one object, or a list of them.

        Raises:
            RequestError: 400 for what is no JSON or names a field twice, 413 for too many rows,
                422 for a row that breaks the contract.
        """
        rows, many = self._decode(body)
        if not rows:
            raise RequestError(422, "The list holds no row; give at least one")
        if len(rows) > self._max_rows:
            raise RequestError(
                413, f"The list holds {len(rows)} rows; give at most {self._max_rows} at a time"
            )
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        self._refuse_twins(body, columns, len(rows))
        given = {
            name: _without_unset(column) for name, column in zip(self.names, columns, strict=True)
        }
        self._refuse_unlisted(given, many)
        return Rows(len(rows), given)

    def _decode(self, body: bytes) -> tuple[list[Any], bool]:
        many = body[:64].lstrip()[:1] == b"["
        try:
            return (self._many.decode(body), True) if many else ([self._one.decode(body)], False)
        except ValidationError as error:
            self._refuse(str(error), many)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refuse_malformed(body, str(error))

    def _refuse(self, message: str, many: bool) -> NoReturn:
        """Say what msgspec found as a sentence about the column and the row."""
        place = PLACE.search(message)
        row = int(place[1]) if place and place[1] else None
        where = f"Row {row}: " if row is not None else ""
        if found := FIELD.match(message):
            name = found[2]
            unknown = found[1] == "contains unknown"
            raise RequestError(
                422, where + (self._unknown if unknown else self._absent)(name), name, row
            )
        if place is None or place[2] is None:
            what = "each row must be" if many else "the body must be"
            raise RequestError(
                422, f"{where}{what} an object such as the examples in /openapi.json"
            )
        name = place[2]
        wanted = self._expected.get(name, "as contract.yaml says")
        raise RequestError(422, f"{where}{name} must be {wanted}", name, row)

    def _absent(self, name: str) -> str:
        return f"{name} is missing; give {self._expected[name]}"

    def _unknown(self, name: str) -> str:
        if name in self._after:
            return f"{name} is known only after the prediction is made; leave it out"
        return f"{name[:MAX_TEXT]} is no field of a row (see /openapi.json); leave it out"

    def _refuse_twins(self, body: bytes, columns: Sequence[Sequence[Any]], rows: int) -> None:
        """Refuse a row with a field twice, of which JSON decoders silently take the last.

        One colon a field, and those within values: as long as they add up, no field comes twice,
        which costs microseconds. Where they do not, or may be written otherwise, a slow look tells.
        """
        colons = sum(
            count * (rows - column.count(UNSET))
            for count, column in zip(self._colons, columns, strict=True)
        )
        for at in self._texts:
            colons += sum(text.count(":") for text in columns[at] if isinstance(text, str))
        for at in self._times:
            colons -= 2 * columns[at].count(None)
        if body.count(b":") != colons or b"\\" in body:
            look_for_twins(body)

    def _refuse_unlisted(self, columns: dict[str, Sequence[Any]], many: bool) -> None:
        for name, allowed in self._listed:
            for row, value in enumerate(columns[name]):
                if value is not None and value not in allowed:
                    where = f"Row {row}: " if many else ""
                    sentence = f"{where}{name} must be {self._expected[name]}"
                    raise RequestError(422, sentence, name, row if many else None)


def _without_unset(column: Sequence[Any]) -> Sequence[Any]:
    if UNSET not in column:
        return column
    return [None if value is UNSET else value for value in column]
