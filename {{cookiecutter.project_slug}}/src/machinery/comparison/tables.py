"""tables: a judgement in; its metrics, slices and gate as Markdown out."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from machinery.pipeline.markdown import (
    Markdown,
    code,
    first_names,
    first_rows,
    number,
    plain,
    table,
)
from machinery.pipeline.page import words
from machinery.pipeline.paths import GATE, METRICS, MODEL_INFO
from machinery.pipeline.statistics.intervals import MIN_GROUPS, Interval
from machinery.pipeline.statistics.slices import small

from .comparison import Line
from .judgement import Judgement
from .side import Side

WORDS = {True: " (more is better)", False: " (less is better)", None: ""}


def signed(value: float) -> str:
    """A difference with three significant digits and its sign; below 0.000001 it is 0."""
    return "–" if value != value else "0" if abs(value) < 1e-6 else f"{value:+.3g}"


def change(difference: Interval) -> str:
    """A difference with its interval, such as `+0.025 (+0.012 to +0.038)`, if it has one."""
    value, low, high = map(signed, difference)
    return f"{value} (no interval)" if isnan(difference.low) else f"{value} ({low} to {high})"


def recorded(side: Side, name: str) -> str:
    """A metric of metrics.json with its interval."""
    figures = (side.find(METRICS) or {}).get(name, {})
    value, low, high = (number(figures.get(end)) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def metrics(judgement: Judgement) -> str:
    """Every metric: both models and their difference, or what is recorded of them."""
    comparison, settings = judgement.comparison, judgement.report
    if comparison is None:
        return _recorded(judgement)
    header = ["metric", "champion", "challenger", "difference", "significant"]
    lines = sorted(comparison.lines, key=lambda line: line is not comparison.headline)
    rows = [[Markdown(f"{code(line.name)}{WORDS[line.more]}"), *_values(line)] for line in lines]
    caveat = f"Fewer than {MIN_GROUPS} have no interval."
    if comparison.unit == "rows":
        caveat = "This assumes independent rows; if they are not, the intervals are too narrow."
    chance = len(lines) * (1 - settings.level)
    about = plain(words.positive(judgement.challenger.document(MODEL_INFO)))
    return (
        f"{table(header, rows)}\n\n{about} Differences are challenger minus champion, with "
        f"{settings.level:.0%} intervals of a paired bootstrap: {settings.samples:,} resamples of "
        f"the same {comparison.units:,} {comparison.unit} for both (seed {settings.seed}). "
        f"{caveat} Of {len(lines)} metrics, {chance:.1g} would differ by chance alone."
    )


def _recorded(judgement: Judgement) -> str:
    """The challenger's metrics; the champion's, too, if only the rows to compare are absent."""
    sides = {"challenger": judgement.challenger}
    if judgement.rows is None and judgement.champion is not None:
        sides = {"champion": judgement.champion, **sides}
    names = judgement.challenger.document(METRICS)
    rows = [[code(name), *(recorded(side, name) for side in sides.values())] for name in names]
    what = f"({judgement.evaluate.level:.0%} interval)"
    return table(["metric", *(f"{name} {what}" for name in sides)], rows)


def _values(line: Line) -> list[str]:
    outcome = "no" if line.outcome.startswith("no ") else f"**{line.outcome}**"
    return [number(line.champion), number(line.challenger), change(line.difference), outcome]


def slices(judgement: Judgement) -> str:
    """The headline metric of each slice, those that got worse first, and which are too small."""
    comparison = judgement.comparison
    assert comparison is not None
    order = sorted(comparison.slices, key=lambda s: (s.line.outcome != "worse", s.column, s.value))
    rows = [[code(s.column), code(s.value), number(s.rows), *_values(s.line)] for s in order]
    header = ["column", "slice", "rows", "champion", "challenger", "difference", "significant"]
    chance = len(order) * (1 - judgement.report.level) / 2
    compared = (
        f"{len(comparison.worse_slices)} of {len(order)} slices got significantly worse in "
        f"{judgement.headline}; about {chance:.1g} would by chance alone.\n\n"
        f"{first_rows(header, rows, 'slices')}"
    )
    parts = [compared if order else "", _too_small(judgement)]
    return "\n\n".join(part for part in parts if part)


def _too_small(judgement: Judgement) -> str:
    settings, rows, told = judgement.evaluate, judgement.rows, []
    assert rows is not None  # there are slices of rows alone
    for column in settings.slices:
        names, count = small(rows, column, settings.slice_min_rows)
        if names:
            told.append(f"{code(column)} {first_names(map(code, names))} ({count:,} rows)")
    least = f"fewer than {settings.slice_min_rows:,} rows each"
    return f"Too small for a figure, {least}: {'; '.join(told)}." if told else ""


def gate(judgement: Judgement) -> str:
    """Check by check, beside the champion's."""
    theirs = judgement.champion.find(GATE) if judgement.champion else None
    before = {check["name"]: check for check in (theirs or {"checks": []})["checks"]}
    checks = sorted(judgement.gate["checks"], key=lambda check: bool(check["passed"]))
    rows = [
        [code(check["name"]), _was(before.get(check["name"])), number(check["value"])]
        + [number(check["limit"]), "passed" if check["passed"] else "**failed**"]
        + [plain(check["why"])]
        for check in checks
    ]
    header = ["check", "champion", "challenger", "limit", "", "what it is"]
    gone = [code(name) for name in before if name not in {check["name"] for check in checks}]
    note = f"\n\nNo longer checked: {', '.join(gone)}." if gone else ""
    return table(header, rows) + note


def _was(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return "not checked"
    return number(check["value"]) + ("" if check["passed"] else " (failed)")
