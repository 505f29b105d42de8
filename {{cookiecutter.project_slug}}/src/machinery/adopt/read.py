"""read: a file, folder, address or query in; its table, and in sentences how it was read, out."""

import codecs
import csv
import gzip
import json
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.files import UserError, first_line

from .delimited import BLOCK_BYTES, SAMPLE, encoding, lay_out, read_csv
from .kinds import as_text, unique
from .plan import Given

MARKS = {  # what files begin with that are not read
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save it as .xlsx or CSV",
    b"SQLite format 3": "a SQLite database; use --sql QUERY --database sqlite:///FILE",
    b"%PDF": "a PDF document; get the table as CSV",
    b"<": "a web page or XML; get the table as CSV",
}
CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
SCHEMES: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": dict.fromkeys(CHECKSUMS, "when_required")},  # not Amazon's alone
    "https": {"client_kwargs": {"trust_env": True}},  # by a proxy where there is one
    "http": {"client_kwargs": {"trust_env": True}},
}
UNREADABLE = (OSError, EOFError, ValueError, LookupError, SyntaxError, csv.Error, zlib.error)
ROWS_LAID_OUT = 1_000
ROWS_FETCHED = 50_000


def read(
    source: str, *, sql: str | None = None, database: str | None = None, encoding: str | None = None
) -> Given:
    """Read a table from a path, an s3:// or https:// address, or by a query from a database.

    Raises:
        UserError: naming what cannot be read, and what to do. No password is shown.
    """
    if sql is not None or database is not None:
        return _query(sql or "", database or "")
    with tempfile.TemporaryDirectory() as folder:
        name, path = source, Path(source)
        if "://" in source:
            parts = urlsplit(source)  # user, password and query may be secret
            name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            path = _fetched(source, name, Path(folder))
        if not path.exists():
            raise UserError(f"{name} is missing; look at the path")
        given = (_folder if path.is_dir() else _file)(path, name, encoding)
    if not given.table.num_rows:
        raise UserError(f"{name} has no rows under its header; get a table that has some")
    return given


def _fetched(url: str, shown: str, folder: Path) -> Path:
    """The file or folder at the address, copied."""
    import fsspec

    scheme, path = url.partition("://")[0], folder / "table"
    if scheme not in SCHEMES:
        raise UserError(f"{shown} is neither s3:// nor https://; download it")
    try:
        system, inside = fsspec.core.url_to_fs(url, skip_instance_cache=True, **SCHEMES[scheme])
        if scheme == "s3" and system.isdir(inside):
            system.get(inside, str(path), recursive=True)
        else:
            system.get_file(inside, str(path))
    except Exception as error:  # of many kinds, and some of their messages have the address
        why = getattr(error, "status", None) or type(error).__name__
        raise UserError(f"{shown} cannot be fetched ({why}); look at address and keys") from None
    return path


def _folder(path: Path, name: str, encoding: str | None) -> Given:
    """All its files, one after another; of a folder year=2024, year is a column."""
    inside = {file: file.relative_to(path).parts for file in sorted(path.rglob("*"))}
    hidden = {file for file, parts in inside.items() if any(part[0] in "._" for part in parts)}
    tables: list[pa.Table] = []
    notes: dict[str, None] = {}
    for file in inside:
        if file in hidden or file.is_dir():
            continue
        table, more = _file(file, "/".join((name, *inside[file])), encoding)
        for column, _, value in (part.partition("=") for part in inside[file] if "=" in part):
            table = table.append_column(column, pa.array([value] * len(table)))
        tables.append(table)
        notes |= dict.fromkeys(more)
        if others := {*table.column_names} ^ {*tables[0].column_names}:
            raise UserError(f"{name}: not all files have a column {min(others)}; keep others apart")
    if not tables:
        raise UserError(f"{name} is an empty folder; name a file, or a folder that has some")
    return Given(_joined(tables), [f"Files read, one after another: {len(tables)}.", *notes])


def _joined(tables: list[pa.Table]) -> pa.Table:
    """The rows of all, in the columns of the first; what does not go together is strings."""
    columns = {}
    for name in tables[0].column_names:
        parts = [table.select([name]) for table in tables]
        try:
            columns[name] = pa.concat_tables(parts, promote_options="permissive")[name]
        except pa.ArrowException:
            texts = [as_text(part[name]) for part in parts]
            columns[name] = pa.chunked_array([chunk for text in texts for chunk in text.chunks])
    return pa.table(columns)


def _file(path: Path, name: str, encoding: str | None) -> Given:
    """One file, by what it holds, whatever its name ends in."""
    try:
        with path.open("rb") as file:
            begins = file.read(16)
        for mark, what in MARKS.items():
            if begins.startswith(mark):
                raise UserError(f"{name} is {what}")
        if begins.startswith(b"\x1f\x8b"):
            with tempfile.TemporaryDirectory() as folder, gzip.open(path) as packed:
                unpacked = Path(folder, "unpacked")
                with unpacked.open("wb") as file:
                    shutil.copyfileobj(packed, file)
                return _file(unpacked, name, encoding)
        if begins.startswith(b"PAR1"):
            from pyarrow.parquet import read_table

            return _named(read_table(path, partitioning=None), [])
        if begins.startswith(b"PK"):
            return _named(*_excel(path, name))
        return _named(*_text(path, name, encoding))
    except UNREADABLE as error:
        raise UserError(f"{name} is not readable: {first_line(error)}; get it again") from error


