"""Write predictions to a file or folder that appears as a whole, and replaces nothing else."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from pyarrow.fs import FileType

from machinery.pipeline.files import UserError

from .locations import S3, Location, locate, locked, move
from .rows import BAD, VERSION
from .source import Source, read_schema

MARK = "_predicted.json"  # in a folder of parts written by `predict`
PART = re.compile(r"part-\d{6}\.(parquet|csv)")
PART_ROWS = 1_000_000


class Target:
    """The output and the file of bad rows beside it.

    Raises:
        UserError: if the name is invalid, the input would be replaced, or something exists that
            must not be replaced: `force` only replaces output of `predict`.
    """

    def __init__(self, text: str, source: Source, *, force: bool) -> None:
        """Validate the output before any row is read."""
        self.location, self.kind, self.is_folder = _parse(text, source.kind)
        path = PurePosixPath(self.location.path)
        stem = path.name.removesuffix(f".{self.kind}")
        self.bad = self.location._replace(path=str(path.with_name(f"{stem}.bad.{self.kind}")))
        for field in source.schema:
            if self.kind == "csv" and pa.types.is_nested(field.type):
                raise UserError(
                    f"{source.location}: {field.name} is {field.type}, which CSV cannot store; "
                    "write Parquet, or drop the column"
                )
        for target in (self.location, self.bad):
            for file in source.files:
                if file.is_within(target):
                    raise UserError(f"{target} would replace the input {file}; choose another OUT")
        self._force = force
        with locked(self.location):  # another run may just be replacing it
            self._refuse_existing()

    def finish(self, folder: Path, bad: int, *, is_valid: bool) -> None:
        """Move the bad rows, and the output if it is valid, from the work folder to their targets.

        Other runs with the same output wait meanwhile.

        Raises:
            UserError: if another run has written the output since this one started.
        """
        with locked(self.location):
            self._refuse_existing()
            if bad:
                move(folder / "bad", self.bad, folder / "old bad")
            elif self.bad.info.is_file:
                self.bad.system.delete_file(self.bad.path)
            if is_valid:
                if self.is_folder:
                    mark = f'{{"kind": "{self.kind}"}}'
                    (folder / "good" / MARK).write_text(mark, encoding="utf-8")
                move(folder / "good", self.location, folder / "old")

    def _refuse_existing(self) -> None:
        """Refuse what exists, unless `force` is set and `predict` wrote it."""
        for target in (self.location, self.bad):
            files = target.files(hidden=True)
            if target.info.type == FileType.NotFound and not files:
                continue
            if not self._force:
                raise UserError(f"{target} already exists; remove it or pass --force")
            if not self._is_predicted(target, files):
                raise UserError(
                    f"{target} was not written by predict, so --force does not replace it"
                )

    def _is_predicted(self, target: Location, files: list[Location]) -> bool:
        """Whether `predict` wrote it, by the last columns of a file or the mark in a folder."""
        if target.info.is_file:
            try:
                names = read_schema(target, self.kind).names[-len(BAD) :]
            except UserError:
                return False
            names = [name.rstrip("_") for name in names]
            return names[-1:] == [VERSION] or names == BAD.names
        paths = [file.path for file in files if not PART.fullmatch(file.name)]
        return paths == [f"{target.path}/{MARK}"]


class Writer:
    """Writes a file, or a folder of parts; the bytes depend on the rows alone."""

    def __init__(self, path: Path, kind: str, schema: pa.Schema, is_folder: bool = False) -> None:
        """Open the file, or the first part."""
        self._path, self._kind, self._schema, self._is_folder = path, kind, schema, is_folder
        self._rows = self._parts = 0
        if is_folder:
            path.mkdir()
        self._file: Any = self._open()

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if len(table):
            if self._is_folder and self._rows >= PART_ROWS:
                self._file.close()
                self._file, self._rows = self._open(), 0
            self._file.write_table(table)
            self._rows += len(table)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _open(self) -> Any:
        path = self._path
        if self._is_folder:
            path, self._parts = path / f"part-{self._parts:06}.{self._kind}", self._parts + 1
        if self._kind == "csv":
            return csv.CSVWriter(path, self._schema)
        return pq.ParquetWriter(path, self._schema, compression="zstd")


def _parse(text: str, kind: str) -> tuple[Location, str, bool]:
    """Location and kind of an OUT, and whether it is a folder: its name then has no suffix.

    Raises:
        UserError: if it is not the name of such a file or folder, or a link.
    """
    path = PurePosixPath(text.removeprefix(S3).rstrip("/"))
    is_bare = path.name in ("", "..") or (text.startswith(S3) and len(path.parts) == 1)
    if is_bare or str(path).startswith("~") or path.suffix not in ("", ".parquet", ".csv"):
        raise UserError(f"OUT is {text!r}; use NAME.parquet, NAME.csv or NAME/ (a folder)")
    target = locate(text)
    if not target.remote and Path(target.path).is_symlink():
        raise UserError(f"{target} is a link; use the path it points to, or remove it")
    return target, path.suffix[1:] or kind, text.endswith("/") or not path.suffix
