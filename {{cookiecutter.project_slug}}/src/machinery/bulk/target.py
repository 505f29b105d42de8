"""target: where predictions go: refused if something else is there, written whole or not at all."""

import json
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from pyarrow.fs import FileType

from machinery.pipeline.files import UserError

from .places import S3, Place, move, place, remove
from .rows import BAD, VERSION
from .source import Source, header

MARK = "_predicted.json"  # in a folder of parts that `predict` made
PART = re.compile(r"part-\d{6}\.(parquet|csv)")


class Target:
    """The output and the file of bad rows beside it.

    Raises:
        UserError: when the name is none, the input would be replaced, or something is there that
            `force` does not replace: it replaces what `predict` made.
    """

    def __init__(self, text: str, source: Source, *, force: bool) -> None:
        """Refuse what cannot be, before the first row is read."""
        self.place = _named(text)
        self.kind, self.folder = _form(text, source.kind)
        stem = self.place.name.removesuffix(f".{self.kind}")
        self.bad = self.place.beside(f"{stem}.bad.{self.kind}")
        if self.kind == "csv":
            source.refuse_nested()
        for target in (self.place, self.bad):
            for file in source.files:
                if f"{file.identity}/".startswith(f"{target.identity}/"):
                    raise UserError(f"{target} would replace the input {file}; give another OUT")
            _refuse_existing(target, force)
        self._force = force

    def finish_bad(self, folder: Path, count: int) -> None:
        """Bring the bad rows to their place; where there are none, no file stays."""
        _refuse_existing(self.bad, self._force)
        if count:
            move(folder / "bad", self.bad, folder / "old bad")
        else:
            remove(self.bad)

    def finish(self, folder: Path) -> None:
        """Bring the output to its place."""
        _refuse_existing(self.place, self._force)  # another run may have been faster
        if self.folder:
            (folder / "good" / MARK).write_text(json.dumps({"kind": self.kind}), encoding="utf-8")
        move(folder / "good", self.place, folder / "old")


class Writer:
    """Writes a file, or a folder of parts with so many rows; the bytes depend on the rows alone."""

    def __init__(
        self, path: Path, kind: str, schema: pa.Schema, part_rows: int | None = None
    ) -> None:
        """Open the file, or the first part."""
        self._path, self._kind, self._schema = path, kind, schema
        self._part_rows, self._rows, self._parts = part_rows, 0, 0
        if part_rows:
            path.mkdir()
        self._file: Any = self._open()

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        if len(table):
            if self._part_rows and self._rows >= self._part_rows:
                self._file.close()
                self._file, self._rows = self._open(), 0
            self._file.write_table(table)
            self._rows += len(table)

    def _open(self) -> Any:
        path = self._path
        if self._part_rows:
            path, self._parts = path / f"part-{self._parts:06}.{self._kind}", self._parts + 1
        if self._kind == "csv":
            return csv.CSVWriter(path, self._schema)
        return pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: Any, ___: TracebackType | None) -> None:
        self._file.close()


def _named(text: str) -> Place:
    """The place of an OUT.

    Raises:
        UserError: when it names no file or folder, or a link.
    """
    path = text.removeprefix(S3).rstrip("/")
    if path.rpartition("/")[2] in ("", ".", "..") or (text.startswith(S3) and "/" not in path):
        raise UserError(f"OUT is {text!r}; give NAME.parquet, NAME.csv or NAME/ (a folder)")
    if path.startswith("~"):
        raise UserError(f"OUT is {text!r}, where nothing replaces ~; write the folder's path")
    target = place(text)
    if not target.remote and Path(target.path).is_symlink():
        raise UserError(f"{target} is a link; name what it points to, or remove it")
    return target


def _form(text: str, kind: str) -> tuple[str, bool]:
    """The kind of the output, and whether it is a folder of parts: a name without an ending is."""
    folder = text.endswith("/")
    for end in (".parquet", ".csv"):
        if text.rstrip("/").endswith(end):
            return end[1:], folder
    if "." in text.rpartition("/")[2]:
        raise UserError(f"{text} must end in .parquet, .csv or / (a folder of parts)")
    return kind, True


def _refuse_existing(target: Place, force: bool) -> None:
    """Refuse what is there already, unless it is to be replaced and `predict` made it."""
    files = target.files(hidden=True)
    if target.info.type == FileType.NotFound and not files:
        return
    if not force:
        raise UserError(f"{target} is there already; remove it or add --force")
    if not _is_ours(target, files):
        raise UserError(f"{target} was not made by predict, so --force does not replace it")


def _is_ours(target: Place, files: list[Place]) -> bool:
    """Whether `predict` made a file (its last columns tell) or all of a folder (a mark does)."""
    if target.info.type == FileType.File:
        try:
            names = pq.read_schema(target.path, filesystem=target.system).names
        except (pa.ArrowInvalid, OSError):
            try:
                names = header(target)
            except UserError:
                return False
        return [*names[-1:]] == [VERSION] or [*names[-3:]] == [*BAD.names]
    others = [each.path for each in files if not PART.fullmatch(each.name)]
    return len(others) == 1 and others[0] == target.within(MARK).path