def _named(table: pa.Table, notes: list[str]) -> Given:
    """Each column under a name of its own; one without name and values is left out."""
    columns: dict[str, pa.ChunkedArray] = {}
    notes = [*notes]
    for number, (given, column) in enumerate(
        zip(table.column_names, table.columns, strict=True), 1
    ):
        bare = given.strip()
        if not bare and not pc.any(pc.not_equal(as_text(column), "")).as_py():
            continue
        name = unique(bare or f"column_{number}", columns)
        if name != bare:
            why = f"there are two {bare}" if bare else "it has no name"
            notes.append(f"Column {number} is called {name}, for {why}.")
        columns[name] = column
    return Given(pa.table(columns), notes)


def _text(path: Path, name: str, codec: str | None) -> tuple[pa.Table, list[str]]:
    """JSON lines or CSV."""
    codec, notes = (codecs.lookup(codec).name, []) if codec else encoding(path, name)
    codec = "utf-8-sig" if codec == "utf-8" else codec
    with path.open(encoding=codec, newline="") as file:
        sample = file.read(SAMPLE)
    if not sample.strip():
        raise UserError(f"{name} is empty; get a table that has rows")
    if "\0" in sample:
        raise UserError(f"{name} is not text, unless --encoding utf-16-le or another one tells")
    begins = "".join(sample[:1000].split())
    if begins.startswith(("{", "[{")):
        return _json(path.read_text(codec), begins[0] == "["), notes
    table, more = read_csv(path, name, codec, sample)
    return table, [*notes, *more]


def _json(text: str, is_list: bool) -> pa.Table:
    """An object a line, or a list of them; what is nested becomes columns."""
    table = None if is_list else _plain_json(text)
    if table is None:
        lines = filter(str.strip, text.split("\n"))
        rows = json.loads(text) if is_list else [*map(json.loads, lines)]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("not every row is an object")
        names = dict.fromkeys(name for row in rows for name in row)
        table = pa.table({name: _array([row.get(name) for row in rows]) for name in names})
    while any(map(pa.types.is_struct, table.schema.types)):
        table = table.flatten()
    return table


def _plain_json(text: str) -> pa.Table | None:
    """The same, much faster; None where values have several types, or integers are not exact."""
    from pyarrow.json import ParseOptions, ReadOptions, read_json

    def parsed(schema: pa.Schema) -> pa.Table:
        options = ReadOptions(block_size=BLOCK_BYTES), ParseOptions(explicit_schema=schema)
        return read_json(pa.BufferReader(text.encode()), *options)

    try:
        table = parsed(pa.schema([]))
        times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        if times:  # which would lose their zones
            table = parsed(pa.schema([(time, pa.string()) for time in times]))
    except pa.ArrowInvalid:
        return None
    floats = [column for column in table.columns if pa.types.is_floating(column.type)]
    exact = all((pc.max(pc.abs(column)).as_py() or 0) < 2**53 for column in floats)
    return table if exact else None


def _excel(path: Path, name: str) -> tuple[pa.Table, list[str]]:
    """The first sheet of a workbook."""
    from openpyxl import load_workbook

    with zipfile.ZipFile(path) as archive:
        if "xl/workbook.xml" not in archive.namelist():
            raise UserError(f"{name} is an archive; unpack it, or save it as .xlsx or CSV")
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # of styles and the like
        book = load_workbook(file, read_only=True, data_only=True)
        rows = [row for row in book.worksheets[0].iter_rows(values_only=True) if {*row} - {None}]
        book.close()
    if not rows:
        raise UserError(f"{name} has nothing in its first sheet; put the table there")
    width = max(map(len, rows))
    rows = [row + (None,) * (width - len(row)) for row in rows]
    few = [["" if cell is None else str(cell) for cell in row] for row in rows[:ROWS_LAID_OUT]]
    skip, names, notes = lay_out(few, range(len(few) + 1))
    if len(book.sheetnames) > 1:
        notes.append(f"Of {len(book.sheetnames)} sheets only the first is read.")
    columns = [_array([row[at] for row in rows[skip:]]) for at in range(len(names))]
    return pa.Table.from_arrays(columns, names), notes


def _array(values: Sequence[Any]) -> pa.Array:
    """The values in their type, or as strings where they have several."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])


def _query(sql: str, database: str) -> Given:
    """The rows of a query, some at a time."""
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
        raise UserError(f"{url.database} is missing; look at the path in --database")
    try:
        query = sa.text(sql.replace(":", r"\:"))  # no parameters
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(query)
            if not result.returns_rows:
                raise UserError("--sql gives no rows; write a SELECT")
            names = [*result.keys()]
            tables = [
                pa.Table.from_arrays([*map(_array, zip(*rows, strict=True))], names)
                for rows in result.partitions(ROWS_FETCHED)
            ]
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        why = first_line(getattr(error, "orig", None) or error)
        for secret in filter(None, (url.password, *url.query.values())):
            why = why.replace(str(secret), "...")
        raise UserError(f"{name}: {why}; look at --database and --sql") from None
    if not tables:
        raise UserError(f"{name}: the query has no rows; change --sql")
    given = [_named(table, []) for table in tables]
    return Given(
        _joined([table for table, _ in given]), [f"The rows are from {name}.", *given[0].notes]
    )
