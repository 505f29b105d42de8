"""Read CSV: detect the encoding, the dialect and the header; all columns stay text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from machinery.pipeline.files import UserError

from .kinds import MISSING

SAMPLE = 1_000_000  # characters from which the layout is detected
SNIFFED = 50_000  # characters for clevercsv, or five lines
BLOCK_ROWS = 10_000
BODY_ROWS = 200  # rows that the header is compared with
VALUE = re.compile(r"[-+(]?[€$£]?\s?\d[\d.,:/ T%€)eE+-]*(Z|[AaPp][Mm])?")  # number, date or time
YEAR = re.compile(r"(19|20)\d\d")


def encoding(data: bytes, name: str) -> tuple[str, list[str]]:
    """UTF-16 by its byte order mark, UTF-8, or else cp1252, with words that show whether it fits.

    Raises:
        UserError: if the text starts as UTF-8 and does not end as UTF-8.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", ["The text is UTF-16, according to its byte order mark."]
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if not data[: error.start].isascii():
            fault = f"{name} is UTF-8 at first, but not to its end"
            raise UserError(f"{fault}; get it again, or name its --encoding") from None
        words = re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", data[: error.start + SAMPLE])
        examples = b", ".join([*dict.fromkeys(words)][:5]).decode("cp1252", "replace")
        note = (
            f"The text is not UTF-8; as cp1252 it reads {examples}; if wrong, name its --encoding."
        )
        return "cp1252", [note]
    return "utf-8", []


def read_csv(lines: Iterable[str], name: str, sample: str) -> tuple[pa.Table, list[str]]:
    """Read all columns as strings; `sample` is the beginning of the text.

    Raises:
        UserError: naming the line that is not a row.
    """
    dialect = _dialect(sample)
    if dialect["delimiter"] == " " and "  " in sample:
        raise UserError(f"{name} has columns aligned with blanks; save it as CSV")
    skip, names, notes = layout([*csv.reader(io.StringIO(sample, newline=""), **dialect)], name)
    rows = _rows(csv.reader(lines, strict=True, **dialect), skip, len(names), name)
    tables = [pa.table([pa.array([], pa.string())] * len(names), names)]
    while block := [*islice(rows, BLOCK_ROWS)]:
        tables.append(pa.table([pa.array(column) for column in zip(*block, strict=True)], names))
    return pa.concat_tables(tables), [f"Fields are separated by {dialect['delimiter']!r}.", *notes]


def _rows(reader: Any, skip: int, width: int, name: str) -> Iterator[list[str]]:
    """The rows after the first `skip`, each of `width` fields."""
    line = 1
    try:
        for number, row in enumerate(reader):
            if number >= skip and row:
                if len(row) != width:
                    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                    fault = f"{name}, line {line} has {fields}, not {width}"
                    raise UserError(f"{fault}; correct it, or get the file again if it was cut off")
                yield row
            line = reader.line_num + 1
    except csv.Error as error:
        fault = f"{name}, line {line} is not readable ({error})"
        raise UserError(f"{fault}; look for a quote that is not closed") from None


def _dialect(sample: str) -> dict[str, Any]:
    """How fields are separated and quoted, as arguments of csv.reader."""
    from clevercsv.detect import Detector
    from clevercsv.dialect import SimpleDialect

    head = "".join(sample.splitlines(keepends=True)[: max(5, sample[:SNIFFED].count("\n"))])
    dialect = Detector().detect(head) or SimpleDialect(",", '"', "")
    return {
        "delimiter": dialect.delimiter or ",",
        "quotechar": dialect.quotechar or '"',
        "escapechar": dialect.escapechar or None,
    }


def layout(rows: Sequence[Sequence[str]], name: str) -> tuple[int, list[str], list[str]]:
    """The number of rows above the table's body, the columns' names, and notes.

    Raises:
        UserError: if the header does not have as many fields as the rows.
    """
    counts = Counter(len(row) for row in rows if len(row) > 1)
    width = max(counts, key=lambda width: (counts[width], width), default=1)
    full = [at for at, row in enumerate(rows) if len(row) == width]
    start = next((at for at in full if not _is_title(rows[at])), full[-1])
    header = _is_header(rows[start], [rows[at] for at in full if at > start])
    above = sum(map(bool, rows[start - 1])) if start else 0
    if header is not True and above > 1:
        fault = f"{name} has {above} fields in a line above rows of {width}"
        raise UserError(f"{fault}; correct it, so that each column has a name")
    notes = []
    if any(map(any, rows[:start])):
        notes.append(f"Lines above the table are left out: {start}.")
    if header is False:
        notes.append("There is no header, so the columns are named column_1 and so on.")
        return start, [f"column_{number}" for number in range(1, width + 1)], notes
    return start + 1, [*rows[start]], notes


def _is_title(row: Sequence[str]) -> bool:
    """Whether the row is a comment, or fills few cells, as Excel saves lines above a table."""
    filled = sum(map(bool, row))
    few = len(row) > 1 and filled < max(2, len(row) / 2)
    return row[0].startswith("# ") or not filled or bool(row[0] and few)


def _is_header(row: Sequence[str], body: Sequence[Sequence[str]]) -> bool | None:
    """True if a column of numbers begins with a word, False if the row is like the body."""
    words, repeated, numbers = 0, 0, []
    for cell, *values in zip(row, *body[:BODY_ROWS], strict=True):
        values = [value.strip() for value in values if value.strip() not in MISSING]
        if cell.strip() in MISSING or not values:
            continue
        if sum(bool(VALUE.fullmatch(value)) for value in values) < 0.8 * len(values):
            words, repeated = words + 1, repeated + (cell.strip() in values)
        elif not VALUE.fullmatch(cell.strip()):
            return True
        elif not YEAR.fullmatch(cell.strip()) or all(map(YEAR.fullmatch, values)):
            numbers.append(cell.strip())
    if len(numbers) > 1 and numbers == [str(number) for number in range(len(numbers))]:
        return True  # as pandas names columns that have no names
    return False if numbers or (repeated and 2 * repeated >= words) else None
