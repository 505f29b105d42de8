"""source: Parquet or CSV files in; their rows in batches out, from any batch on, in one pass."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, NoReturn

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from machinery.pipeline.files import UserError, first_line
from .storage import Found, name_of, storage_of

BATCH_ROWS = 32_768
BLOCK_BYTES = 8_000_000  # of CSV, which becomes one batch
KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}
SHOWN = 200  # characters of a line that is no row


class Position(NamedTuple):
    """A place between two batches: file, row group, batches of it and rows of the file before."""

    file: int = 0
    group: int = 0
    batch: int = 0
    row: int = 0


class Malformed(NamedTuple):
    """A line of CSV that is no row."""

    row: int
    reason: str


class Batch(NamedTuple):
    """Some rows of a file, the number of the first (from 1), and the position after them.

    Of CSV with malformed lines, `numbers` has the number of each row. `done` counts rows of
    Parquet, or bytes of CSV, up to here.
    """

    path: str
    first: int
    table: pa.Table
    malformed: list[Malformed]
    numbers: list[int] | None
    after: Position
    done: int


class Source:
    """The files at a path or address, all of one kind and with the same columns.

    `schema` has their columns; `size` is the count of rows (Parquet) or of bytes (CSV).

    Raises:
        UserError: when there is nothing to read, or files of two kinds.
    """

    def __init__(self, path: str) -> None:
        """Find the files and read the columns of the first."""
        self.path, self._storage = path, storage_of(path)
        self.files = self._storage.find(path)
        if not self.files:
            raise UserError(f"{path} is missing or an empty folder; name a Parquet or CSV file")
        self.kind = _kind(self.files)
        self.schema = self._first_schema()
        self.size = sum(self._extent(each) for each in self.files)
        if twins := {name for name in self.schema.names if self.schema.names.count(name) > 1}:
            raise UserError(f"{path} has two columns {min(twins)}; rename one")

    def _first_schema(self) -> pa.Schema:
        first = self.files[0].path
        if self.kind == "parquet":
            with self._parquet(first) as parquet:
                return parquet.schema_arrow.remove_metadata()
        return pa.schema([(name, pa.string()) for name in self._header(first)])

    def _header(self, path: str) -> list[str]:
        with self._storage.open(path) as file:
            return _header(file, path)

    def refuse_nested(self) -> None:
        """Refuse columns that CSV cannot hold.

        Raises:
            UserError: naming the first.
        """
        for field in self.schema:
            if pa.types.is_nested(field.type):
                raise UserError(
                    f"{self.path}: {field.name} is {field.type}, which CSV cannot hold; "
                    "write Parquet, or drop the column"
                )

    def batches(self, start: Position) -> Iterator[Batch]:
        """The batches from a position on; the same ones whatever the position."""
        read = self._of_parquet if self.kind == "parquet" else self._of_csv
        done = 0
        for number, found in enumerate(self.files):
            if number >= start.file:
                at = start if number == start.file else Position(number)
                yield from read(number, found.path, at, done)
            done += self._extent(found)

    def _extent(self, found: Found) -> int:
        if self.kind == "csv":
            return found.size
        with self._parquet(found.path) as file:
            return int(file.metadata.num_rows)

    def _of_parquet(self, number: int, path: str, start: Position, done: int) -> Iterator[Batch]:
        with self._parquet(path) as file:
            self._same_columns(path, file.schema_arrow.names)
            row = sum(file.metadata.row_group(group).num_rows for group in range(start.group))
            for group in range(start.group, file.num_row_groups):
                skip = start.batch if group == start.group else 0
                for at, batch in enumerate(_iterate(file, group, path)):
                    first, row = row + 1, row + len(batch)
                    if at >= skip:
                        table = self._conform(pa.Table.from_batches([batch]), path)
                        after = Position(number, group, at + 1, row)
                        yield Batch(path, first, table, [], None, after, done + row)

    def _of_csv(self, number: int, path: str, start: Position, done: int) -> Iterator[Batch]:
        malformed: list[Malformed] = []
        row = 0
        names = self._header(path)
        self._same_columns(path, names)
        with self._storage.open(path) as file:
            reader = _csv(file, path, names, malformed)
            for at, batch in enumerate(_each(reader, path)):
                numbers, row = _numbers(len(batch), row, malformed)
                here = [each for each in malformed if each.row <= row]
                del malformed[: len(here)]
                if at >= start.batch:
                    first = (numbers or [row - len(batch) + 1])[0]
                    after = Position(number, 0, at + 1, row)
                    table, far = pa.Table.from_batches([batch]), done + file.tell()
                    yield Batch(path, first, table, here, numbers, after, far)
            if malformed:
                after, far = Position(number + 1), done + file.tell()
                yield Batch(path, row + 1, reader.schema.empty_table(), malformed, [], after, far)

    @contextmanager
    def _parquet(self, path: str) -> Iterator[pq.ParquetFile]:
        with self._storage.open(path) as file:
            try:
                opened = pq.ParquetFile(file, pre_buffer=False)
            except (OSError, pa.ArrowException) as error:
                _unreadable(path, error)
            with opened:
                yield opened

    def _same_columns(self, path: str, names: list[str]) -> None:
        absent = [name for name in self.schema.names if name not in names]
        more = [name for name in names if name not in self.schema.names]
        if absent or more:
            what = f"lacks {absent[0]}" if absent else f"has {more[0]}"
            raise UserError(f"{path} {what}, unlike {self.files[0].path}; predict them apart")

    def _conform(self, table: pa.Table, path: str) -> pa.Table:
        """The table with the columns and types of the first file."""
        if table.schema.equals(self.schema):
            return table.replace_schema_metadata(None)
        try:
            return table.select(self.schema.names).cast(self.schema)
        except pa.ArrowException as error:
            raise UserError(
                f"{path} has other types than {self.files[0].path} ({first_line(error)}); "
                "predict them apart"
            ) from error


def _kind(files: list[Found]) -> str:
    kinds = {}
    for found in files:
        name = name_of(found.path).lower()
        kind = next((KINDS[end] for end in KINDS if name.endswith(end)), None)
        if kind is None:
            raise UserError(f"{found.path} must end in .parquet, .csv or .csv.gz")
        kinds[kind] = found.path
    if len(kinds) > 1:
        raise UserError(f"{kinds['csv']} and {kinds['parquet']} are of two kinds; put them apart")
    return next(iter(kinds))


def _iterate(file: pq.ParquetFile, group: int, path: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group])
    except (OSError, pa.ArrowException) as error:
        _unreadable(path, error)


def _each(reader: arrow_csv.CSVStreamingReader, path: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from (batch for batch in reader if len(batch))
    except (OSError, pa.ArrowException) as error:
        _unreadable(path, error)


def _header(file: IO[bytes], path: str) -> list[str]:
    """The names of the columns; Arrow's reader would go on reading behind our back."""
    try:
        stream = pa.input_stream(pa.PythonFile(file, "r"), compression=_compression(path))
        text = stream.read(BLOCK_BYTES).decode("utf-8-sig", errors="ignore")
    except (OSError, pa.ArrowException) as error:
        _unreadable(path, error)
    for names in csv.reader(io.StringIO(text, newline="")):
        if names:
            return names
    raise UserError(f"{path} is not readable: it is empty")


