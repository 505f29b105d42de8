"""Metrics, slices and gate of a judgement as Markdown."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from machinery.pipeline import markdown
from machinery.pipeline.markdown import Markdown, code, first_names, first_rows, number, plain
from machinery.pipeline.page import words
from machinery.pipeline.paths import GATE, METRICS, MODEL_INFO
from machinery.pipeline.statistics.intervals import MIN_GROUPS, Interval
from machinery.pipeline.statistics.slices import small

from .comparison import Line
from .judgement import Judgement
from .side import Side

DIRECTIONS = {True: " (more is better)", False: " (less is better)", None: ""}
LINE = ("champion", "challenger", "difference", "significant")  # columns of a Line


def signed(value: float) -> str:
    """A difference with three significant digits and its sign; below 0.000001 it is 0."""
    return "–" if value != value else "0" if abs(value) < 1e-6 else f"{value:+.3g}"


def change(difference: Interval) -> str:
    """A difference with its interval if it has one, e.g. `+0.025 (+0.012 to +0.038)`."""
    value, low, high = map(signed, difference)
    return f"{value} (no interval)" if isnan(difference.low) else f"{value} ({low} to {high})"


def recorded(side: Side, name: str) -> str:
    """A metric of metrics.json with its interval."""
    metric = (side.find(METRICS) or {}).get(name, {})
    value, low, high = (number(metric.get(key)) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def metrics(judgement: Judgement) -> str:
    """Every metric: both models and their difference, or the recorded values."""
    comparison, settings = judgement.comparison, judgement.report
    if comparison is None:
        return _recorded(judgement)
    lines = sorted(comparison.lines, key=lambda line: line is not comparison.headline)
    rows = [[Markdown(code(line.name) + DIRECTIONS[line.more]), *_cells(line)] for line in lines]
    caveat = f"Fewer than {MIN_GROUPS} have no interval."
    if comparison.unit == "rows":
        caveat = "This assumes independent rows; if they are not, the intervals are too narrow."
    chance = len(lines) * (1 - settings.level)
    positive = plain(words.positive(judgement.challenger.document(MODEL_INFO)))
    return (
        f"{markdown.table(['metric', *LINE], rows)}\n\n{positive} Differences are challenger minus "
        f"champion, with {settings.level:.0%} intervals of a paired bootstrap: "
        f"{settings.samples:,} resamples of the same {comparison.units:,} {comparison.unit} for "
        f"both (seed {settings.seed}). {caveat} Of {len(lines)} metrics, {chance:.1g} would differ "
        "by chance alone."
    )


def _recorded(judgement: Judgement) -> str:
    """The challenger's recorded metrics; the champion's too if only the test rows are absent."""
    sides = {"challenger": judgement.challenger}
    if judgement.rows is None and judgement.champion is not None:
        sides = {"champion": judgement.champion, **sides}
    names = judgement.challenger.document(METRICS)
    rows = [[code(name), *(recorded(side, name) for side in sides.values())] for name in names]
    header = [f"{name} ({judgement.evaluate.level:.0%} interval)" for name in sides]
    return markdown.table(["metric", *header], rows)


def _cells(line: Line) -> list[str]:
    outcome = "no" if line.outcome.startswith("no ") else f"**{line.outcome}**"
    return [number(line.champion), number(line.challenger), change(line.difference), outcome]


def slices(judgement: Judgement) -> str:
    """The headline metric of each slice, worse ones first, and which slices are too small."""
    comparison = judgement.comparison
    assert comparison is not None
    order = sorted(comparison.slices, key=lambda s: (s.line.outcome != "worse", s.column, s.value))
    rows = [[code(s.column), code(s.value), number(s.rows), *_cells(s.line)] for s in order]
    chance = len(order) * (1 - judgement.report.level) / 2
    compared = (
        f"{len(comparison.worse_slices)} of {len(order)} slices got significantly worse in "
        f"{judgement.headline}; about {chance:.1g} would by chance alone.\n\n"
        f"{first_rows(['column', 'slice', 'rows', *LINE], rows, 'slices')}"
    )
    parts = [compared if order else "", _too_small(judgement)]
    return "\n\n".join(part for part in parts if part)


def _too_small(judgement: Judgement) -> str:
    settings, columns = judgement.evaluate, []
    assert judgement.rows is not None
    for column in settings.slices:
        values, count = small(judgement.rows, column, settings.slice_min_rows)
        if values:
            columns.append(f"{code(column)} {first_names(map(code, values))} ({count:,} rows)")
    limit = f"fewer than {settings.slice_min_rows:,} rows each"
    return f"Too small to compare, {limit}: {'; '.join(columns)}." if columns else ""


def gate(judgement: Judgement) -> str:
    """Each check beside the champion's, failed ones first."""
    document = judgement.champion.find(GATE) if judgement.champion else None
    champion = {check["name"]: check for check in (document or {"checks": []})["checks"]}
    checks = sorted(judgement.gate["checks"], key=lambda check: bool(check["passed"]))
    rows = [
        [
            code(check["name"]),
            _champion_cell(champion.pop(check["name"], None)),
            number(check["value"]),
            number(check["limit"]),
            "passed" if check["passed"] else "**failed**",
            plain(check["why"]),
        ]
        for check in checks
    ]
    table = markdown.table(["check", "champion", "challenger", "limit", "", "what it is"], rows)
    return f"{table}\n\nNo longer checked: {', '.join(map(code, champion))}." if champion else table


def _champion_cell(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return "not checked"
    return number(check["value"]) + ("" if check["passed"] else " (failed)")
