"""Read a table from a file, a folder, a URL or a database query, with notes on how it was read."""

import csv
import gzip
import json
import re
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zipfile import BadZipFile

import pyarrow as pa
from pyarrow import parquet

from machinery.pipeline.files import UserError, first_line

from .delimited import BLOCK_ROWS, SAMPLE, encoding, layout, read_csv
from .kinds import as_text, unique
from .plan import RawTable

NOT_A_TABLE = re.compile(r"[\0-\x08\x0e-\x1f]|\A\s*(?:<|%PDF|\[\s*\{)")  # bytes, HTML, a JSON list
CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
SCHEMES: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": dict.fromkeys(CHECKSUMS, "when_required")},  # for S3 of other vendors
    "https": {"client_kwargs": {"trust_env": True}},  # through a proxy if there is one
    "http": {"client_kwargs": {"trust_env": True}},
}
UNREADABLE = (OSError, EOFError, ValueError, LookupError, csv.Error, zlib.error, BadZipFile)
BOM = "\ufeff"
SAMPLE_ROWS = 1_000  # of a workbook, from which the layout is detected


def read(
    source: str, *, sql: str | None = None, database: str | None = None, encoding: str | None = None
) -> RawTable:
    """Read a table from a path, an s3:// or https:// URL, or by a query from a database.

    Raises:
        UserError: naming what is not readable, and the fix. No message shows a password.
    """
    if sql is not None or database is not None:
        return _query(sql or "", database or "")
    with tempfile.TemporaryDirectory() as folder:
        name, path = source, Path(source)
        if "://" in source:
            parts = urlsplit(source)  # user, password and query may be secret
            name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            path = _download(source, name, Path(folder))
        if not path.exists():
            raise UserError(f"{name} is missing; check the path")
        raw = (_folder if path.is_dir() else _file)(path, name, encoding)
    if not raw.table.num_rows:
        raise UserError(f"{name} has no rows under its header; get a table that has some")
    return raw


def _download(url: str, name: str, folder: Path) -> Path:
    """A copy of the file or folder."""
    import fsspec

    scheme, path = url.partition("://")[0], folder / "table"
    if scheme not in SCHEMES:
        raise UserError(f"{name} is neither s3:// nor https://; download it")
    try:
        system, inside = fsspec.core.url_to_fs(url, skip_instance_cache=True, **SCHEMES[scheme])
        if scheme == "s3" and system.isdir(inside):
            system.get(inside, str(path), recursive=True)
        else:
            system.get_file(inside, str(path))
    except Exception as error:  # of many types, and some messages contain the URL
        reason = getattr(error, "status", None) or type(error).__name__
        raise UserError(f"{name} cannot be fetched ({reason}); check address and keys") from None
    return path


def _folder(path: Path, name: str, encoding: str | None) -> RawTable:
    """All files of a folder; in a folder year=2024, year is a column."""
    tables: list[pa.Table] = []
    notes: dict[str, None] = {}
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_dir() or any(part[0] in "._" for part in parts):
            continue
        table, file_notes = _file(file, "/".join((name, *parts)), encoding)
        for column, _, value in (part.partition("=") for part in parts if "=" in part):
            table = table.append_column(column, pa.array([value] * len(table)))
        tables.append(table)
        notes |= dict.fromkeys(file_notes)
        if odd := {*table.column_names} ^ {*tables[0].column_names}:
            raise UserError(f"{name}: not all files have a column {min(odd)}; keep those apart")
    if not tables:
        raise UserError(f"{name} is an empty folder; name a file, or a folder with files")
    return RawTable(_concat(tables), [f"Files read and concatenated: {len(tables)}.", *notes])


