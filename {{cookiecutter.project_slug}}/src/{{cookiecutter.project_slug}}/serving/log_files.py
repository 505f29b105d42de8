"""log_files: tables in, Parquet files by day out; whole or not there, and never another's file.

A flush that finds this process's last file below the size that it may reach writes it anew with the
new rows added and moves it to its place in one step, so that a quiet service does not leave a file
every few seconds. Files end at so many rows, too, lest a busy one write the same rows again and
again. A name begins with the time and a token of its process, so no two files ever meet.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ..files import first_line
from .log_tables import File

ABANDONED_AFTER = 3600  # seconds; nobody writes a part for so long
PART = ".part"
UNIQUE = ("request_id",)


class Done(NamedTuple):
    """How many new rows a write has brought to disk, how many are lost, and what went wrong."""

    rows: int
    lost: int
    errors: list[str]


@dataclass
class _Open:
    """A file that still grows: all its rows, how many are not on disk yet, and whence those are."""

    path: Path
    tables: list[pa.Table] = field(default_factory=list)
    unwritten: int = 0
    segments: set[int] = field(default_factory=set)


class DayFiles:
    """The files of one process below a folder; `add` tables to them, then `write`."""

    def __init__(self, folder: Path, token: str, file_bytes: int, file_rows: int) -> None:
        """Files end at either size. Remove parts that a killed process has left there."""
        self._folder, self._token, self._count = folder, token, 0
        self._file_bytes, self._file_rows = file_bytes, file_rows
        self._open: dict[tuple[File, pa.Schema], _Open] = {}
        for part in folder.glob(f"*/day=*/.*{PART}"):
            remove_if_abandoned(part)

    def add(self, file: File, tables: Sequence[pa.Table], segment: int = 0) -> None:
        """Add rows, which a segment of the journal holds; each schema has a file of its own."""
        for table in tables:
            place = (file, table.schema)
            if place not in self._open:
                self._open[place] = _Open(self._new_path(file))
            self._open[place].tables.append(table)
            self._open[place].unwritten += table.num_rows
            self._open[place].segments.add(segment)

    def write(self) -> Done:
        """Bring to disk what is not there.

        What the disk refuses is kept for the next time; what Arrow does would fail for ever.
        """
        rows, lost, errors = 0, 0, []
        today = max((file.day for file, _ in self._open), default="")
        for place, current in list(self._open.items()):
            try:
                size = _write(current) if current.unwritten else 0
            except OSError as error:
                errors.append(f"{current.path}: {first_line(error)}")
                continue
            except pa.ArrowException as error:
                errors.append(f"{current.path}: {first_line(error)}")
                lost += current.unwritten
                del self._open[place]
                continue
            rows, current.unwritten = rows + current.unwritten, 0
            current.segments.clear()
            if self._is_full(current, size) or place[0].day < today:
                del self._open[place]
        return Done(rows, lost, errors)

    def waiting(self) -> set[int]:
        """The segments of the journal that hold rows which are not on disk."""
        return set[int]().union(*(each.segments for each in self._open.values()))

    def _is_full(self, current: _Open, size: int) -> bool:
        rows = sum(table.num_rows for table in current.tables)
        return size >= self._file_bytes or rows >= self._file_rows

    def _new_path(self, file: File) -> Path:
        self._count += 1
        clock = time.strftime("%H%M%S", time.gmtime())
        name = f"{clock}-{self._token}-{self._count:06}.parquet"
        return self._folder / file.kind / f"day={file.day}" / name


def _write(current: _Open) -> int:
    """Write the file anew, its new rows added, and tell its size."""
    table = pa.concat_tables(current.tables).combine_chunks()
    current.tables = [table]
    part = current.path.with_name(f".{current.path.name}{PART}")
    current.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=repeated(table))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        part.replace(current.path)
    finally:
        part.unlink(missing_ok=True)
    return size


def repeated(table: pa.Table) -> list[str]:
    """Texts that come again and again; numbers are written faster without a dictionary."""
    return [
        each.name
        for each in table.schema
        if pa.types.is_string(each.type) and each.name not in UNIQUE
    ]


def remove_if_abandoned(part: Path) -> None:
    """Remove a part that nobody has written to for long; another process may do the same."""
    try:
        if time.time() - part.stat().st_mtime > ABANDONED_AFTER:
            part.unlink()
    except FileNotFoundError:
        return
