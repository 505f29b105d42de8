"""profile: typed columns in; the roles they take, the contract's facts and every decision out."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, isfinite, log10
from shlex import quote
from typing import cast

import pyarrow.compute as pc

from machinery.pipeline.files import UserError

from .facts import FEW, IDS, THINGS, Facts, is_prose, listed, unit, words
from .leaks import Leaks
from .plan import Column, Plan, Typed, Use
from .roles import group_of, is_thing, is_unique, key_of, time_of
from .table import Table
from .target import Target, target_of

FEW_TEXTS = 50  # different ones, up to which they are a category
UNSEEN = 0.01  # share of rows whose text is in no other: so many new ones will come
RETURNS = 10  # rows of a thing, from which its name says more than which row it is
PLAIN = "", "Text.", "Numbers.", "Whole numbers."  # reasons for a type that need no telling
PLANNED = frozenset("due scheduled planned expected promised expiry expires deadline end".split())


def plan(
    columns: Sequence[Typed],
    target: str,
    *,
    time: str | None = None,
    group: str | None = None,
    task: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Plan:
    """What will be made of the table, and every decision on the way.

    Args:
        columns: the table in its types.
        target: what is predicted, by the name given or the new one, as `time` and `group` are.
        time: orders the rows; "none" where nothing does; None to guess.
        group: rows of one group stay together; "none" and None as above.
        task: classification, regression or counts; None to guess.
        overrides: `column.attribute` to its value, as --set has them.

    Raises:
        UserError: naming the column that cannot be what it is to be.
    """
    if {time, group}.isdisjoint({None, "none"}):
        fault = "rows are parted by time or by group, not by both"
        raise UserError(f"--time {time} --group {group}: {fault}; name one of them")
    table = Table(columns, overrides or {})
    target = table.find(target, "--target")
    unlabelled = table.keep_labelled(target)
    outcome = target_of(table.columns[target], task, table.settings[target].get("positive"))
    table.scan(target)
    at, asked = time_of(table, time or (None if group in (None, "none") else "none"))
    by, asked_too = group_of(table, group, at)
    if target in (at, by):
        raise UserError(f"{target} is the target, so it cannot order or group the rows")
    key = key_of(table, {target, at, by})
    profile = _Profile(table, target, outcome, {"key": key, "time": at, "group": by})
    described = {name: profile.column(name) for name in table.columns}
    # Rows are alike by chance if others, alike as well, differ in the target as chance has it.
    duplicates = table.repeated if table.mixed <= table.alike * outcome.unlike / 4 else 0
    said = [f"{table.columns[target].given} {note}." for note in outcome.notes]
    if unlabelled:
        said.append(f"Rows without {table.columns[target].given}: {unlabelled:,}, left out.")
    if table.repeated:
        kept = "left out" if duplicates else "kept, for others like them differ in the target"
        said.append(f"Rows that repeat another one: {table.repeated:,} of {table.rows:,}, {kept}.")
    if not key:
        said.append("No column tells the rows apart: they are numbered.")
    return Plan(
        kind=outcome.kind,
        target=target,
        positive=outcome.positive,
        key=key,
        time=at,
        group=by,
        columns=described,
        rows=table.rows,
        unlabelled=unlabelled,
        duplicates=duplicates,
        kept_duplicates=(table.alike_but_for(key) if key else table.repeated) - duplicates,
        decisions=said + [f"{listed(each)}: {text}." for text, each in profile.decisions.items()],
        questions=[
            *(outcome.questions + asked + asked_too),
            *(
                f"{listed(each)}: {text}; --set {quote(f'{each[0]}.{way_out}')} uses it."
                for (text, way_out), each in profile.questions.items()
            ),
        ],
    )


class _Profile:
    """Column by column: what it is in the contract, and whether it is a feature.

    `decisions` and `questions` have what is said, and of which columns.
    """

    def __init__(
        self, table: Table, target: str, outcome: Target, roles: dict[str, str | None]
    ) -> None:
        """Nothing is decided yet."""
        self.table, self.target, self.outcome = table, target, outcome
        self.roles = {name: role for role, name in roles.items() if name}
        self.time = roles["time"]
        self.leaks = Leaks(table.columns[target].given, outcome)
        numbers = [
            column
            for name, column in table.columns.items()
            if column.type in ("integer", "number") and table.facts[name].filled
            if name != target and not table.is_set(name, "known", "before")
        ]
        self.parts = self.leaks.parts(numbers)
        self.used: dict[int, str] = {}
        self.decisions: dict[str, list[str]] = {}
        self.questions: dict[tuple[str, str], list[str]] = {}

    def column(self, name: str) -> Column:
        """The column of the contract."""
        typed, seen = self.table.columns[name], self.table.facts[name]
        column = Column(name, typed.given, typed.type, "none", nullable=True)
        if typed.type in ("integer", "number"):
            column.unit = self.table.settings[name].get("unit") or typed.unit or unit(typed.given)
        if name == self.target:
            column.type, column.known, column.nullable = self.outcome.type, "after", False
            column.allowed = list(self.outcome.classes)
            if column.type != "category":
                column.allowed = _range(typed, seen) if column.type != "boolean" else None
            column.notes = [f"The target {note}." for note in self.outcome.notes]
        elif name in self.roles:
            column.identifier, column.nullable = name != self.time, False
            column.personal = column.identifier and name in self.table.personal
            column.use = "none" if column.identifier else "date"
            self._say(column, self.roles[name])
        elif not self._is_set_aside(column, seen):
            column.nullable = seen.filled < seen.rows
            self._use(column, typed, seen)
        return column

    def _say(self, column: Column, text: str, way_out: str = "") -> None:
        column.notes.append(f"{text[:1].upper()}{text[1:]}.")
        self.decisions.setdefault(text, []).append(column.given)
        if way_out and "--set" not in text:
            self.questions.setdefault((text, way_out), []).append(column.given)

    def _is_set_aside(self, column: Column, seen: Facts) -> bool:
        """Whether no feature is made of the column; why is said."""
        name, digest = column.name, self.table.digests[column.name]
        use = self.table.settings[name].get("use")
        if reason := self.table.personal.get(name):
            column.personal = True
            self._say(column, f"personal ({reason}), not used", "personal=false")
        elif not seen.filled:
            self._say(column, "empty, not used")
        elif use == "none":
            self._say(column, "not used, as --set says")
        elif reason := self._leak(name):
            column.known = "after"
            self._say(column, f"known only after the outcome ({reason}), not used", "known=before")
        elif seen.distinct == 1 and seen.filled == seen.rows and not use:
            self._say(column, "always the same, not used")
        elif reason := self._identifier(name):
            column.identifier = True
            self._say(column, f"identifier ({reason}), not used")
        elif digest in self.used and not use:
            self._say(column, f"tells the same as {self.used[digest]}, not used")
        else:
            self.used[digest] = column.given
            return False
        return True

    def _identifier(self, name: str) -> str | None:
        column, seen = self.table.columns[name], self.table.facts[name]
        settings = self.table.settings[name]
        if forced := settings.get("identifier"):
            return "as --set says" if forced == "true" else None
        if "use" in settings or column.type not in ("string", "integer") or is_prose(seen):
            return None
        if is_unique(self.table, name):
            return "differs in every row"
        if column.type == "string" and seen.distinct > seen.filled / 2:
            return "differs in most rows"
        if is_thing(column.given) and seen.distinct > FEW and seen.mean_rows < RETURNS:
            return "names things of few rows each"
        return None

    def _leak(self, name: str) -> str | None:
        column = self.table.columns[name]
        if forced := self.table.settings[name].get("known"):
            return "as --set says" if forced == "after" else None
        if self.table.digests[name] == self.table.digests[self.target]:
            return "it tells the same as the target"
        if column.type == "datetime" and self.time and PLANNED.isdisjoint(words(column.given)):
            start = self.table.columns[self.time]
            earlier = pc.any(pc.less(column.values, start.values)).as_py()
            later = pc.mean(pc.greater(column.values, start.values)).as_py() or 0
            if not earlier and later > 0.5:
                return f"it is later than {start.given}"
        if name in self.parts:
            return f"the target follows from {listed(self.parts)}"
        return None if is_unique(self.table, name) else self.leaks.why(column)

    def _use(self, column: Column, typed: Typed, seen: Facts) -> None:
        """Decide how the column becomes a feature."""
        wanted = cast(Use | None, self.table.settings[column.name].get("use"))
        names = IDS - {"number"} | (THINGS if seen.distinct > FEW_TEXTS else set())
        is_code = typed.type == "integer" and not names.isdisjoint(words(typed.given)[-1:])
        if typed.type in ("integer", "number") and (wanted == "number" or not is_code):
            column.use, column.allowed = "number", _range(typed, seen)
        elif typed.type == "boolean":
            column.use = "number"
        elif typed.type == "datetime":
            column.use = "date"
        else:
            column.type, column.use = "string", wanted or _use_of_texts(seen)
            is_closed = column.use == "category" and seen.once <= UNSEEN * seen.filled
            if is_closed or self.table.is_set(column.name, "type", "category"):
                texts = typed.values.unique().drop_null().cast("string").to_pylist()
                column.type, column.allowed = "category", sorted(texts)
        if wanted not in (None, column.use):
            fault = f"a {typed.type} cannot be used so; set its type, too"
            raise UserError(f"--set {typed.given}.use={wanted}: {fault}")
        reason = f" ({typed.reason[:1].lower()}{typed.reason[1:].rstrip('.')})"
        self._say(column, column.use + ("" if typed.reason in PLAIN else reason))


def _use_of_texts(seen: Facts) -> Use:
    if is_prose(seen):
        return "text"
    return "category" if seen.distinct <= FEW_TEXTS else "many categories"


def _range(typed: Typed, seen: Facts) -> dict[str, float | None] | None:
    """From half the width below what was seen to half of it above; not below 0 if nothing is."""
    if (seen.low, seen.high) == (0, 1) and typed.type == "integer":
        return {"min": 0, "max": 1}
    width = seen.high - seen.low or abs(seen.high) or 1.0
    if not isfinite(width):
        return None
    digits = min(1 - floor(log10(width)), 0 if typed.type == "integer" else 300)
    low = _outward(seen.low - width / 2, digits, floor)
    high = _outward(seen.high + width / 2, digits, ceil)
    is_year = "year" in words(typed.given)
    return {"min": max(low, 0) if seen.low >= 0 else low, "max": None if is_year else high}


def _outward(value: float, digits: int, towards: Callable[[float], int]) -> float:
    """Rounded to so many digits behind the point, or before it where they are negative."""
    rounded = round(towards(value * 10.0**digits) / 10.0**digits, digits)
    return int(rounded) if digits <= 0 else rounded
