"""delimited: a text file in; its encoding, its dialect, its header and its columns as text, out."""

import codecs
import csv
import io
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.files import UserError

from .kinds import MISSING

SAMPLE = 1_000_000  # characters, which tell how the file is laid out
SNIFFED = 50_000  # characters for clevercsv, or five lines
BLOCK_BYTES = 64_000_000
MAX_FOOTER = 10  # lines
VALUE = re.compile(r"[-+(]?[€$£]?\s?\d[\d.,:/ T%€)eE+-]*(Z|[AaPp][Mm])?")  # number, date or time
BLANKS = re.compile(r'("[^"]*")|\s+')
YEAR = re.compile(r"(19|20)\d\d")
NO_HEADER = "There is no header, so the columns are column_1 and so on."


class Layout(NamedTuple):
    """How many lines are above the rows, the columns' names, and what was decided."""

    skip: int
    names: list[str]
    notes: list[str]


def encoding(path: Path, name: str) -> tuple[str, list[str]]:
    """UTF-16 by its mark, UTF-8, or else cp1252, with words that show whether that is right."""
    decoder, plain = codecs.getincrementaldecoder("utf-8")(), True
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", ["The text is UTF-16, as its first two bytes say."]
        file.seek(0)
        try:
            for block in iter(partial(file.read, 1 << 24), b""):
                decoder.decode(block)
                plain = plain and block.isascii()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            data = error.object
            if not plain or not data[: error.start].isascii():
                fault = f"{name} is UTF-8 at first, but not to its end"
                raise UserError(f"{fault}; get it again, or name its --encoding") from None
            words = re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", data)
            shown = b", ".join(islice(dict.fromkeys(words), 5)).decode("cp1252", "replace")
            note = (
                f"The text is not UTF-8; as cp1252 it reads {shown}; if wrong, name its --encoding."
            )
            return "cp1252", [note]
    return "utf-8-sig", []


def read_csv(path: Path, name: str, codec: str, sample: str) -> tuple[pa.Table, list[str]]:
    """All columns as strings, as they are in the text.

    Raises:
        UserError: naming the line that is no row.
    """
    import pyarrow.csv as arrow

    lines = [*io.StringIO(sample, newline="")]
    lines = lines[:-1] if len(sample) == SAMPLE and len(lines) > 1 else lines
    mark = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE | re.DOTALL)  # for Excel
    above = 1 if mark else 0
    dialect = _dialect(lines[above:], mark[1] if mark else None)
    if dialect["delimiter"] == " " and "  " in sample:
        return _aligned(path, name, codec)
    reader = csv.reader(lines[above:], **dialect)
    rows = [(row, above + reader.line_num) for row in reader]
    layout = lay_out([row for row, _ in rows], [above, *(end for _, end in rows)])
    columns = [str(at) for at in range(len(layout.names))]
    ragged: list[Any] = []

    def skipped(row: Any) -> str:
        ragged.append(row)
        return "skip"

    table = arrow.read_csv(
        path,
        arrow.ReadOptions(
            column_names=columns,
            skip_rows=layout.skip,
            encoding="utf8" if codec == "utf-8-sig" else codec,
            block_size=BLOCK_BYTES,
        ),
        arrow.ParseOptions(
            delimiter=dialect["delimiter"],
            quote_char=dialect["quotechar"] or False,
            escape_char=dialect["escapechar"] or False,
            newlines_in_values=True,
            invalid_row_handler=skipped,
        ),
        arrow.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
    )
    notes = [f"Fields are separated by {dialect['delimiter']!r}.", *layout.notes]
    if ragged or any(pc.any(pc.match_substring(text, "\n")).as_py() for text in table.columns):
        notes += _footer(path, name, codec, dialect, layout)
    return table.rename_columns(layout.names), notes


