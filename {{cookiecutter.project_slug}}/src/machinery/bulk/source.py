"""Read Parquet and CSV files in batches of rows, in one pass."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from machinery.pipeline.files import UserError, first_line

from .locations import Location

BATCH_ROWS = 65_536
BLOCK_BYTES = 8_000_000  # of CSV, which become one batch
KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}
MAX_LINE = 200  # characters shown of a malformed line
SEPARATORS = ";\t|"
FORMATS = {  # by the first bytes of a file
    b"\x1f\x8b": "compressed by gzip; name it .csv.gz",
    b"PK\x03\x04": "a spreadsheet or a zip archive; save it as CSV",
    b"PAR1": "Parquet; name it .parquet",
}


class Batch(NamedTuple):
    """Some rows of a file and their numbers in it, from 1.

    `malformed` maps the numbers of malformed lines between them to their text and the reason;
    `done` counts the bytes read so far, of all files.
    """

    path: str
    table: pa.Table
    numbers: np.ndarray
    malformed: Mapping[int, tuple[str, str]]
    done: int


class Source:
    """The files at a location, all of one kind and with the same columns.

    `schema` has their columns; `size` is in bytes.

    Raises:
        UserError: if there is nothing to read, or files of two kinds; and by `batches` for a file
            that changes while it is read.
    """

    def __init__(self, location: Location) -> None:
        """Find the files and read the columns of the first."""
        self.location, self.files = location, location.files()
        if not self.files:
            raise UserError(f"{location} is missing or an empty folder; name a Parquet or CSV file")
        self.kind = _kind(self.files)
        self._infos = [file.info for file in self.files]
        self.schema = read_schema(self.files[0], self.kind)
        self.size = sum(info.size for info in self._infos)
        _refuse_repeated(self.schema.names, self.files[0])

    def batches(self) -> Iterator[Batch]:
        """The batches of all files, one after another."""
        read = _read_parquet if self.kind == "parquet" else self._read_csv
        before = 0
        for file, info in zip(self.files, self._infos, strict=True):
            for batch in read(file, info.size):
                table = self._conform(batch.table, file)
                yield batch._replace(table=table, done=before + batch.done)
            current = file.info
            if (current.size, current.mtime_ns) != (info.size, info.mtime_ns):
                raise UserError(f"{file} changed while it was read; run again when it is complete")
            before += info.size

    def _read_csv(self, file: Location, size: int) -> Iterator[Batch]:
        malformed: dict[int, tuple[str, str]] = {}

        def skip(line: Any) -> str:
            fault = f"has {line.actual_columns} fields, not {line.expected_columns}"
            malformed[line.number - 1] = line.text[:MAX_LINE], fault
            return "skip"

        row = 0
        with _open_csv(file, self.schema.names, skip) as (reader, position):
            for batch in reader:
                lines = np.arange(row + 1, row + 1 + len(batch) + len(malformed))
                numbers = np.setdiff1d(lines, [*malformed])[: len(batch)]
                row = int(numbers[-1]) if len(numbers) else row
                before = {line: malformed.pop(line) for line in [*malformed] if line <= row}
                yield Batch(str(file), pa.Table.from_batches([batch]), numbers, before, position())
            if malformed:
                yield Batch(str(file), self.schema.empty_table(), np.arange(0), malformed, size)

    def _conform(self, table: pa.Table, file: Location) -> pa.Table:
        """The table with the columns and types of the first file."""
        if table.schema.equals(self.schema):
            return table.replace_schema_metadata(None)
        _refuse_repeated(table.schema.names, file)
        if {*table.schema.names} == {*self.schema.names}:
            with suppress(pa.ArrowException):  # its message shows a value, which may be personal
                return table.select(self.schema.names).cast(self.schema)
        names = sorted({field.name for field in {*table.schema} ^ {*self.schema}})
        fault = f"{file} has other columns or types than {self.files[0]} ({', '.join(names)})"
        raise UserError(f"{fault}; predict them separately")


def _refuse_repeated(names: list[str], file: Location) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"{file} has two columns {name}; rename one")


def _read_parquet(file: Location, size: int) -> Iterator[Batch]:
    row = 0
    with _open_parquet(file) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            first, row = row + 1, row + len(batch)
            done = size * row // parquet.metadata.num_rows
            table = pa.Table.from_batches([batch])
            yield Batch(str(file), table, np.arange(first, row + 1), {}, done)


def read_schema(file: Location, kind: str) -> pa.Schema:
    """The columns of a file; those of CSV are strings.

    Raises:
        UserError: if the file cannot be read.
    """
    if kind == "parquet":
        with _open_parquet(file) as parquet:
            return parquet.schema_arrow.remove_metadata()
    with _open_csv(file) as (reader, _):
        names = reader.schema.names
    header = ",".join(names)
    if header.startswith("sep="):  # for Excel
        raise UserError(f"{file} begins with the line {header!r}; save it with commas, without it")
    for separator in SEPARATORS:
        if header.count(separator) >= len(names):
            raise UserError(f"{file} is separated by {separator!r}; save it with commas")
    if "\0" in header:
        raise UserError(f"{file} is UTF-16; save it as UTF-8")
    return pa.schema([(name, pa.string()) for name in names])


def _kind(files: list[Location]) -> str:
    kinds = {}
    for file in files:
        kind = next((KINDS[end] for end in KINDS if file.name.lower().endswith(end)), None)
        if kind is None:
            raise UserError(f"{file} must end in .parquet, .csv or .csv.gz")
        kinds[kind] = file
    if len(kinds) > 1:
        raise UserError(f"{kinds['csv']} and {kinds['parquet']} are of two kinds; separate them")
    return next(iter(kinds))


@contextmanager
def _open_parquet(file: Location) -> Iterator[pq.ParquetFile]:
    with _open(file) as raw, pq.ParquetFile(raw) as parquet:
        yield parquet


@contextmanager
def _open_csv(
    file: Location, names: Collection[str] = (), malformed: Callable[[Any], str] = lambda _: "skip"
) -> Iterator[tuple[csv.CSVStreamingReader, Callable[[], int]]]:
    """A reader, and a function that returns how many bytes are read; named columns are strings."""
    with _open(file) as raw:
        is_compressed = file.name.lower().endswith(".gz")
        start = raw.read(4)
        raw.seek(0)
        for magic, what in FORMATS.items():
            if start.startswith(magic) and not is_compressed:
                raise UserError(f"{file} is {what}")
        reader = csv.open_csv(
            pa.CompressedInputStream(raw, "gzip") if is_compressed else raw,
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            csv.ParseOptions(newlines_in_values=True, invalid_row_handler=malformed),
            csv.ConvertOptions(  # strings, so that each value is parsed and checked by itself
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield reader, raw.tell


@contextmanager
def _open(file: Location) -> Iterator[pa.NativeFile]:
    """The open file; what cannot be read in it is a UserError."""
    try:
        with file.system.open_input_file(file.path) as raw:
            yield raw
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = first_line(error)
        if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in reason:
            reason = f"not text in UTF-8 ({reason}); save it as CSV in UTF-8"
        raise UserError(f"{file} is not readable: {reason}") from error