def _csv(
    file: IO[bytes], path: str, names: list[str], malformed: list[Malformed]
) -> arrow_csv.CSVStreamingReader:
    """Every column as text: what a value is, and whether it is right, is seen row by row."""

    def note(row: Any) -> str:
        text = f"{row.text[:SHOWN]!r} has {row.actual_columns} fields, not {row.expected_columns}"
        malformed.append(Malformed(row.number - 1, text))
        return "skip"

    try:
        return arrow_csv.open_csv(
            pa.input_stream(pa.PythonFile(file, "r"), compression=_compression(path)),
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (OSError, pa.ArrowException) as error:
        _unreadable(path, error)


def _compression(path: str) -> str | None:
    return "gzip" if path.lower().endswith(".gz") else None


def _numbers(rows: int, before: int, malformed: list[Malformed]) -> tuple[list[int] | None, int]:
    """The number of each row of a batch, counting the lines between that are no rows."""
    if not malformed:
        return None, before + rows
    wrong, number = {each.row for each in malformed}, before
    numbers: list[int] = []
    while len(numbers) < rows:
        number += 1
        if number not in wrong:
            numbers.append(number)
    return numbers, number


def _unreadable(path: str, error: Exception) -> NoReturn:
    raise UserError(f"{path} is not readable: {first_line(error)}") from error
