"""Find the columns that order, group and identify the rows, as set or guessed."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from machinery.pipeline.data.columns import combine_chunks
from machinery.pipeline.files import UserError

from .facts import ENTITIES, IDS, PERIODS, ROWS, UUID, Summary, mostly, words
from .plan import TypedColumn
from .table import Table

Guess = tuple[str | None, list[str]]

MIN_TIMES = 10  # distinct times needed to order rows
MIN_GROUPS = 20  # needed to test on some of them
GROUP_ROWS = 1.5  # mean rows of a group, at least
MISSING = 0.01  # share of rows that `validate` tolerates
MEASURED = 100  # rows; in fewer, whole numbers that all differ may be measurements
EVEN = 0.2  # the median of identifiers is well within their range; that of amounts is low
NO_EVENT = frozenset("birth birthday born dob geburtsdatum death died due expiry expires".split())


def time_of(table: Table, option: str | None) -> Guess:
    """The datetime column that orders the rows, and what to ask about a guess.

    Among the columns without missing values, one by which the file is sorted comes first.
    Birthdays and the like are not events.
    """
    if option is not None:
        return _checked(table, option, "--time", ("datetime",)), []
    likely = [
        column
        for column, summary in _filled(table, ("datetime",))
        if summary.distinct >= MIN_TIMES and NO_EVENT.isdisjoint(words(column.header))
    ]
    if not likely:
        return None, []
    time = min(likely, key=lambda column: not _is_sorted(column))
    choice = f"{time.header} orders the rows, and the last ones are the test"
    if alternatives := [column.header for column in likely if column is not time]:
        choice = f"{choice}; {' or '.join(alternatives)} could do so as well"
    ways_out = "--time names another column, --time none draws the test rows at random"
    return time.name, [f"{choice}; {ways_out}."]


def group_of(table: Table, option: str | None, time: str | None) -> Guess:
    """The column that names groups of rows, and what to ask about a guess.

    None beside a time: the last rows of a customer would be in the test, the others in training.
    """
    if option is not None:
        return _checked(table, option, "--group", ("string", "integer")), []
    likely = [
        column
        for column, summary in _filled(table, ("string", "integer"))
        if summary.distinct >= MIN_GROUPS and summary.mean_rows >= GROUP_ROWS
        if is_identifier(column.header) and ROWS.isdisjoint(words(column.header)[-1:])
        if not time and not summary.is_prose
    ]
    if not likely:
        return None, []
    group = min(likely, key=lambda column: ENTITIES.isdisjoint(words(column.header)))
    choice = f"Rows of the same {group.header} stay together, in training or in test"
    ways_out = "--group names another column, --group none draws single rows"
    return group.name, [f"{choice}; {ways_out}."]


def key_of(table: Table, roles: set[str | None]) -> str | None:
    """A column that differs in all rows, and seems to be made for that."""
    likely = [
        column
        for column, _ in _filled(table, ("string", "integer"))
        if column.name not in roles and is_unique(table, column.name)
        if not table.is_set(column.name, "identifier", "false")
    ]
    likely.sort(key=lambda column: not is_identifier(column.header))
    return likely[0].name if likely else None


def is_unique(table: Table, name: str) -> bool:
    """Whether the column differs in all rows, and names or numbers them."""
    column, summary = table.columns[name], table.summaries[name]
    if column.type not in ("string", "integer") or summary.distinct < table.different:
        return False
    if is_identifier(column.header):
        return True
    if column.type == "string":
        return mostly(summary.texts, UUID)
    if PERIODS.intersection(words(column.header)):
        return False
    if table.rows < MEASURED:
        return summary.low in (0, 1) and summary.high - summary.low == table.rows - 1
    return EVEN < (summary.median - summary.low) / (summary.high - summary.low) < 1 - EVEN


def is_identifier(header: str) -> bool:
    """Whether the header says that the column identifies entities or rows."""
    name = words(header) or ["unnamed"]
    if name[0] in ("id", "unnamed") or name[-1] in IDS:
        return len(name) > 1 or name[0] not in ("number", "nr")
    return len(name) == 1 and name[0] in ROWS | ENTITIES


def _checked(table: Table, value: str, option: str, types: tuple[str, ...]) -> str | None:
    if value == "none":
        return None
    name = table.find(value, option)
    kind, missing = table.columns[name].type, 1 - table.summaries[name].filled / table.rows
    if kind not in types:
        remedy = f"name another column, or try --set {value}.type={types[0]}"
        raise UserError(f"{option} {value}: its type is {kind}, not {' or '.join(types)}; {remedy}")
    if missing > MISSING:
        remedy = "fill it in, or name another column"
        raise UserError(f"{option} {value}: it is missing in {missing:.1%} of the rows; {remedy}")
    return name


def _filled(table: Table, types: tuple[str, ...]) -> Iterator[tuple[TypedColumn, Summary]]:
    """Columns of these types without missing values, except personal ones."""
    for name, column in table.columns.items():
        summary = table.summaries[name]
        if column.type in types and summary.filled == table.rows and name not in table.personal:
            yield column, summary


def _is_sorted(column: TypedColumn) -> bool:
    times = np.asarray(combine_chunks(column.values).cast(pa.int64()))
    return bool(np.all(times[1:] >= times[:-1]))
