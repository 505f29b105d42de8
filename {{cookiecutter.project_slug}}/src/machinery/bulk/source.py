"""source: Parquet or CSV files in; their rows in batches out, in one pass."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from machinery.pipeline.files import UserError, first_line

from .places import Place

BATCH_ROWS = 65_536
BLOCK_BYTES = 8_000_000  # of CSV, which becomes one batch
KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}
SHOWN = 200  # characters of a line that is no row
SEPARATORS = ";\t|"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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
        self.schema = self._schema(self.files[0])
        self.size = sum(self._extent(each) for each in self.files)
        for name, count in Counter(self.schema.names).items():
            if count > 1:
                raise UserError(f"{place} has two columns {name}; rename one")

    def refuse_nested(self) -> None:
        """Refuse columns that CSV cannot hold.

        Raises:
            UserError: naming the first.
        """
        for field in self.schema:
            if pa.types.is_nested(field.type):
                raise UserError(
                    f"{self.place}: {field.name} is {field.type}, which CSV cannot hold; "
                    "write Parquet, or drop the column"
                )

    def batches(self) -> Iterator[Batch]:
        """The batches of all files, one after another."""
        read = self._of_parquet if self.kind == "parquet" else self._of_csv
        before = 0
        for file in self.files:
            size = file.info.size
            self._refuse_other_columns(file)
            with _readable(file):
                for batch in read(file):
                    yield batch._replace(done=before + batch.done)
            if file.info.size != size:
                raise UserError(f"{file} was changed while it was read; run again")
            before += self._extent(file)

    def _schema(self, file: Place) -> pa.Schema:
        with _readable(file):
            if self.kind == "parquet":
                with _parquet(file) as parquet:
                    return parquet.schema_arrow.remove_metadata()
            return pa.schema([(name, pa.string()) for name in header(file)])

    def _extent(self, file: Place) -> int:
        if self.kind == "csv":
            return int(file.info.size)
        with _readable(file), _parquet(file) as parquet:
            return int(parquet.metadata.num_rows)

    def _of_parquet(self, file: Place) -> Iterator[Batch]:
        row = 0
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS):
                first, row = row + 1, row + len(batch)
                table = self._conform(pa.Table.from_batches([batch]), file)
                yield Batch(str(file), table, range(first, row + 1), [], row)

    def _of_csv(self, file: Place) -> Iterator[Batch]:
        malformed: list[Malformed] = []

        def note(row: Any) -> str:
            fields = f"has {row.actual_columns} fields, not {row.expected_columns}"
            malformed.append(Malformed(row.number - 1, f"{row.text[:SHOWN]!r} {fields}"))
            return "skip"

        row = 0
        with file.system.open_input_file(file.path) as raw:
            reader = arrow_csv.open_csv(
                pa.CompressedInputStream(raw, "gzip") if _is_packed(file) else raw,
                arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                arrow_csv.ConvertOptions(  # what a value is, and whether it is right: row by row
                    column_types=dict.fromkeys(self.schema.names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
            for batch in reader:
                numbers = _numbers(len(batch), row, malformed)
                row = numbers[-1] if len(numbers) else row
                here = [each for each in malformed if each.row <= row]
                del malformed[: len(here)]
                table = self._conform(pa.Table.from_batches([batch]), file)
                yield Batch(str(file), table, numbers, here, raw.tell())
            if malformed:
                yield Batch(str(file), self.schema.empty_table(), [], malformed, raw.tell())

    def _refuse_other_columns(self, file: Place) -> None:
        wanted, names = {*self.schema.names}, {*self._schema(file).names}
        if wanted != names:
            what = (
                f"lacks {min(wanted - names)}" if wanted - names else f"has {min(names - wanted)}"
            )
            raise UserError(f"{file} {what}, unlike {self.files[0]}; predict them apart")

    def _conform(self, table: pa.Table, file: Place) -> pa.Table:
        """The table with the columns and types of the first file."""
        if table.schema.equals(self.schema):
            return table.replace_schema_metadata(None)
        try:
            return table.select(self.schema.names).cast(self.schema)
        except pa.ArrowException as error:
            raise UserError(
                f"{file} has other types than {self.files[0]} ({first_line(error)}); "
                "predict them apart"
            ) from error


def header(file: Place) -> list[str]:
    """The names of the columns of a CSV file.

    Raises:
        UserError: when it is empty, or is no CSV in UTF-8 with commas.
    """
    with file.system.open_input_file(file.path) as raw:
        stream = pa.CompressedInputStream(raw, "gzip") if _is_packed(file) else raw
        start = stream.read(BLOCK_BYTES)
    if start.startswith(UTF_16):
        raise UserError(f"{file} is UTF-16; save it as CSV in UTF-8")
    text = start.decode("utf-8-sig", errors="ignore")
    if named := re.match(r'"?sep=(.)"?\r?\n', text):
        raise UserError(f"{file} begins with the line sep={named[1]}; remove it, and use commas")
    for names in csv.reader(io.StringIO(text, newline="")):
        if len(names) == 1 and (used := [each for each in SEPARATORS if each in names[0]]):
            raise UserError(f"{file} is separated by {used[0]!r}; save it with commas")
        if names:
            return names
    raise UserError(f"{file} is not readable: it is empty")


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
def _readable(file: Place) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise UserError(f"{file} is not readable: {first_line(error)}") from error


@contextmanager
def _parquet(file: Place) -> Iterator[pq.ParquetFile]:
    with file.system.open_input_file(file.path) as raw, pq.ParquetFile(raw) as parquet:
        yield parquet


def _is_packed(file: Place) -> bool:
    return file.name.lower().endswith(".gz")


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
