"""source: Parquet or CSV files in; their rows in batches out, in one pass."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from machinery.pipeline.files import UserError, first_line

from .places import Place

BATCH_ROWS = 65_536
BLOCK_BYTES = 8_000_000  # of CSV, which becomes one batch
KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}
SHOWN = 200  # characters of a line that is no row
SEPARATORS = ";\t|"
OTHERS = {  # by what a file begins with
    b"\x1f\x8b": "compressed by gzip; name it .csv.gz",
    b"PK": "a spreadsheet or a zip archive; save it as CSV",
    b"PAR1": "Parquet; name it .parquet",
}


class Batch(NamedTuple):
    """Some rows of a file, and the number of each in it, from 1.

    `malformed` are the lines between that are no rows, the text of each and the reason; `done`
    counts the bytes up to here.
    """

    path: str
    table: pa.Table
    numbers: np.ndarray
    malformed: Mapping[int, tuple[str, str]]
    done: int


class Source:
    """The files at a place, all of one kind and with the same columns.

    `schema` has their columns; `size` is the count of bytes.

    Raises:
        UserError: when there is nothing to read, or files of two kinds; and for a file that has
            changed when its last batch is read.
    """

    def __init__(self, place: Place) -> None:
        """Find the files and read the columns of the first."""
        self.place, self.files = place, place.files()
        if not self.files:
            raise UserError(f"{place} is missing or an empty folder; name a Parquet or CSV file")
        self.kind = _kind(self.files)
        self._infos = [file.info for file in self.files]
        self.schema = schema(self.files[0], self.kind)
        self.size = sum(info.size for info in self._infos)
        for name, count in Counter(self.schema.names).items():
            if count > 1:
                raise UserError(f"{place} has two columns {name}; rename one")

    def batches(self) -> Iterator[Batch]:
        """The batches of all files, one after another."""
        read = self._of_parquet if self.kind == "parquet" else self._of_csv
        before = 0
        for file, info in zip(self.files, self._infos, strict=True):
            for batch in read(file, info.size):
                table = self._conform(batch.table, file)
                yield batch._replace(table=table, done=before + batch.done)
            if (now := file.info).size != info.size or now.mtime_ns != info.mtime_ns:
                raise UserError(f"{file} changed while it was read; run again when it is whole")
            before += info.size

    def _of_parquet(self, file: Place, size: int) -> Iterator[Batch]:
        row = 0
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS):
                first, row = row + 1, row + len(batch)
                done = size * row // parquet.metadata.num_rows
                table = pa.Table.from_batches([batch])
                yield Batch(str(file), table, np.arange(first, row + 1), {}, done)

    def _of_csv(self, file: Place, size: int) -> Iterator[Batch]:
        malformed: dict[int, tuple[str, str]] = {}

        def note(row: Any) -> str:
            fields = f"has {row.actual_columns} fields, not {row.expected_columns}"
            malformed[row.number - 1] = row.text[:SHOWN], fields
            return "skip"

        row = 0
        with _csv(file, self.schema.names, note) as (reader, position):
            for batch in reader:
                lines = np.arange(row + 1, row + 1 + len(batch) + len(malformed))
                numbers = np.setdiff1d(lines, [*malformed])[: len(batch)]
                row = int(numbers[-1]) if len(numbers) else row
                here = {line: malformed.pop(line) for line in [*malformed] if line <= row}
                yield Batch(str(file), pa.Table.from_batches([batch]), numbers, here, position())
            if malformed:
                empty = self.schema.empty_table()
                yield Batch(str(file), empty, np.arange(0), malformed, size)

    def _conform(self, table: pa.Table, file: Place) -> pa.Table:
        """The table with the columns and types of the first file."""
        if table.schema.equals(self.schema):
            return table.replace_schema_metadata(None)
        if others := sorted({*table.schema.names} ^ {*self.schema.names}):
            where = f"{file} and {self.files[0]}"
            raise UserError(f"only one of {where} has the column {others[0]}; predict them apart")
        try:
            return table.select(self.schema.names).cast(self.schema)
        except pa.ArrowException:  # which shows a value, and it may be personal
            pairs = zip(table.select(self.schema.names).schema, self.schema, strict=True)
            names = ", ".join(this.name for this, first in pairs if this.type != first.type)
            why = f"{file} has other types than {self.files[0]} ({names})"
            raise UserError(f"{why}; predict them apart") from None


def schema(file: Place, kind: str) -> pa.Schema:
    """The columns of a file; those of CSV are strings.

    Raises:
        UserError: when it is not readable.
    """
    if kind == "parquet":
        with _parquet(file) as parquet:
            return parquet.schema_arrow.remove_metadata()
    with _csv(file) as (reader, _):
        names = reader.schema.names
    header = ",".join(names)
    if header.startswith("sep="):  # for Excel
        raise UserError(f"{file} begins with the line {header!r}; save it with commas, without it")
    if used := [each for each in SEPARATORS if header.count(each) >= len(names)]:
        raise UserError(f"{file} is separated by {used[0]!r}; save it with commas")
    if "\0" in header:
        raise UserError(f"{file} is UTF-16; save it as UTF-8")
    return pa.schema([(name, pa.string()) for name in names])


def _kind(files: list[Place]) -> str:
    kinds = {}
    for file in files:
        kind = next((KINDS[end] for end in KINDS if file.name.lower().endswith(end)), None)
        if kind is None:
            raise UserError(f"{file} must end in .parquet, .csv or .csv.gz")
        kinds[kind] = file
    if len(kinds) > 1:
        raise UserError(f"{kinds['csv']} and {kinds['parquet']} are of two kinds; put them apart")
    return next(iter(kinds))


@contextmanager
def _parquet(file: Place) -> Iterator[pq.ParquetFile]:
    with _opened(file) as raw, pq.ParquetFile(raw) as parquet:
        yield parquet


@contextmanager
def _csv(
    file: Place, names: Collection[str] = (), malformed: Callable[[Any], str] = lambda row: "skip"
) -> Iterator[tuple[csv.CSVStreamingReader, Callable[[], int]]]:
    """A reader of the file, and how many of its bytes are read; the named columns are strings."""
    with _opened(file) as raw:
        packed = file.name.lower().endswith(".gz")
        begins = raw.read(4)
        raw.seek(0)
        for mark, what in OTHERS.items():
            if begins.startswith(mark) and not packed:
                raise UserError(f"{file} is {what}")
        reader = csv.open_csv(
            pa.CompressedInputStream(raw, "gzip") if packed else raw,
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            csv.ParseOptions(newlines_in_values=True, invalid_row_handler=malformed),
            csv.ConvertOptions(  # what a value is, and whether it is right: row by row
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield reader, raw.tell


@contextmanager
def _opened(file: Place) -> Iterator[pa.NativeFile]:
    """The file; what is not readable in it is a UserError."""
    try:
        with file.system.open_input_file(file.path) as raw:
            yield raw
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        why = first_line(error)
        if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in why:
            fault = f"{file} is not in UTF-8, but in UTF-16 or another encoding ({why})"
            raise UserError(f"{fault}; save it as UTF-8") from error
        raise UserError(f"{file} is not readable: {why}") from error
