"""roles: a table that was looked at in; its time, group and key, given or guessed, out."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from machinery.pipeline.data.columns import combine_chunks
from machinery.pipeline.files import UserError

from .facts import IDS, PERIODS, ROWS, THINGS, UUID, Facts, is_prose, mostly, words
from .plan import Typed
from .table import Table

Guess = tuple[str | None, list[str]]

MOMENTS = 10  # different times, at least, to order rows by
APART = 20  # things, at least, to test on some of them
OFTEN = 1.5  # rows of a thing, on average at least
MISSING = 0.01  # share of rows that `validate` lets go
MEASURED = 100  # rows, in fewer of which whole numbers may all differ that are no names
EVEN = 0.2  # of names the median is well within the range; of amounts it is near the low end
NO_EVENT = frozenset("birth birthday born dob geburtsdatum death died due expiry expires".split())


def time_of(table: Table, given: str | None) -> Guess:
    """The datetime column that orders the rows, and what to ask of a guess.

    Of those that are always filled, one by which the file is sorted, else the first; a birthday is
    no event.
    """
    if given is not None:
        return _given(table, given, "--time", ("datetime",)), []
    likely = [
        column.name
        for column, seen in _filled(table, ("datetime",))
        if seen.distinct >= MOMENTS and NO_EVENT.isdisjoint(words(column.given))
    ]
    if not likely:
        return None, []
    name = min(likely, key=lambda name: not _is_sorted(table.columns[name]))
    others = " or ".join(table.columns[each].given for each in likely if each != name)
    doubt = f"; {others} could as well" if others else ""
    said = f"{table.columns[name].given} orders the rows, and the last ones are the test{doubt}"
    return name, [f"{said}; --time takes another column, --time none draws the test at random."]


def group_of(table: Table, given: str | None, time: str | None) -> Guess:
    """The column that names things of several rows each, and what to ask of a guess.

    None beside a time: the last rows of a customer would be apart from the others.
    """
    if given is not None:
        return _given(table, given, "--group", ("string", "integer")), []
    likely = [
        column.given
        for column, seen in _filled(table, ("string", "integer"))
        if seen.distinct >= APART and seen.mean_rows >= OFTEN and is_thing(column.given)
        if not time and words(column.given)[-1] not in ROWS and not is_prose(seen)
    ]
    if not likely:
        return None, []
    name = min(likely, key=lambda given: THINGS.isdisjoint(words(given)))
    said = f"Rows of one {name} stay together, in training or in test"
    way_out = "--group takes another column, --group none draws rows by themselves."
    return table.find(name, "--group"), [f"{said}; {way_out}"]


def key_of(table: Table, taken: set[str | None]) -> str | None:
    """A column that no two rows share, and that seems to be made for that."""
    likely = [
        column.name
        for column, _ in _filled(table, ("string", "integer"))
        if column.name not in taken and is_unique(table, column.name)
        if not table.is_set(column.name, "identifier", "false")
    ]
    return min(likely, key=lambda name: not is_thing(table.columns[name].given), default=None)


def is_unique(table: Table, name: str) -> bool:
    """Whether the column differs in all rows, and is a name or a number of them."""
    column, seen = table.columns[name], table.facts[name]
    if column.type not in ("string", "integer") or seen.distinct < table.different:
        return False
    if is_thing(column.given) or column.type == "string":
        return is_thing(column.given) or mostly(seen.texts, UUID)
    if PERIODS.intersection(words(column.given)):
        return False
    if table.rows < MEASURED:
        return seen.low in (0, 1) and seen.high - seen.low == table.rows - 1
    return EVEN < (seen.middle - seen.low) / (seen.high - seen.low) < 1 - EVEN


def is_thing(given: str) -> bool:
    """Whether the name says that the column names things, or rows."""
    own = words(given) or ["unnamed"]
    if own[0] in ("id", "unnamed") or own[-1] in IDS:
        return len(own) > 1 or own[0] not in ("number", "nr")
    return len(own) == 1 and own[0] in ROWS | THINGS


def _given(table: Table, given: str, option: str, types: tuple[str, ...]) -> str | None:
    if given == "none":
        return None
    name = table.find(given, option)
    kind, missing = table.columns[name].type, 1 - table.facts[name].filled / table.rows
    if kind not in types:
        remedy = f"name another column, or try --set {given}.type={types[0]}"
        raise UserError(f"{option} {given}: its type is {kind}, not {' or '.join(types)}; {remedy}")
    if missing > MISSING:
        remedy = "fill it in, or name another column"
        raise UserError(f"{option} {given}: it is missing in {missing:.1%} of the rows; {remedy}")
    return name


def _filled(table: Table, types: tuple[str, ...]) -> Iterator[tuple[Typed, Facts]]:
    """Columns of these types that have a value in every row, and are not personal."""
    for name, column in table.columns.items():
        seen = table.facts[name]
        if column.type in types and seen.filled == table.rows and name not in table.personal:
            yield column, seen


def _is_sorted(column: Typed) -> bool:
    times = np.asarray(combine_chunks(column.values).cast(pa.int64()))
    return bool(np.all(times[1:] >= times[:-1]))
