"""faults: a body that is no good JSON in; one sentence out."""

import json
from typing import Any, NoReturn

from .row_types import MAX_TEXT


class RequestError(Exception):
    """A request that cannot be answered: the status, and one sentence naming the field."""

    def __init__(
        self, status: int, sentence: str, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.row = status, sentence, row
        self.field = None if field is None else shown(field)


def shown(text: str) -> str:
    """A name that a client made up, as an answer may repeat it: not too long, and in UTF-8."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def refuse_malformed(body: bytes, reason: str) -> NoReturn:
    """Refuse what is no JSON, naming the field where it is NaN or infinite.

    Raises:
        RequestError: always.
    """
    look_for_twins(body, strict=False)
    raise RequestError(400, f"The body is not valid JSON: {reason}")


class _NotFinite:
    """Stands for NaN or an infinity, which JSON does not have."""


def look_for_twins(body: bytes, strict: bool = True) -> None:
    """Refuse fields that come twice or are not finite; Python's decoder sees both, slowly."""
    try:
        json.loads(body, object_pairs_hook=_pairs, parse_constant=lambda _: _NotFinite)
    except (ValueError, RecursionError):
        if strict:
            raise RequestError(400, "The body is not valid JSON") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if value is _NotFinite or value in (float("inf"), float("-inf")):
            raise RequestError(400, f"{shown(name)} is not a finite number; leave it out", name)
        if name in found:
            raise RequestError(400, f"{shown(name)} is given twice in one row", name)
        found[name] = value
    return found