def _aligned(path: Path, name: str, codec: str) -> tuple[pa.Table, list[str]]:
    """Columns aligned with blanks, read as if tabs were between them."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "tabs")
        with path.open(encoding=codec) as file, copy.open("w", encoding="utf-8") as tabs:
            for line in file:
                tabs.write(BLANKS.sub(lambda run: run[1] or "\t", line.strip()) + "\n")
        with copy.open(encoding="utf-8", newline="") as file:
            return read_csv(copy, name, "utf-8-sig", file.read(SAMPLE))


def _dialect(lines: list[str], delimiter: str | None) -> dict[str, Any]:
    """How fields are separated and quoted, in the words of Python's csv."""
    from clevercsv.detect import Detector

    lines = lines[: max(5, "".join(lines)[:SNIFFED].count("\n"))]
    sample = "".join(lines)
    sniffed = Detector().detect(sample, delimiters=[delimiter] if delimiter else None)

    likely = [(sniffed and sniffed.delimiter) or ",", *",;\t| "]
    edge = re.escape("".join(likely))
    quoted = re.search(rf'(?m)(?:^|[{edge}])"(?:[^"]|"")*"(?:[{edge}]|\r?$)', sample)
    quote = '"' if quoted or '"' not in sample else ""
    quote = quote if quoted or not sniffed else sniffed.quotechar or quote
    others: dict[str, Any] = {
        "quotechar": quote or None,
        "escapechar": (sniffed and sniffed.escapechar) or None,
        "quoting": csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    }

    def score(delimiter: str) -> float:
        """How many rows have the same number of fields; less where texts have the character."""
        try:
            widths = Counter(map(len, csv.reader(lines, delimiter=delimiter, **others)))
        except csv.Error:  # a line in which it is not, too long for a field
            return 0
        alike = max((count for width, count in widths.items() if width > 1), default=0)
        return alike / (2 if delimiter == " " else 4 if delimiter in ":-/._" else 1)

    return {"delimiter": delimiter or max(likely, key=score), **others}


def lay_out(rows: Sequence[Sequence[str]], ends: Sequence[int]) -> Layout:
    """Tell the lines above the header, the header and the rows apart.

    `ends` has the number of lines above each row, and of those to the end of the last.
    """
    counts = Counter(len(row) for row in rows if len(row) > 1)
    width = max(counts, key=lambda width: (counts[width], width), default=1)
    start = _start(rows, width)
    above = [row for row in rows[:start] if row and not row[0].startswith("#")]
    if len(above) > 1 and len(above[-1]) == len(above[-2]) > 1:  # the table begins there
        width = len(above[-1])
        start = _start(rows, width)
    below = [row for row in rows[start + 1 :] if len(row) == width]
    header, notes = _is_header(rows[start], below), []
    if header is not True and above and len(above[-1]) == width - 1 > 1 and all(above[-1]):
        # A column has no name: the last, if it is empty, or else the first, as R writes it.
        start = rows.index(above[-1])
        trailing = not any(row[-1] for row in below)
        names, end = [*above[-1], ""] if trailing else ["", *above[-1]], ends[start + 1]
    elif header is False:
        names, end, notes = [f"column_{at + 1}" for at in range(width)], ends[start], [NO_HEADER]
    else:
        names, end = [*rows[start]], ends[start + 1]
    if any(map(any, rows[:start])):
        notes.append(f"Lines above the table are left out: {ends[start] - ends[0]}.")
    return Layout(end, names, notes)


def _start(rows: Sequence[Sequence[str]], width: int) -> int:
    """The first row of the width that is neither a title nor a comment."""
    full = [at for at, row in enumerate(rows) if len(row) == width]
    for at, after in pairwise(full):
        row, below = rows[at], [rows[later] for later in full if later > after]
        filled = sum(map(bool, row))
        title = row[0] and width > 1 and filled < max(2, width / 2)
        comment = row[0].startswith("#") and _is_header(rows[after], below) is not False
        if filled and not title and not comment:
            return at
    return full[-1]


def _is_header(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool | None:
    """True where a column of numbers begins with a word, False for a row like others, else None."""
    if not row[0] and len(row) > 1 and all(other[0] for other in below):
        return True  # of the names of rows, as R and pandas write them
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


def _footer(
    path: Path, name: str, codec: str, dialect: dict[str, Any], layout: Layout
) -> list[str]:
    """The note on lines at the end that are no rows, if there are any.

    Raises:
        UserError: for a row with too few or too many fields, or a quote that is never closed.
    """
    width, good, bad, end = len(layout.names), 0, {}, layout.skip
    with path.open(encoding=codec, newline="") as file:
        reader = csv.reader(islice(file, layout.skip, None), strict=True, **dialect)
        try:
            for row in reader:
                end = layout.skip + reader.line_num
                if len(row) == width:
                    good = end
                elif row:
                    bad[end] = len(row)
        except csv.Error:
            raise UserError(f"{name}, line {end + 1} has a quote too many; correct it") from None
    if not bad:
        return []
    with path.open("rb") as raw:
        raw.seek(-2, os.SEEK_END)
        whole = raw.read().rstrip(b"\0").endswith((b"\n", b"\r"))
    line = min(bad)
    if line > good and whole and len(bad) <= MAX_FOOTER and max(bad.values()) < width:
        return [f"Lines at the end that are no rows are left out: {len(bad)}."]
    cure = "correct it" if whole or line < good else "it was cut off, so get the file again"
    raise UserError(f"{name}, line {line} has {bad[line]} fields, not {width}; {cure}")
