"""delimited: a text file in; its encoding, its dialect, its header and its columns as text, out."""

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

SAMPLE = 1_000_000  # characters, which tell how the file is laid out
SNIFFED = 50_000  # characters for clevercsv, or five lines
BLOCK_ROWS = 10_000
VALUE = re.compile(r"[-+(]?[€$£]?\s?\d[\d.,:/ T%€)eE+-]*(Z|[AaPp][Mm])?")  # number, date or time
YEAR = re.compile(r"(19|20)\d\d")
SEPARATOR = re.compile(r'"?sep=(.)"?[\r\n]+', re.IGNORECASE)  # a line for Excel


def encoding(data: bytes, name: str) -> tuple[str, list[str]]:
    """UTF-16 by its mark, UTF-8, or else cp1252, with words that show whether that is right."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", ["The text is UTF-16, as its first two bytes say."]
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if not data[: error.start].isascii():
            fault = f"{name} is UTF-8 at first, but not to its end"
            raise UserError(f"{fault}; get it again, or name its --encoding") from None
        words = re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", data[: error.start + SAMPLE])
        shown = b", ".join([*dict.fromkeys(words)][:5]).decode("cp1252", "replace")
        note = f"The text is not UTF-8; as cp1252 it reads {shown}; if wrong, name its --encoding."
        return "cp1252", [note]
    return "utf-8", []


def read_csv(lines: Iterable[str], name: str, sample: str) -> tuple[pa.Table, list[str]]:
    """All columns as strings, as they are in the text, whose beginning is the sample.

    Raises:
        UserError: naming the line that is no row.
    """
    mark = SEPARATOR.match(sample)
    sample = sample[mark.end() :] if mark else sample
    dialect = _dialect(sample, mark[1] if mark else None)
    if dialect["delimiter"] == " " and "  " in sample:
        raise UserError(f"{name} has columns aligned with blanks; save it as CSV")
    rows = [*csv.reader(io.StringIO(sample, newline=""), **dialect)]
    skip, names, notes = lay_out(rows, name)
    reader = csv.reader(lines, strict=True, **dialect)
    body = _rows(reader, skip + bool(mark), len(names), name)
    blocks = iter(lambda: [*islice(body, BLOCK_ROWS)], [])
    tables = [_table(zip(*block, strict=True), names) for block in blocks]
    notes = [f"Fields are separated by {dialect['delimiter']!r}.", *notes]
    return pa.concat_tables(tables or [_table([()] * len(names), names)]), notes


def _table(columns: Iterable[Sequence[str]], names: list[str]) -> pa.Table:
    return pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], names)


def _rows(reader: Any, skip: int, width: int, name: str) -> Iterator[list[str]]:
    """The rows after those to skip."""
    line = 1
    try:
        for at, row in enumerate(reader):
            if at >= skip and row:
                if len(row) != width:
                    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                    what = f"{name}, line {line} has {fields}, not {width}"
                    raise UserError(f"{what}; correct it, or get the file again if it was cut off")
                yield row
            line = reader.line_num + 1
    except csv.Error as error:
        where = f"{name}, line {line} is not readable ({error})"
        raise UserError(f"{where}; look for a quote that is not closed") from None


def _dialect(sample: str, delimiter: str | None) -> dict[str, Any]:
    """How fields are separated and quoted, in the words of Python's csv."""
    from clevercsv.detect import Detector
    from clevercsv.dialect import SimpleDialect

    head = "".join(sample.splitlines(keepends=True)[: max(5, sample[:SNIFFED].count("\n"))])
    sniffed = Detector().detect(head, delimiters=[delimiter] if delimiter else None)
    sniffed = sniffed or SimpleDialect(delimiter or ",", '"', "")
    return {
        "delimiter": sniffed.delimiter or ",",
        "quotechar": sniffed.quotechar or '"',
        "escapechar": sniffed.escapechar or None,
    }


def lay_out(rows: Sequence[Sequence[str]], name: str) -> tuple[int, list[str], list[str]]:
    """How many rows are above those of the table, the columns' names, and what was decided.

    Raises:
        UserError: for a header that has not as many fields as the rows.
    """
    counts = Counter(len(row) for row in rows if len(row) > 1)
    width = max(counts, key=lambda width: (counts[width], width), default=1)
    full = [at for at, row in enumerate(rows) if len(row) == width]
    start = next((at for at in full if not _is_title(rows[at])), full[-1])
    below = [rows[at] for at in full if at > start]
    header = _is_header(rows[start], below)
    above = sum(map(bool, rows[start - 1])) if start else 0
    if header is not True and above > 1:
        what = f"{name} has {above} fields in a line above rows of {width}"
        raise UserError(f"{what}; correct it, so that each column has a name")
    notes = []
    if any(map(any, rows[:start])):
        notes.append(f"Lines above the table are left out: {start}.")
    if header is False:
        notes.append("There is no header, so the columns are column_1 and so on.")
        return start, [f"column_{at + 1}" for at in range(width)], notes
    return start + 1, [*rows[start]], notes


def _is_title(row: Sequence[str]) -> bool:
    """A comment, or few cells of a row, as Excel saves what is above a table."""
    filled = sum(map(bool, row))
    few = len(row) > 1 and filled < max(2, len(row) / 2)
    return row[0].startswith("# ") or not filled or bool(row[0] and few)


def _is_header(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool | None:
    """True where a column of numbers begins with a word, False for a row like others, else None."""
    words, alike, numbers = 0, 0, []
    for cell, *others in zip(row, *below[:200], strict=True):
        cell, others = cell.strip(), [other for other in others if other.strip() not in MISSING]
        fits = [bool(VALUE.fullmatch(other.strip())) for other in others]
        if cell in MISSING or not others:
            continue
        if 5 * sum(fits) < 4 * len(fits):
            words, alike = words + 1, alike + (cell in others)
        elif not VALUE.fullmatch(cell):
            return True
        elif not YEAR.fullmatch(cell) or all(map(YEAR.fullmatch, others)):
            numbers.append(cell)
    if len(numbers) > 1 and numbers == [str(at) for at in range(len(numbers))]:
        return True  # as pandas numbers columns without a name
    return False if numbers or (alike and 2 * alike >= words) else None
