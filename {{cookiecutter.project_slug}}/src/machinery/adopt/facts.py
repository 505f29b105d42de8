"""What the name and the values of a single column say about it."""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.columns import combine_chunks

from .plan import TypedColumn

MAX_TEXTS = 1_000  # texts that are examined one by one
MOSTLY = 0.8  # share of them from which the column counts as being of a kind
FEW = 10  # distinct values; fewer do not identify anybody
MISSING = -(2**53) + 1  # replaces missing values when rows are compared

IDS = frozenset(
    "id pid uid userid customerid orderid idcode key uuid guid nr nbr number rownames rowid".split()
)
ROWS = frozenset("row index idx unnamed".split())
ENTITIES = frozenset(
    "patient subject person individual participant respondent student pupil child mother family "
    "household customer client user member account player driver employee worker company firm "
    "hospital clinic school store shop site farm animal device sensor machine engine vehicle "
    "turbine station session visitor author".split()
)
PERIODS = frozenset("year yr month week day date time hour minute quarter period trend age".split())
UNITS = (
    "kg mg lb lbs oz km cm mm ft mi ml kW kWh mph kPa hPa psi kHz MHz GHz Hz MB GB ppm rpm "
    "sqft sqm USD EUR GBP CHF JPY usd eur gbp ms hours minutes seconds days weeks months years"
).split()
SHORT_UNITS = "% m g s h t l W V A K °C °F ° $ € £ in min d dl µm nm".split()  # in brackets only
UNIT_WORDS = {"pct": "%", "percent": "%", "percentage": "%", "celsius": "°C", "fahrenheit": "°F"}

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


class Summary(NamedTuple):
    """Statistics of a column; missing values count only in `rows`.

    `once` counts values that occur in a single row, `texts` has up to a thousand distinct ones.
    `low`, `median` and `high` are those of finite numbers.
    """

    rows: int
    filled: int
    distinct: int
    once: int
    texts: list[str]
    low: float = np.nan
    median: float = np.nan
    high: float = np.nan

    @property
    def mean_rows(self) -> float:
        """Rows per distinct value."""
        return self.filled / max(self.distinct, 1)

    @property
    def is_prose(self) -> bool:
        """Whether the texts are mostly distinct and have several words."""
        blanks = sum(text.count(" ") for text in self.texts)
        return self.distinct > self.filled / 2 and blanks >= 3 * len(self.texts) > 0


def summarize(values: pa.ChunkedArray) -> Summary:
    """The statistics of a column."""
    present, texts = values.drop_null(), []
    if values.type == pa.string():
        frequencies = present.value_counts()
        counts = np.asarray(frequencies.field("counts"))
        texts = frequencies.field("values")[:MAX_TEXTS].to_pylist()
    else:  # sorting numbers is faster than value_counts
        counts = np.unique(np.asarray(present), return_counts=True)[1]
    once = int((counts == 1).sum())
    summary = Summary(len(values), len(present), len(counts), once, texts)
    if len(present) and (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        finite = values.filter(pc.is_finite(values))
        ends = pc.quantile(finite, [0, 0.5, 1], interpolation="higher").to_pylist()
        if len(finite):
            return summary._replace(low=ends[0], median=ends[1], high=ends[2])
    return summary


def codes(values: pa.ChunkedArray) -> np.ndarray:
    """A 64-bit number per row, equal where values are; texts are numbered as they appear."""
    column = combine_chunks(values)
    if column.type == pa.string():
        column = column.dictionary_encode().indices
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.fill_null(MISSING))


def words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return re.findall(r"[^\W_]+", CAMEL.sub(" ", name).casefold())


def unit(header: str) -> str | None:
    """The unit in the header, in brackets or as its last word."""
    for text in BRACKETS.findall(header):
        if set(re.split(r"[/·*^\d ]+", text)) <= {*UNITS, *SHORT_UNITS, ""}:
            return str(text)
    last = (words(header) or [""])[-1]
    return UNIT_WORDS.get(last, last if last in UNITS else None)


def personal(column: TypedColumn, summary: Summary) -> str | None:
    """Why the column seems to be about a person: its name, or what most values are."""
    least = FEW if column.type == "string" else summary.filled / 2
    if column.type == "number" or summary.distinct <= min(least, summary.filled / 2):
        return None
    name = " ".join(words(column.header))
    if match := PERSONAL_NAME.search(name):
        return f"named {match[0]}"
    for kind, pattern in PERSONAL_VALUES.items():
        if mostly(summary.texts, pattern):
            return f"its values are {kind}"
    is_name = name.endswith("name") and summary.distinct > summary.filled / 2
    return "its values are names" if is_name and mostly(summary.texts, PERSON) else None


def mostly(texts: list[str], pattern: str) -> bool:
    """Whether most of the texts match the pattern."""
    return sum(bool(re.fullmatch(pattern, text)) for text in texts) > MOSTLY * len(texts)
