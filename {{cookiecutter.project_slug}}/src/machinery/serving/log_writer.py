"""log_writer: journals in; Parquet files by day out, whole or not there, each row in one of them.

The files of a segment are named by it. While it grows they are written anew now and then, its new
rows added, so that a quiet service does not leave a file every few seconds; once it is sealed they
are written for the last time, and it is deleted. A writer that is killed in between leaves the
segment, of which the next one makes the same files.
"""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline.files import first_line
from .log_complaints import Complaints
from .log_journal import NEW, OPEN, SEALED, SUFFIX, locked, read, remove
from .log_tables import Group, groups

UNIQUE = ("request_id",)


class Writer:
    """Makes the files of journals below a folder.

    `done` counts what became of the rows: written_rows, of them recovered_rows (which killed
    processes have left), dropped_rows (which no file holds); torn_records, which killed processes
    had not written whole; and write_errors.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, int] = {}  # of growing segments, when they were written last
        self._complaints = Complaints()
        self.done: Counter[str] = Counter()

    def write(self, token: str, *, growing: bool = True, ended: bool = False) -> None:
        """Write the sealed segments of a journal, and the `growing` one.

        That is the last, too, when the journal's process has `ended`.
        """
        place = self._folder / f".{token}{SUFFIX}"
        with self._come_what_may(place), locked(place, fcntl.LOCK_SH) as ours:
            if ours:
                self._write(place, growing or ended, ended)

    def recover(self) -> None:
        """Write what dead processes have left; the living keep what is theirs."""
        for place in self._folder.glob(f".*{NEW}"):  # of processes that were killed at once
            with self._come_what_may(place), locked(place, fcntl.LOCK_EX) as alone:
                if alone:
                    remove(place)
        for place in sorted(self._folder.glob(f".*{SUFFIX}")):
            with self._come_what_may(place), locked(place, fcntl.LOCK_EX) as alone:
                if alone:
                    written, recovered = self.done["written_rows"], self.done["recovered_rows"]
                    self._write(place, growing=True, ended=True)
                    rows = self.done["written_rows"] - written
                    self.done["recovered_rows"] = recovered + rows

    @contextmanager
    def _come_what_may(self, path: Path) -> Iterator[None]:
        """What is wrong with one journal is counted and told, and comes in the way of no other."""
        try:
            yield
        except Exception as error:
            self._fail(path, error)

    def _write(self, place: Path, growing: bool, ended: bool) -> None:
        for path in sorted(place.glob(f"*{SEALED}")):
            self._make_files_of(path, last=True)
            self._sizes.pop(path.with_suffix(OPEN), None)
        for path in sorted(place.glob(f"*{OPEN}")) if growing else []:
            written = self.done["written_rows"]
            with suppress(FileNotFoundError):  # it was sealed in this moment
                size = path.stat().st_size
                if ended or size != self._sizes.get(path):
                    self._sizes[path] = size if self._make_files_of(path, last=ended) else -1
            if ended:  # it was not sealed, so its process was killed
                self.done["recovered_rows"] += self.done["written_rows"] - written
        if ended:
            remove(place)

    def _make_files_of(self, path: Path, *, last: bool) -> bool:
        """Make the files of a segment, and delete it if this is the `last` time; False if not.

        Raises:
            FileNotFoundError: when the segment is not there.
        """
        file = path.open("rb")
        with file, self._come_what_may(path):
            found = read(file)
            made = [*groups(found)] if found else []
            done = [self._make_file(path, *each) for each in enumerate(made)]
            if last and all(done):
                self._lose(sum(group.lost for group in made), path, "fit no table")
                self.done["torn_records"] += found.torn if found else path.stat().st_size > 0
                path.unlink()
            return all(done)
        return False

    def _make_file(self, segment: Path, number: int, group: Group) -> bool:
        """Make one of its files; what the disk refuses is kept for the next time."""
        if group.table is None:
            return True
        clock = time.strftime("%H%M%S", time.gmtime(group.time / 1e9))
        token = segment.parent.name[1:].removesuffix(SUFFIX)
        name = f"{clock}-{token}-{segment.stem}-{number:02}.parquet"
        path = self._folder / group.kind / f"day={group.day}" / name
        try:
            before = rows_in(path)
            if group.table.num_rows > before:
                write(group.table, path)
                self.done["written_rows"] += group.table.num_rows - before
        except pa.ArrowException as error:  # which would come again for ever
            self._fail(path, error)
            self._lose(group.table.num_rows, path, "fit no file")
        except OSError as error:
            self._fail(path, error)
            return False
        return True

    def _fail(self, path: Path, error: Exception) -> None:
        self.done["write_errors"] += 1
        self._complaints.tell(f"{path} is not written: {first_line(error)}")

    def _lose(self, rows: int, path: Path, why: str) -> None:
        if rows:
            self.done["dropped_rows"] += rows
            self._complaints.tell(f"{rows} rows of {path} {why}")


def rows_in(path: Path) -> int:
    """How many rows a file has; none if it is not there, or broken."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def write(table: pa.Table, path: Path) -> None:
    """Write a file in one step; whoever reads it meanwhile reads the one that was there before."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=repeated(table))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def repeated(table: pa.Table) -> list[str]:
    """Texts that come again and again; numbers are written faster without a dictionary."""
    return [
        each.name
        for each in table.schema
        if pa.types.is_string(each.type) and each.name not in UNIQUE
    ]
