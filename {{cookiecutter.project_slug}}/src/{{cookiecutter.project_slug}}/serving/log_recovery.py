"""log_recovery: journals that killed processes have left in; their rows in Parquet files out.

The tables are made as the process itself would have made them. Rows that it had written before it
was killed stand in its files, whose names hold its token: they are not written twice. So do those
of a recovery that was killed itself, whose files hold both tokens.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from ..files import first_line
from .log_files import PART, DayFiles, remove_if_abandoned
from .log_journal import SUFFIX, read, taken
from .log_reader import table_of
from .log_tables import KEY, Entry, File, by_file, tables

CLOCKS = 3600  # seconds that the clocks of two machines may differ by
ROWS = {"answers": [*KEY, "time", "role"], "feedback": [*KEY, "time"]}  # what tells rows apart


class Recovered(NamedTuple):
    """How many rows were brought to disk, how many torn records left out, and what went wrong."""

    rows: int
    torn: int
    errors: list[str]


def recover(folder: Path) -> Recovered:
    """Write what lies in the segments of dead processes, and delete them; the living keep theirs.

    A segment whose rows cannot be written stays for the next time.
    """
    rows, torn, errors = 0, 0, list[str]()
    for part in folder.glob(f".*{SUFFIX}{PART}"):
        remove_if_abandoned(part)
    for path in sorted(folder.glob(f".*{SUFFIX}")):
        try:
            with taken(path) as file:
                if file is None:
                    continue
                found = _recover(path, file)
        except Exception as error:  # whatever is wrong with one, the others are recovered
            errors.append(f"{path}: {first_line(error)}")
        else:
            rows, torn = rows + found.rows, torn + found.torn
            errors += found.errors
    return Recovered(rows, torn, errors)


def _recover(path: Path, file: BinaryIO) -> Recovered:
    contract, entries, torn = read(file)
    token = path.name[1:].partition("-")[0]
    files = DayFiles(path.parent, f"{token}-{secrets.token_hex(4)}", 0, 0)  # written once
    lost = 0
    for group_file, group in by_file(entries):
        assert contract is not None  # no entry comes before it
        made = tables(group, contract)
        lost += sum(entry.rows for entry in group) - sum(table.num_rows for table in made)
        written = list(_written(path.parent, token, group_file, group))
        files.add(group_file, [_without(table, written, group_file.kind) for table in made])
    done = files.write()
    if not done.errors:
        path.unlink()
    odd = [f"{path}: {lost + done.lost} rows fit no table"] if lost + done.lost else []
    return Recovered(done.rows, torn, [*done.errors, *odd])


def _written(folder: Path, token: str, file: File, entries: list[Entry]) -> Iterator[pa.Table]:
    """What tells those rows apart that the process has written since the first of the entries."""
    since = min(entry.time for entry in entries) / 1e9 - CLOCKS
    for path in folder.glob(f"{file.kind}/day={file.day}/*-{token}-*.parquet"):
        if path.stat().st_mtime >= since and (table := table_of(path, ROWS[file.kind])) is not None:
            yield table


def _without(table: pa.Table, written: list[pa.Table], kind: str) -> pa.Table:
    if not written:
        return table
    return table.join(pa.concat_tables(written), ROWS[kind], join_type="left anti")
