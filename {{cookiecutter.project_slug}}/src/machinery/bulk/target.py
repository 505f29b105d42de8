"""target: where predictions go: refused if something else is there, written whole or not at all."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from pyarrow.fs import FileType

from machinery.pipeline.files import UserError

from .places import S3, Place, locked, move, place
from .rows import BAD, VERSION
from .source import Source, schema

MARK = "_predicted.json"  # in a folder of parts that `predict` made
PART = re.compile(r"part-\d{6}\.(parquet|csv)")
PART_ROWS = 1_000_000


class Target:
    """The output and the file of bad rows beside it.

    Raises:
        UserError: when the name is none, the input would be replaced, or something is there that
            `force` does not replace: it replaces what `predict` made.
    """

    def __init__(self, text: str, source: Source, *, force: bool) -> None:
        """Refuse what cannot be, before the first row is read."""
        self.place, self.kind, self.folder = _named(text, source.kind)
        stem = self.place.name.removesuffix(f".{self.kind}")
        self.bad = self.place.beside(f"{stem}.bad.{self.kind}")
        for field in source.schema:
            if self.kind == "csv" and pa.types.is_nested(field.type):
                raise UserError(
                    f"{source.place}: {field.name} is {field.type}, which CSV cannot hold; "
                    "write Parquet, or drop the column"
                )
        for target in (self.place, self.bad):
            for file in source.files:
                if file.is_within(target):
                    raise UserError(f"{target} would replace the input {file}; give another OUT")
        self._force = force
        with locked(self.place):  # or another run may be about to replace what is looked at
            self._refuse_existing()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """While other runs wait to bring theirs: refuse what one has brought since the start."""
        with locked(self.place):
            self._refuse_existing()
            yield

    def finish_bad(self, folder: Path, count: int) -> None:
        """Bring the bad rows to their place; where there are none, no file stays."""
        if count:
            move(folder / "bad", self.bad, folder / "old bad")
        elif self.bad.info.is_file:
            self.bad.system.delete_file(self.bad.path)

    def finish(self, folder: Path) -> None:
        """Bring the output to its place."""
        if self.folder:
            (folder / "good" / MARK).write_text(f'{{"kind": "{self.kind}"}}', encoding="utf-8")
        move(folder / "good", self.place, folder / "old")

    def _refuse_existing(self) -> None:
        """Refuse what is there already, unless it is to be replaced and `predict` made it."""
        for target in (self.place, self.bad):
            files = target.files(hidden=True)
            if target.info.type == FileType.NotFound and not files:
                continue
            if not self._force:
                raise UserError(f"{target} is there already; remove it or add --force")
            if not self._is_ours(target, files):
                raise UserError(f"{target} was not made by predict, so --force does not replace it")

    def _is_ours(self, target: Place, files: list[Place]) -> bool:
        """Whether `predict` made it: a file's last columns tell, in a folder a mark does."""
        if target.info.is_file:
            try:
                names = [name.rstrip("_") for name in schema(target, self.kind).names[-len(BAD) :]]
            except UserError:
                return False
            return bool(names[-1:] == [VERSION] or names == BAD.names)
        others = [each.path for each in files if not PART.fullmatch(each.name)]
        return others == [f"{target.path}/{MARK}"]


class Writer:
    """Writes a file, or a folder of parts; the bytes depend on the rows alone."""

    def __init__(self, path: Path, kind: str, schema: pa.Schema, *, folder: bool = False) -> None:
        """Open the file, or the first part."""
        self._path, self._kind, self._schema, self._folder = path, kind, schema, folder
        self._rows = self._parts = 0
        if folder:
            path.mkdir()
        self._file: Any = self._open()

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        if len(table):
            if self._folder and self._rows >= PART_ROWS:
                self._file.close()
                self._file, self._rows = self._open(), 0
            self._file.write_table(table)
            self._rows += len(table)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _open(self) -> Any:
        path = self._path
        if self._folder:
            path, self._parts = path / f"part-{self._parts:06}.{self._kind}", self._parts + 1
        if self._kind == "csv":
            return csv.CSVWriter(path, self._schema)
        return pq.ParquetWriter(path, self._schema, compression="zstd")


def _named(text: str, kind: str) -> tuple[Place, str, bool]:
    """Place and kind of an OUT, and whether it is a folder of parts: a name without an ending is.

    Raises:
        UserError: when it names no file or folder of these, or a link.
    """
    path = PurePosixPath(text.removeprefix(S3).rstrip("/"))
    bare = path.name in ("", "..") or (text.startswith(S3) and len(path.parts) == 1)
    if bare or str(path).startswith("~") or path.suffix not in ("", ".parquet", ".csv"):
        raise UserError(f"OUT is {text!r}; give NAME.parquet, NAME.csv or NAME/ (a folder)")
    target = place(text)
    if not target.remote and Path(target.path).is_symlink():
        raise UserError(f"{target} is a link; name what it points to, or remove it")
    return target, path.suffix[1:] or kind, text.endswith("/") or not path.suffix
