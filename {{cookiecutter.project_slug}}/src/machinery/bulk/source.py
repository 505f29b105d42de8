"""source: Parquet or CSV files in; their rows in batches out, in one pass."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

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


class Malformed(NamedTuple):
    """A line of CSV that is no row."""

    row: int
    reason: str


class Batch(NamedTuple):
    """Some rows of a file, the number of each in it (from 1), and lines between that are no rows.

    `done` counts rows of Parquet, or bytes of CSV, up to here.
    """

    path: str
    table: pa.Table
    numbers: range | list[int]
    malformed: list[Malformed]
    done: int


class Source:
    """The files at a place, all of one kind and with the same columns.

    `schema` has their columns; `size` is the count of rows (Parquet) or of bytes (CSV).

    Raises:
        UserError: when there is nothing to read, or files of two kinds.
    """

    def __init__(self, place: Place) -> None:
        """Find the files and read the columns of the first."""
        self.place, self.files = place, place.files()
        if not self.files:
            raise UserError(f"{place} is missing or an empty folder; name a Parquet or CSV file")
        self.kind = _kind(self.files)
        self.schema = schema(self.files[0], self.kind)
        self.size = sum(_extent(file, self.kind) for file in self.files)
        for name, count in Counter(self.schema.names).items():
            if count > 1:
                raise UserError(f"{place} has two columns {name}; rename one")

    def batches(self) -> Iterator[Batch]:
        """The batches of all files, one after another."""
        read = self._of_parquet if self.kind == "parquet" else self._of_csv
        before = done = 0
        for file in self.files:
            for batch in read(file):
                done = before + batch.done
                yield batch._replace(table=self._conform(batch.table, file), done=done)
            before = done

    def _of_parquet(self, file: Place) -> Iterator[Batch]:
        row = 0
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS):
                first, row = row + 1, row + len(batch)
                table = pa.Table.from_batches([batch])
                yield Batch(str(file), table, range(first, row + 1), [], row)

    def _of_csv(self, file: Place) -> Iterator[Batch]:
        malformed: list[Malformed] = []

        def note(row: Any) -> str:
            fields = f"has {row.actual_columns} fields, not {row.expected_columns}"
            malformed.append(Malformed(row.number - 1, f"{row.text[:SHOWN]!r} {fields}"))
            return "skip"

        row = 0
        with _csv(file, self.schema.names, note) as (reader, position):
            for batch in reader:
                numbers = _numbers(len(batch), row, malformed)
                row = numbers[-1] if len(numbers) else row
                here = [each for each in malformed if each.row <= row]
                del malformed[: len(here)]
                table = pa.Table.from_batches([batch])
                yield Batch(str(file), table, numbers, here, position())
            if malformed:
                yield Batch(str(file), self.schema.empty_table(), [], malformed, position())

    def _conform(self, table: pa.Table, file: Place) -> pa.Table:
        """The table with the columns and types of the first file."""
        if table.schema.equals(self.schema):
            return table.replace_schema_metadata(None)
        if others := sorted({*table.schema.names} ^ {*self.schema.names}):
            where = f"{file} and {self.files[0]}"
            raise UserError(f"only one of {where} has the column {others[0]}; predict them apart")
        try:
            return table.select(self.schema.names).cast(self.schema)
        except pa.ArrowException as error:
            raise UserError(
                f"{file} has other types than {self.files[0]} ({first_line(error)}); "
                "predict them apart"
            ) from error


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
    if len(names) == 1 and (used := [each for each in SEPARATORS if each in names[0]]):
        raise UserError(f"{file} is separated by {used[0]!r}; save it with commas")
    return pa.schema([(name, pa.string()) for name in names])


def _extent(file: Place, kind: str) -> int:
    if kind == "csv":
        return int(file.info.size)
    with _parquet(file) as parquet:
        return int(parquet.metadata.num_rows)


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
    with (
        _readable(file),
        file.system.open_input_file(file.path) as raw,
        pq.ParquetFile(raw) as parquet,
    ):
        yield parquet


@contextmanager
def _csv(
    file: Place, names: Collection[str] = (), malformed: Callable[[Any], str] = lambda row: "skip"
) -> Iterator[tuple[csv.CSVStreamingReader, Callable[[], int]]]:
    """A reader of the file, and how many of its bytes are read; the named columns are strings."""
    with _readable(file), file.system.open_input_file(file.path) as raw:
        packed = file.name.lower().endswith(".gz")
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
def _readable(file: Place) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UserError(f"{file} is not readable: {first_line(error)}") from error


def _numbers(rows: int, before: int, malformed: list[Malformed]) -> range | list[int]:
    """The number of each row of a batch, counting the lines between that are no rows."""
    if not malformed:
        return range(before + 1, before + 1 + rows)
    no_rows, numbers, number = {each.row for each in malformed}, list[int](), before
    while len(numbers) < rows:
        number += 1
        if number not in no_rows:
            numbers.append(number)
    return numbers
