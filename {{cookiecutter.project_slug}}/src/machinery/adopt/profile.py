"""Plan the project: the role of each column, its line of the contract, and every decision."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, isfinite, log10
from shlex import quote
from typing import cast

import pyarrow.compute as pc

from machinery.pipeline.files import UserError
from machinery.versions.checking import first_names

from .facts import ENTITIES, FEW, IDS, Summary, unit, words
from .leaks import Leaks
from .plan import Column, Plan, TypedColumn, Use
from .roles import group_of, is_identifier, is_unique, key_of, time_of
from .table import Table
from .target import Target, target_of

MAX_CATEGORIES = 50  # distinct texts
UNSEEN = 0.01  # share of rows whose text occurs once, and thus of new texts to expect
RETURNS = 10  # mean rows of an entity, from which its identifier is a feature
OBVIOUS = "", "Text.", "Numbers.", "Whole numbers."  # reasons for a type that are not reported
PLANNED = frozenset("due scheduled planned expected promised expiry expires deadline end".split())


def plan(
    columns: Sequence[TypedColumn],
    target: str,
    *,
    time: str | None = None,
    group: str | None = None,
    task: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Plan:
    """Plan the project.

    Args:
        columns: the table.
        target: the column to predict, by its header or name, as are `time` and `group`.
        time: orders the rows; "none" for no order, None to guess.
        group: keeps rows together; "none" and None as for `time`.
        task: classification, regression or counts; None to guess.
        overrides: `column.attribute` to its value, as of --set.

    Raises:
        UserError: naming the column that cannot have the requested role.
    """
    if {time, group}.isdisjoint({None, "none"}):
        fault = "rows are split by time or by group, not by both"
        raise UserError(f"--time {time} --group {group}: {fault}; name one of them")
    table = Table(columns, target, overrides or {})
    target = table.target
    outcome = target_of(table.columns[target], task, table.settings[target].get("positive"))
    table.scan()
    time, questions = time_of(table, time or (None if group in (None, "none") else "none"))
    group, group_questions = group_of(table, group, time)
    if target in (time, group):
        raise UserError(f"{target} is the target, so it cannot order or group the rows")
    key = key_of(table, {target, time, group})
    profile = _Profile(table, outcome, {"key": key, "time": time, "group": group})
    contract = {name: profile.column(name) for name in table.columns}
    # Repeated rows are not duplicates if others, equal as well, differ in the target by chance.
    is_chance = table.mixed > table.alike * outcome.chance_of_difference / 4
    duplicates = 0 if is_chance else table.repeated
    header = table.columns[target].header
    decisions = [f"{header} {note}." for note in outcome.notes]
    if table.unlabelled:
        decisions.append(f"Rows without {header}: {table.unlabelled:,}, left out.")
    if table.repeated:
        reason = "kept, because other equal rows differ in the target" if is_chance else "left out"
        repeated = f"{table.repeated:,} of {table.rows:,}"
        decisions.append(f"Rows that repeat another one: {repeated}, {reason}.")
    if not key:
        decisions.append("No column identifies the rows: they are numbered.")
    decisions += [f"{first_names(names, 5)}: {text}." for text, names in profile.decisions.items()]
    questions = [*outcome.questions, *questions, *group_questions]
    for (text, override), names in profile.questions.items():
        option = f"--set {quote(f'{names[0]}.{override}')}"
        questions.append(f"{first_names(names, 5)}: {text}; {option} uses it.")
    return Plan(
        kind=outcome.kind,
        target=target,
        positive=outcome.positive,
        key=key,
        time=time,
        group=group,
        columns=contract,
        rows=table.rows,
        unlabelled=table.unlabelled,
        duplicates=duplicates,
        kept_duplicates=(table.repeated_without(key) if key else table.repeated) - duplicates,
        decisions=decisions,
        questions=questions,
    )


class _Profile:
    """Decides what each column is in the contract, and whether it is a feature.

    `decisions` and `questions` map what is reported to the columns that it is about.
    """

    def __init__(self, table: Table, outcome: Target, roles: Mapping[str, str | None]) -> None:
        """Start without decisions; `roles` has the columns that are key, time and group."""
        self.table, self.target, self.outcome = table, table.target, outcome
        self.roles = {name: role for role, name in roles.items() if name}
        self.time = roles["time"]
        self.leaks = Leaks(table.columns[self.target].header, outcome)
        numbers = [
            column
            for name, column in table.columns.items()
            if column.type in ("integer", "number") and table.summaries[name].filled
            if name != self.target and not table.is_set(name, "known", "before")
        ]
        self.summands = self.leaks.summands(numbers)
        self.used: dict[bytes, str] = {}
        self.decisions: dict[str, list[str]] = {}
        self.questions: dict[tuple[str, str], list[str]] = {}

    def column(self, name: str) -> Column:
        """The column of the contract."""
        typed, summary = self.table.columns[name], self.table.summaries[name]
        column = Column(name, typed.header, typed.type, "none", nullable=True)
        if typed.type in ("integer", "number"):
            column.unit = self.table.settings[name].get("unit") or typed.unit or unit(typed.header)
        if name == self.target:
            column.type, column.known, column.nullable = self.outcome.type, "after", False
            column.allowed = list(self.outcome.classes)
            if column.type != "category":
                column.allowed = _range(typed, summary) if column.type != "boolean" else None
            column.notes = [f"The target {note}." for note in self.outcome.notes]
        elif name in self.roles:
            column.identifier, column.nullable = name != self.time, False
            column.personal = column.identifier and name in self.table.personal
            column.use = "none" if column.identifier else "date"
            self._decide(column, self.roles[name])
        elif not self._is_unused(column, summary):
            column.nullable = summary.filled < summary.rows
            self._use(column, typed, summary)
        return column

    def _decide(self, column: Column, text: str, override: str = "") -> None:
        column.notes.append(f"{text[:1].upper()}{text[1:]}.")
        self.decisions.setdefault(text, []).append(column.header)
        if override and "--set" not in text:
            self.questions.setdefault((text, override), []).append(column.header)

    def _is_unused(self, column: Column, summary: Summary) -> bool:
        """Whether no feature uses the column; the reason is reported."""
        name, digest = column.name, self.table.digests[column.name]
        use = self.table.settings[name].get("use")
        if reason := self.table.personal.get(name):
            column.personal = True
            self._decide(column, f"personal ({reason}), not used", "personal=false")
        elif not summary.filled:
            self._decide(column, "empty, not used")
        elif use == "none":
            self._decide(column, "not used, as --set says")
        elif reason := self._leak(name):
            column.known = "after"
            text = f"known only after the outcome ({reason}), not used"
            self._decide(column, text, "known=before")
        elif summary.distinct == 1 and summary.filled == summary.rows and not use:
            self._decide(column, "constant, not used")
        elif reason := self._identifier(name):
            column.identifier = True
            self._decide(column, f"identifier ({reason}), not used")
        elif digest in self.used and not use:
            self._decide(column, f"same information as {self.used[digest]}, not used")
        else:
            self.used[digest] = column.header
            return False
        return True

    def _identifier(self, name: str) -> str | None:
        column, summary = self.table.columns[name], self.table.summaries[name]
        settings = self.table.settings[name]
        if forced := settings.get("identifier"):
            return "as --set says" if forced == "true" else None
        if "use" in settings or column.type not in ("string", "integer") or summary.is_prose:
            return None
        if is_unique(self.table, name):
            return "differs in every row"
        if column.type == "string" and summary.distinct > summary.filled / 2:
            return "differs in most rows"
        if is_identifier(column.header) and summary.distinct > FEW and summary.mean_rows < RETURNS:
            return "few rows for each value"
        return None

    def _leak(self, name: str) -> str | None:
        column = self.table.columns[name]
        if forced := self.table.settings[name].get("known"):
            return "as --set says" if forced == "after" else None
        if self.table.digests[name] == self.table.digests[self.target]:
            return "it has the same information as the target"
        if column.type == "datetime" and self.time and PLANNED.isdisjoint(words(column.header)):
            start = self.table.columns[self.time]
            earlier = pc.any(pc.less(column.values, start.values)).as_py()
            later = pc.mean(pc.greater(column.values, start.values)).as_py() or 0
            if not earlier and later > 0.5:
                return f"it is later than {start.header}"
        if name in self.summands:
            return f"the target follows from {first_names(self.summands, 5)}"
        return None if is_unique(self.table, name) else self.leaks.reason(column)

    def _use(self, column: Column, typed: TypedColumn, summary: Summary) -> None:
        """Decide how the column becomes a feature."""
        forced = cast(Use | None, self.table.settings[column.name].get("use"))
        codes = IDS - {"number"} | (ENTITIES if summary.distinct > MAX_CATEGORIES else set())
        is_code = typed.type == "integer" and not codes.isdisjoint(words(typed.header)[-1:])
        if typed.type in ("integer", "number") and (forced == "number" or not is_code):
            column.use, column.allowed = "number", _range(typed, summary)
        elif typed.type == "boolean":
            column.use = "number"
        elif typed.type == "datetime":
            column.use = "date"
        else:
            column.type, column.use = "string", forced or _use_of_texts(summary)
            is_closed = column.use == "category" and summary.once <= UNSEEN * summary.filled
            if is_closed or self.table.is_set(column.name, "type", "category"):
                texts = typed.values.unique().drop_null().cast("string").to_pylist()
                column.type, column.allowed = "category", sorted(texts)
        if forced not in (None, column.use):
            fault = f"a {typed.type} cannot be used so; set its type, too"
            raise UserError(f"--set {typed.header}.use={forced}: {fault}")
        reason = f" ({typed.reason[:1].lower()}{typed.reason[1:].rstrip('.')})"
        self._decide(column, column.use + ("" if typed.reason in OBVIOUS else reason))


def _use_of_texts(summary: Summary) -> Use:
    if summary.is_prose:
        return "text"
    return "category" if summary.distinct <= MAX_CATEGORIES else "many categories"


def _range(typed: TypedColumn, summary: Summary) -> dict[str, float | None] | None:
    """The range of the values, half as wide again at both ends; not negative if no value is."""
    if (summary.low, summary.high) == (0, 1) and typed.type == "integer":
        return {"min": 0, "max": 1}
    width = summary.high - summary.low or abs(summary.high) or 1.0
    if not isfinite(width):
        return None
    digits = min(1 - floor(log10(width)), 0 if typed.type == "integer" else 300)
    low = _outward(summary.low - width / 2, digits, floor)
    high = _outward(summary.high + width / 2, digits, ceil)
    is_year = "year" in words(typed.header)
    return {"min": max(low, 0) if summary.low >= 0 else low, "max": None if is_year else high}


def _outward(value: float, digits: int, towards: Callable[[float], int]) -> float:
    """The value rounded to so many decimal places, or to tens, hundreds … if negative."""
    rounded = round(towards(value * 10.0**digits) / 10.0**digits, digits)
    return int(rounded) if digits <= 0 else rounded
