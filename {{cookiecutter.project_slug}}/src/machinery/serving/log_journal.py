"""log_journal: answers and outcomes in, bytes that outlive their process out; and back.

Before anybody is answered, a record is appended to the journal of its process with one write. It
then stands in the system's page cache, which `kill -9` does not touch; a power cut may take it,
since nothing is forced to disk.

A journal is a folder `.TOKEN.journal` in the log's, hidden from readers, of segments: `000001.open`
grows, `000001.sealed` is whole. A segment begins with the schema that its rows were read by, so
that whoever finds it needs nothing else. Its records are MessagePack, each behind its length. The
journal's process and the writer of its files share the lock of the folder: who gets it alone knows
that both are dead.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

import msgspec

from machinery.pipeline.files import UserError
from .log_records import Answered, DECODER, ENCODER, Layout, Outcome, Record, Schema

FORMAT = 2
SUFFIX, NEW = ".journal", ".new"
OPEN, SEALED = ".open", ".sealed"
LENGTH = Struct("<Q")
ROOM = 16_000_000  # bytes, which is enough for any segment and its files
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # on this disk
OTHER = "of another version of the service; start that once to read it"
DAY = 86_400_000_000_000  # nanoseconds


class _Head(msgspec.Struct, array_like=True):
    """What a segment begins with."""

    format: int
    schema: Schema
    layouts: list[Layout]


class Found(NamedTuple):
    """What a segment holds: the schema of its rows, layouts, records, and how many are torn."""

    schema: Schema
    layouts: list[Layout]
    records: list[Answered | Outcome]
    torn: int


HEAD = msgspec.msgpack.Decoder(_Head)
FORMATS = msgspec.msgpack.Decoder(list[Any])


class Journal:
    """What one process has handed over; nothing is made before there is something."""

    def __init__(self, folder: Path, schema: Schema, rows: int, size: int) -> None:
        """A segment is sealed at so many rows or bytes, and at the end of the day (UTC)."""
        self.token = secrets.token_hex(4)
        self._folder, self._schema = folder, schema
        self._rows, self._size = rows, size
        self._layouts: dict[Layout, int] = {}
        self._lock: BinaryIO | None = None
        self._number = 0
        self._open: _Segment | None = None
        self._sealed: list[tuple[Path, int]] = []

    def layout(self, found: Layout) -> int:
        """The number of a layout, which records name it by."""
        return self._layouts.setdefault(found, len(self._layouts))

    def append(self, record: bytes, rows: int, time: int) -> bool:
        """Keep an encoded record; True when that sealed a segment.

        Raises:
            OSError: when it could not be written; the records before it are as they were.
        """
        sealed = self._open is not None and self._open.day != time // DAY
        if sealed:
            self.seal()
        segment = self._open or self._begin(time // DAY)
        while segment.told < len(self._layouts):
            segment.append(ENCODER.encode([*self._layouts][segment.told]), 0)
            segment.told += 1
        segment.append(record, rows)
        if segment.rows >= self._rows or segment.size >= self._size:
            self.seal()
        return sealed or self._open is None

    def seal(self) -> None:
        """End the segment that grows, if one does: its files can be written for good."""
        if self._open is not None:
            segment, self._open = self._open, None
            self._sealed.append((segment.seal(), segment.rows))

    def rows(self) -> tuple[int, int]:
        """How many rows wait in segments that are sealed, and in the one that grows."""
        self._sealed = [each for each in self._sealed if each[0].exists()]
        waiting = sum(rows for _, rows in self._sealed)
        return waiting, self._open.rows if self._open else 0

    def close(self) -> None:
        """Leave the journal to its writer, or to whoever looks for it next."""
        self.seal()
        if self._lock is not None:
            self._lock.close()

    def _begin(self, day: int) -> "_Segment":
        place = self._folder / f".{self.token}{SUFFIX}"
        if self._lock is not None and os.fstat(self._lock.fileno()).st_nlink == 0:
            self._lock.close()  # somebody has removed the folder
            self._lock = None
        self._lock = self._lock or _make(place)
        self._look_for_room()
        head = ENCODER.encode(_Head(FORMAT, self._schema, [*self._layouts]))
        self._open = _Segment(place / f"{self._number + 1:06}{OPEN}", head, day)
        self._open.told = len(self._layouts)
        self._number += 1
        return self._open

    def _look_for_room(self) -> None:
        """Leave some for the files: a disk that journals have filled would never get empty."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < min(2 * self._size, ROOM):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Segment:
    """A file of records; `told` is how many layouts it holds."""

    def __init__(self, path: Path, head: bytes, day: int) -> None:
        self._path, self.day, self.told = path, day, 0
        self.rows = self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            self.append(head, 0)
        except OSError:
            path.unlink()
            os.close(self._file)
            raise

    def append(self, record: bytes, rows: int) -> None:
        """Write a record whole, or not at all."""
        length = LENGTH.size + len(record)
        done = os.writev(self._file, (LENGTH.pack(len(record)), record))
        if done < length:
            os.ftruncate(self._file, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += length
        self.rows += rows

    def seal(self) -> Path:
        """Close it under its last name."""
        os.close(self._file)
        sealed = self._path.with_suffix(SEALED)
        try:
            return self._path.rename(sealed)
        except OSError:  # of a folder that is gone, whose rows are, too
            return sealed


def _make(place: Path) -> BinaryIO:
    """A journal's folder and its lock; it has its name once it is locked."""
    made = place.with_suffix(NEW)
    made.mkdir(parents=True, exist_ok=True)
    lock = (made / "lock").open("w+b")
    try:
        _take(lock, fcntl.LOCK_SH)
        made.rename(place)
    except OSError:
        lock.close()
        raise
    return lock


@contextmanager
def locked(place: Path, how: int) -> Iterator[bool]:
    """Hold the lock of a journal (LOCK_SH or LOCK_EX), if it is there and nobody else's.

    Raises:
        UserError: for a journal of a former version, which was a file.
        OSError: where the disk knows no locks, so that nobody can tell whose process lives.
    """
    if place.is_file():
        raise UserError(f"{place} is {OTHER}")
    try:
        lock = (place / "lock").open("r+b")  # some file systems lock only what may be written to
    except FileNotFoundError:
        yield False
        return
    with lock:
        try:
            _take(lock, how)
        except BlockingIOError:
            yield False
        else:
            yield os.fstat(lock.fileno()).st_nlink > 0


def _take(lock: BinaryIO, how: int) -> None:
    """Take a lock; where there are none, what is shared can do without."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS or how != fcntl.LOCK_SH:
            raise


def remove(place: Path) -> None:
    """Remove a journal that holds no segments."""
    with suppress(OSError):  # it holds some that could not be written
        if {path.name for path in place.iterdir()} <= {"lock"}:
            (place / "lock").unlink()
            place.rmdir()


def read(file: BinaryIO) -> Found | None:
    """All that stands in a segment so far; None when it has not got a whole head.

    Raises:
        UserError: when another version of this program wrote it.
    """
    first, *others = [*_records(file)] or [None]
    if first is None:
        return None
    if FORMATS.decode(first)[:1] != [FORMAT]:
        raise UserError(f"{file.name} is {OTHER}")
    head = HEAD.decode(first)
    layouts, records, torn = head.layouts, list[Answered | Outcome](), 0
    for record in map(_decoded, others):
        match record:
            case Layout():
                layouts.append(record)
            case None:
                torn += 1
            case _:
                records.append(record)
    return Found(head.schema, layouts, records, torn)


def _records(file: BinaryIO) -> Iterator[bytes | None]:
    """The records; None for the last one, if it ends before its end."""
    data, at = file.read(), 0
    while at < len(data):
        start = at + LENGTH.size
        end = start + LENGTH.unpack_from(data, at)[0] if start <= len(data) else start
        if end > len(data):
            yield None
            return
        yield data[start:end]
        at = end


def _decoded(record: bytes | None) -> Record | None:
    try:
        return None if record is None else DECODER.decode(record)
    except (msgspec.DecodeError, ValueError):
        return None
