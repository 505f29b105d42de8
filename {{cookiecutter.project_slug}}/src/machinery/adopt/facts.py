"""facts: one column in; what its name and its values tell by themselves out."""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from machinery.pipeline.data.columns import combine_chunks

from .plan import Typed

MANY = 1_000  # texts that are read one by one
MOSTLY = 0.8  # of them, from which all are taken to be of a kind
FEW = 10  # different values; fewer name nobody
MISSING = -(2**53) + 1  # stands for it where rows are compared
LISTED = 5

IDS = frozenset(
    "id pid uid userid customerid orderid idcode key uuid guid nr nbr number rownames rowid".split()
)
ROWS = frozenset("row index idx unnamed".split())
THINGS = frozenset(
    "patient subject person individual participant respondent student pupil child mother family "
    "household customer client user member account player driver employee worker company firm "
    "hospital clinic school store shop site farm animal device sensor machine engine vehicle "
    "turbine station session visitor author".split()
)
PERIODS = frozenset("year yr month week day date time hour minute quarter period trend age".split())
UNITS = (
    "kg mg lb lbs oz km cm mm ft mi ml kW kWh mph kPa hPa psi kHz MHz GHz Hz MB GB ppm rpm "
    "sqft sqm USD EUR GBP CHF JPY usd eur gbp ms hours minutes seconds days weeks months years"
)
SHORT = "% m g s h t l W V A K °C °F ° $ € £ in min d dl µm nm"  # units only if in brackets
IN_WORDS = {"pct": "%", "percent": "%", "percentage": "%", "celsius": "°C", "fahrenheit": "°F"}

CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
BRACKETS = re.compile(r"[(\[]([^()\[\]]+)[)\]]")
PERSONAL_NAME = re.compile(
    r"\b(e ?mail|phone|telephone|mobile|fax|ssn|social security|iban|passport|surname|forename|"
    r"(first|last|full|given|family|maiden|middle|customer|patient|employee|user|contact|owner|"
    r"student) ?name|address|street|birth ?(day|date)|date of birth|dob|card number|vorname|"
    r"nachname|adresse|stra(ss|ß)e|telefon|geburtsdatum|licen[cs]e plate)\b"
)
PERSONAL_VALUES = {
    "e-mail addresses": r"[^@\s]+@[^@\s]+\.\w+",
    "phone numbers": r"\+\d[\d ()/.-]{7,}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4}",
    "social security numbers": r"\d{3}-\d{2}-\d{4}",
    "IBANs": r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,3})?",
    "IP addresses": r"(\d{1,3}\.){3}\d{1,3}",
}
PERSON = r"[^\W\d_][^\W\d_'’.-]+,?( [^\W\d_(\"][\w'’.()\"-]*){1,6}"
UUID = r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"


class Facts(NamedTuple):
    """What the values of a column tell; missing ones count in `rows` alone.

    `once` counts texts that occur in a single row, `texts` has up to a thousand different ones,
    `low`, `middle` (the median) and `high` are of finite numbers.
    """

    rows: int
    filled: int
    distinct: int
    once: int
    texts: list[str]
    low: float = np.nan
    middle: float = np.nan
    high: float = np.nan

    @property
    def mean_rows(self) -> float:
        """Rows a value."""
        return self.filled / max(self.distinct, 1)


def look(values: pa.ChunkedArray) -> tuple[Facts, np.ndarray]:
    """What the values tell, and 64 bits for each row, which are equal where the values are."""
    filled = len(values) - values.null_count
    if is_text(values):
        encoded = combine_chunks(values.dictionary_encode())
        codes = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
        once, texts = int((counts == 1).sum()), encoded.dictionary[:MANY].to_pylist()
        seen = Facts(len(values), filled, len(counts), once, texts)
        return seen, codes.view(np.uint64)
    numbers = combine_chunks(values)
    if not pa.types.is_floating(numbers.type):
        numbers = numbers.cast(pa.int64())
    bits = np.asarray(numbers.fill_null(MISSING)).view(np.uint64)
    ordered = np.sort(np.asarray(numbers.drop_null()))
    distinct = int((ordered[1:] != ordered[:-1]).sum()) + bool(filled)
    finite = ordered[np.isfinite(ordered)]
    ends = [finite[at].item() for at in (0, len(finite) // 2, -1)] if len(finite) else []
    return Facts(len(values), filled, distinct, 0, [], *ends), bits


def is_text(values: pa.ChunkedArray) -> bool:
    """Whether the column is of strings."""
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def words(name: str) -> list[str]:
    """The words of a name, in small letters."""
    return re.findall(r"[^\W_]+", CAMEL.sub(" ", name).casefold())


def unit(given: str) -> str | None:
    """The unit that stands in the name, in brackets or as its last word."""
    for text in BRACKETS.findall(given):
        if set(re.split(r"[/·*^\d ]+", text)) <= {*UNITS.split(), *SHORT.split(), ""}:
            return str(text)
    last = (words(given) or [""])[-1]
    return IN_WORDS.get(last, last if last in UNITS.split() else None)


def personal(column: Typed, seen: Facts) -> str | None:
    """Why the column seems to be about a person: by its name, or by what most values are."""
    least = FEW if column.type == "string" else seen.filled / 2
    if column.type == "number" or seen.distinct <= min(least, seen.filled / 2):
        return None
    name = " ".join(words(column.given))
    if named := PERSONAL_NAME.search(name):
        return f"named {named[0]}"
    for kind, pattern in PERSONAL_VALUES.items():
        if mostly(seen.texts, pattern):
            return f"its values are {kind}"
    is_name = name.endswith("name") and seen.distinct > seen.filled / 2
    return "its values are names" if is_name and mostly(seen.texts, PERSON) else None


def mostly(texts: list[str], pattern: str) -> bool:
    """Whether most of the texts are of the pattern."""
    return sum(bool(re.fullmatch(pattern, text)) for text in texts) > MOSTLY * len(texts)


def is_prose(seen: Facts) -> bool:
    """Whether the texts are sentences rather than names: mostly distinct, of several words."""
    blanks = sum(text.count(" ") for text in seen.texts)
    return seen.distinct > seen.filled / 2 and blanks >= 3 * len(seen.texts) > 0


def listed(names: list[str]) -> str:
    """The first of the names, and how many more there are."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
