"""log_journal: entries in, bytes that outlive their process out; and back, once it was killed.

Before anybody is answered, an entry is appended to the journal of its process with one write. It
then stands in the system's page cache, which `kill -9` does not touch; a power cut may take it,
since nothing is forced to disk. The journal is a chain of segments, `.TOKEN-000001.journal` in the
log's folder, hidden from readers. A segment is locked while its process lives, and deleted once
its rows stand in Parquet files. It begins with the contract that its rows were read by, so that
whoever finds it needs nothing else. Its records are MessagePack, each behind its length.
"""

import errno
import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np

from ..contract import Contract
from .log_files import PART
from .log_tables import Answered, Entry, Outcome

SUFFIX = ".journal"
LENGTH = Struct("<Q")


class Journal:
    """What one process has handed over and may not have written; nothing is made before it is."""

    def __init__(self, folder: Path, token: str, contract: Contract) -> None:
        self._folder, self._token = folder, token
        self._head = contract.model_dump_json().encode()
        self._current: _Segment | None = None
        self._older: dict[int, _Segment] = {}
        self._number = 1

    def append(self, entry: Entry) -> None:
        """Keep an entry.

        Raises:
            OSError: when it could not be written; the entries before it are as they were.
            ValueError: when it holds what MessagePack does not.
        """
        record = ENCODER.encode((isinstance(entry, Answered), entry))
        if self._current is None:
            path = self._folder / f".{self._token}-{self._number:06}{SUFFIX}"
            self._current = _Segment(path, self._head)
        self._current.append(record)

    def rotate(self) -> int:
        """Begin another segment with the next entry; the number of the one that ends."""
        if self._current is not None:
            self._older[self._number], self._current = self._current, None
        self._number += 1
        return self._number - 1

    def forget(self, needed: Collection[int] = ()) -> None:
        """Delete the segments that have ended, but for those that are still needed."""
        for number in self._older.keys() - {*needed}:
            self._older.pop(number).delete()

    def close(self) -> None:
        """Leave what is not written to whoever looks for it next."""
        self.rotate()
        while self._older:
            self._older.popitem()[1].close()


class _Segment:
    """A file of records, locked for as long as it is open; it has its name once it is locked."""

    def __init__(self, path: Path, head: bytes) -> None:
        self._path, self._size = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}{PART}")
        self._file = part.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(head)
            part.rename(path)
        except OSError:
            self.close()
            part.unlink(missing_ok=True)
            raise

    def append(self, record: bytes) -> None:
        """Write all of it or nothing."""
        data = LENGTH.pack(len(record)) + record
        if self._file.write(data) < len(data):
            self._file.truncate(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)

    def delete(self) -> None:
        """Remove it, then its lock."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Take its lock off."""
        self._file.close()


class Found(NamedTuple):
    """What a segment holds: the contract of its rows, its entries, and records that are torn."""

    contract: Contract | None
    entries: list[Entry]
    torn: int


@contextmanager
def taken(path: Path) -> Iterator[BinaryIO | None]:
    """The segment, locked; None when its process lives, or another has just dealt with it."""
    try:
        file = path.open("r+b")  # some file systems lock only what may be written to
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file if os.fstat(file.fileno()).st_nlink else None


def read(file: BinaryIO) -> Found:
    """All that stands in a segment; a torn record is one that nobody was answered after."""
    records = list(_records(file))
    if not records or records[0] is None:
        return Found(None, [], len(records))
    entries = [_entry(record) for record in records[1:]]
    whole = [entry for entry in entries if entry is not None]
    contract = Contract.model_validate_json(records[0])
    return Found(contract, whole, len(entries) - len(whole))


def _records(file: BinaryIO) -> Iterator[bytes | None]:
    """The records; None for the last one, if it ends before its end."""
    while start := file.read(LENGTH.size):
        length = LENGTH.unpack(start)[0] if len(start) == LENGTH.size else -1
        left = os.fstat(file.fileno()).st_size - file.tell()
        if not 0 <= length <= left:
            yield None
            return
        yield file.read(length)


def _entry(record: bytes | None) -> Entry | None:
    try:
        answered, packed = TAGGED.decode(record or b"")
        return ANSWERED.decode(packed) if answered else OUTCOME.decode(packed)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None


def _plain(array: np.ndarray) -> tuple[str, tuple[int, ...], Any]:
    """An array as MessagePack takes it: texts as a list, numbers as the bytes that they are."""
    kind = array.dtype.str
    return kind, array.shape, array.tolist() if kind == "|O" else array.tobytes()


def _array(_: type, plain: tuple[str, tuple[int, ...], Any]) -> np.ndarray:
    kind, shape, values = plain
    if kind == "|O":
        return np.array(values, dtype=object)
    return np.frombuffer(values, kind).reshape(shape)


ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
TAGGED = msgspec.msgpack.Decoder(tuple[bool, msgspec.Raw])
ANSWERED = msgspec.msgpack.Decoder(Answered, dec_hook=_array)
OUTCOME = msgspec.msgpack.Decoder(Outcome)
