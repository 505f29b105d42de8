"""writer: tables in; a Parquet or CSV file out, and parts of one joined to it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

GROUP_ROWS = 65_536
COPY_BYTES = 1_000_000


class Writer:
    """Writes one file; the bytes depend on the rows alone, not on how they were handed over."""

    def __init__(self, path: Path, kind: str, schema: pa.Schema, header: bool = True) -> None:
        """Open the file; CSV without its header is for being joined to another."""
        self._schema, self._waiting, self._rows = schema, list[pa.Table](), 0
        if kind == "csv":
            self._file: Any = csv.CSVWriter(
                path, schema, write_options=csv.WriteOptions(include_header=header)
            )
        else:
            self._file = pq.ParquetWriter(path, schema, compression="zstd", write_statistics=True)

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._waiting.append(table)
        self._rows += len(table)
        while self._rows >= GROUP_ROWS:
            self._flush(GROUP_ROWS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: Any, __: TracebackType | None) -> None:
        if kind is None and self._rows:
            self._flush(self._rows)
        self._file.close()

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting)
        self._file.write_table(table[:rows].combine_chunks())
        self._waiting = [table[rows:]]
        self._rows -= rows


def join(parts: Iterable[IO[bytes]], path: Path, kind: str, schema: pa.Schema) -> None:
    """One file of several, a piece at a time."""
    if kind == "csv":
        _join_csv(parts, path)
        return
    with Writer(path, kind, schema) as writer:
        for part in parts:
            for table in _groups(part):
                writer.write(table)


def _groups(part: IO[bytes]) -> Iterator[pa.Table]:
    with part, pq.ParquetFile(part, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _join_csv(parts: Iterable[IO[bytes]], path: Path) -> None:
    with path.open("wb") as whole:
        for part in parts:
            with part:
                while chunk := part.read(COPY_BYTES):
                    whole.write(chunk)