def _concat(tables: list[pa.Table]) -> pa.Table:
    """All rows; as strings if a column has types that have none in common."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        texts = [pa.table([*map(as_text, table.columns)], table.column_names) for table in tables]
        return pa.concat_tables(texts, promote_options="default")


def _file(path: Path, name: str, encoding: str | None) -> RawTable:
    """One file, in the format that its content shows, whatever its suffix."""
    notes: list[str] = []
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"PAR1":
            table = parquet.read_table(path, partitioning=None)
        elif magic.startswith(b"PK"):
            table, notes = _excel(path, name)
        else:
            table, notes = _text(path, magic.startswith(b"\x1f\x8b"), name, encoding)
    except UNREADABLE as error:
        raise UserError(f"{name} is not readable: {first_line(error)}; get it again") from error
    names, renamed = _names(table.column_names)
    return RawTable(table.rename_columns(names), [*notes, *renamed])


def _names(headers: Iterable[str]) -> tuple[list[str], list[str]]:
    """A unique name for each column, and notes on the changes."""
    names: list[str] = []
    notes = []
    for number, name in enumerate(map(str.strip, headers), 1):
        names.append(unique(name or f"column_{number}", names))
        if names[-1] != name:
            reason = f"there are two named {name}" if name else "it has no name"
            notes.append(f"Column {number} is called {names[-1]} because {reason}.")
    return names, notes


def _text(path: Path, gzipped: bool, name: str, codec: str | None) -> tuple[pa.Table, list[str]]:
    """JSON lines or CSV."""
    opener: Any = gzip.open if gzipped else open
    notes: list[str] = []
    if codec is None:
        with opener(path, "rb") as file:
            codec, notes = encoding(file.read(), name)
    with opener(path, "rt", encoding=codec, newline="") as file:
        sample = file.read(SAMPLE).removeprefix(BOM)
    if not sample.strip():
        raise UserError(f"{name} is empty; get a table that has rows")
    if NOT_A_TABLE.search(sample):
        remedy = "save it as one of these, or name its --encoding"
        raise UserError(f"{name} is not CSV, JSON lines, Parquet or .xlsx; {remedy}")
    with opener(path, "rt", encoding=codec, newline="") as file:
        lines = chain([next(file).removeprefix(BOM)], file)
        if sample.lstrip().startswith("{"):
            return _json(lines), notes
        table, csv_notes = read_csv(lines, name, sample)
    return table, [*notes, *csv_notes]


def _json(lines: Iterator[str]) -> pa.Table:
    """JSON lines, one object per line."""
    tables = []
    while block := [*islice(lines, BLOCK_ROWS)]:
        rows = [json.loads(line) for line in block if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("not every line is an object")
        names = dict.fromkeys(name for row in rows for name in row)
        tables.append(pa.table({name: _array([row.get(name) for row in rows]) for name in names}))
    return _concat(tables)


def _excel(path: Path, name: str) -> tuple[pa.Table, list[str]]:
    """The first sheet of a workbook."""
    from openpyxl import load_workbook

    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # about unsupported styles
        try:
            book = load_workbook(file, data_only=True)
        except KeyError:
            raise UserError(f"{name} is an archive, not a workbook; unpack it first") from None
    rows = [row for row in book.worksheets[0].values if {*row} - {None}]
    if not rows:
        raise UserError(f"{name} has nothing in its first sheet; put the table there")
    sample = [["" if cell is None else str(cell) for cell in row] for row in rows[:SAMPLE_ROWS]]
    skip, names, notes = layout(sample, name)
    if len(book.sheetnames) > 1:
        notes.append(f"Only the first of {len(book.sheetnames)} sheets is read.")
    return pa.table([*map(_array, zip(*rows[skip:], strict=True))], names), notes


def _array(values: Sequence[Any]) -> pa.Array:
    """The values in their type, or as strings if they have several types."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])


def _query(sql: str, database: str) -> RawTable:
    """The rows of a query, fetched in blocks."""
    if not sql or not database:
        raise UserError("--sql and --database go together; give a query and the database's URL")
    import sqlalchemy as sa

    try:
        url = sa.make_url(database)
    except sa.exc.ArgumentError:
        raise UserError("--database is not a URL such as postgresql://user@host/name") from None
    name = f"{url.get_backend_name()}://{url.host or ''}/{url.database or ''}"
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise UserError(f"{url.database} is missing; check the path in --database")
    try:
        query = sa.text(sql.replace(":", r"\:"))  # no bind parameters
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(query)
            if not result.returns_rows:
                raise UserError("--sql gives no rows; write a SELECT")
            names, notes = _names(result.keys())
            tables = [
                pa.table([*map(_array, zip(*rows, strict=True))], names)
                for rows in result.partitions(BLOCK_ROWS)
            ]
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        for secret in filter(None, (url.password, *url.query.values())):
            reason = reason.replace(str(secret), "...")
        raise UserError(f"{name}: {reason}; check --database and --sql") from None
    if not tables:
        raise UserError(f"{name}: the query has no rows; change --sql")
    return RawTable(_concat(tables), [f"The rows are from {name}.", *notes])
