"""rows: a request's body and the contract in; its rows by column, or one sentence, out.

msgspec decodes and validates in one pass, by a type made of the contract: several times faster
than decoding first and validating then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec
import numpy as np
from msgspec import UNSET, ValidationError

from machinery.pipeline.data.contract import Column
from .faults import RequestError, look_for_twins, refuse_malformed, shown
from .row_types import expected, row_type

# What msgspec says may quote the client, and end on its own words alone.
PLACE = re.compile(r".* - at `\$(?:\[(\d+)\])?(?:\.(.*))?`", re.DOTALL)
FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
LIST = re.compile(rb"[ \t\r\n]*\[")
LARGE = 16_384  # bytes of a body; from half of that on, NumPy's start is worth it

Row = tuple[Any, ...]  # a value for each column, None where it was left out


class Reader:
    """Reads rows of some columns; those in `after` are refused as known only later."""

    def __init__(
        self, columns: Mapping[str, Column], max_rows: int, after: Iterable[str] = ()
    ) -> None:
        self._max_rows, self._after = max_rows, frozenset(after)
        self.names, known = list(columns), list(columns.values())
        self._expected = {name: expected(column) for name, column in columns.items()}
        whole, partial = (row_type(self.names, known, whole=each) for each in (True, False))
        self._whole, self._partial = _decoders(whole), _decoders(partial)
        times = [at for at, each in enumerate(known) if each.type == "datetime"]
        self._nullable_times = [at for at in times if known[at].nullable]
        self._texts = [at for at, each in enumerate(known) if each.type in ("string", "category")]
        self._colons = [1 + name.count(":") for name in self.names]  # of a name and its value
        self._sum = sum(self._colons) + 2 * len(times)
        self._listed = [
            (at, name, {*column.allowed})
            for at, (name, column) in enumerate(columns.items())
            if isinstance(column.allowed, list) and column.type not in ("string", "category")
        ]
        self._integers = [at for at, each in enumerate(known) if each.type == "integer"]

    def read(self, body: bytes) -> list[Row]:
        """The rows in the body: one object, or a list of them.

        Raises:
            RequestError: 400 for what is no JSON or names a field twice, 413 for too many rows,
                422 for a row that breaks the contract.
        """
        many = LIST.match(body) is not None
        decoded, whole = self._decode(body, many)
        if not decoded:
            raise RequestError(422, "The list holds no row; give at least one")
        if len(decoded) > self._max_rows:
            raise RequestError(
                413, f"The list holds {len(decoded)} rows; give at most {self._max_rows} at a time"
            )
        rows, absent = [*map(msgspec.structs.astuple, decoded)], 0
        if not whole:
            absent = sum(map(self._colons_lacking, rows))
            rows = [tuple(None if each is UNSET else each for each in row) for row in rows]
        more = _colons(body) - self._colons_around(rows) + absent
        if b"\\" in body or more != self._colons_in_texts(rows, more):
            look_for_twins(body)
        if self._integers:
            self._make_integers(rows, many)
        if self._listed:
            self._refuse_unlisted(rows, many)
        return rows

    def columns(self, rows: Iterable[Row]) -> dict[str, Sequence[Any]]:
        """The rows by column, None where a value was left out."""
        return dict(zip(self.names, zip(*rows, strict=True), strict=True))

    def _decode(self, body: bytes, many: bool) -> tuple[list[Any], bool]:
        """The rows, and whether all are whole, as most are: those need no further look."""
        with suppress(*FAULTS):
            found = self._whole[many].decode(body)
            return found if many else [found], True
        try:
            found = self._partial[many].decode(body)
        except ValidationError as error:
            self._refuse(str(error), many)
        except FAULTS as error:
            refuse_malformed(body, str(error))
        return found if many else [found], False

    def _refuse(self, message: str, many: bool) -> NoReturn:
        """Say what msgspec found as a sentence about the column and the row."""
        place = PLACE.fullmatch(message) if many or not message.startswith("Object ") else None
        row = int(place[1]) if place and place[1] else None
        where = f"Row {row}: " if row is not None else ""
        what = message if row is None else message.removesuffix(f" - at `$[{row}]`")
        if found := FIELD.fullmatch(what):
            name = found[2]
            unknown = found[1] == "contains unknown"
            raise RequestError(
                422, where + (self._unknown if unknown else self._absent)(name), name, row
            )
        if place is None or place[2] is None:
            must = "each row must be" if many else "the body must be"
            raise RequestError(
                422, f"{where}{must} an object such as the examples in /openapi.json"
            )
        name = place[2]
        wanted = self._expected.get(name, "as contract.yaml says")
        raise RequestError(422, f"{where}{name} must be {wanted}", name, row)

    def _absent(self, name: str) -> str:
        return f"{name} is missing; give {self._expected[name]}"

    def _unknown(self, name: str) -> str:
        if name in self._after:
            return f"{name} is known only after the prediction is made; leave it out"
        return f"{shown(name)} is no field of a row (see /openapi.json); leave it out"

    def _colons_around(self, rows: list[Row]) -> int:
        """How many colons the rows were written with, besides those in texts, if no field is twice.

        JSON decoders silently take the last of two. To count colons costs microseconds; where they
        do not add up, or a text may hide one behind a backslash, a slow look at the body tells.
        """
        missing = sum([[row[at] for row in rows].count(None) for at in self._nullable_times])
        return len(rows) * self._sum - 2 * missing

    def _colons_in_texts(self, rows: list[Row], most: int) -> int:
        """How many colons the texts hold; once `most` are found, no text can hold more."""
        found = 0
        for at in self._texts:
            if found == most:
                break
            found += "".join(filter(None, [row[at] for row in rows])).count(":")
        return found

    def _colons_lacking(self, row: Row) -> int:
        """How many colons a row lacks since fields were left out, but for those of times."""
        return sum(self._colons[at] for at, value in enumerate(row) if value is UNSET)

    def _make_integers(self, rows: list[Row], many: bool) -> None:
        """Make 3.0 an integer, which it is in JSON Schema and where a table had a gap."""
        for at in self._integers:
            for place, row in enumerate(rows):
                value = row[at]
                if isinstance(value, float):
                    if not value.is_integer():
                        raise self._wrong(self.names[at], place, many)
                    rows[place] = (*row[:at], int(value), *row[at + 1 :])

    def _refuse_unlisted(self, rows: Sequence[Row], many: bool) -> None:
        for at, name, allowed in self._listed:
            for place, row in enumerate(rows):
                if row[at] is not None and row[at] not in allowed:
                    raise self._wrong(name, place, many)

    def _wrong(self, name: str, place: int, many: bool) -> RequestError:
        where = f"Row {place}: " if many else ""
        sentence = f"{where}{name} must be {self._expected[name]}"
        return RequestError(422, sentence, name, place if many else None)


def _colons(body: bytes) -> int:
    """How many colons a body holds; NumPy counts those of a large one in a fifth of the time."""
    if len(body) < LARGE:
        return body.count(b":")
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(":")))


def _decoders(row: Any) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """Of one row, and of a list of them."""
    return msgspec.json.Decoder(row), msgspec.json.Decoder(list[row])
