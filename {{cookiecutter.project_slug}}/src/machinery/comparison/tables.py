"""tables: a judgement in; its metrics, slices, gate and test tables as Markdown out."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.statistics.intervals import Interval, LEAST_GROUPS
from machinery.pipeline.paths import GATE, METRICS
from . import champion as champions
from .comparison import Line
from .escape import Markdown, code, plain, table
from .judgement import Judgement
from .side import Side

MARKS = {"better": "**better**", "worse": "**worse**", "different": "**different**"}


def number(value: float | None) -> str:
    """A figure with four significant digits."""
    return "–" if value is None or value != value else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference with three significant digits and its sign; below 0.000001 it is 0."""
    return "–" if value != value else "0" if abs(value) < 1e-6 else f"{value:+.3g}"


def change(difference: Interval) -> str:
    """A difference with its interval, such as `+0.025 (+0.012 to +0.038)`, if it has one."""
    value, low, high = map(signed, difference)
    return f"{value} (no interval)" if isnan(difference.low) else f"{value} ({low} to {high})"


def absolute(figure: Mapping[str, Any] | None) -> str:
    """A figure of metrics.json with its interval."""
    if figure is None:
        return "–"
    return f"{number(figure['value'])} ({number(figure['low'])} to {number(figure['high'])})"


def metrics(judgement: Judgement) -> str:
    """Every metric: both models and their difference, or what is recorded of them."""
    found = judgement.comparison
    if found is None:
        return _recorded(judgement)
    header = ["metric", "champion", "challenger", "difference", "significant"]
    lines = sorted(found.lines, key=lambda line: line is not found.headline)
    lines += gain(judgement.challenger.document(METRICS), found.headline)
    return f"{table(header, map(_line, lines))}\n\n{_method(judgement)}"


def _recorded(judgement: Judgement) -> str:
    """The challenger's metrics; the champion's, too, where only the rows to compare them lack."""
    sides = {"challenger": judgement.challenger}
    if judgement.rows is None and judgement.champion is not None:
        sides = {"champion": judgement.champion, **sides}
    found = [side.documents.get(METRICS, {}) for side in sides.values()]
    rows = [
        [code(name), *(Markdown(absolute(figures.get(name))) for figures in found)]
        for name in judgement.challenger.document(METRICS)
    ]
    level = f"{judgement.evaluate.level:.0%}"
    return table(["metric", *(f"{name} ({level} interval)" for name in sides)], rows)


def gain(figures: Mapping[str, Any], headline: Line) -> list[Line]:
    """The headline metric beyond the baseline's on these rows, which metrics.json implies."""
    recorded, gain = (figures.get(each) for each in (headline.name, "gain_over_baseline"))
    if recorded is None or gain is None or None in (recorded["value"], gain["value"]):
        return []
    sign = 1 if headline.more else -1
    baseline = recorded["value"] - sign * gain["value"]
    champion, challenger = headline.champion - baseline, headline.challenger - baseline
    value, *ends = headline.difference
    moved = Interval(sign * value, *(sign * end for end in ends[::sign]))
    return [Line("gain_over_baseline", sign * champion, sign * challenger, moved, more=True)]


def _line(line: Line) -> list[Markdown]:
    better = {True: "more is better", False: "less is better", None: ""}[line.more]
    name = f"{code(line.name)} {f'({better})' if better else ''}".strip()
    figures = (number(line.champion), number(line.challenger), change(line.difference))
    return [Markdown(text) for text in (name, *figures, MARKS.get(line.outcome, "no"))]


def _method(judgement: Judgement) -> str:
    found, dials = judgement.comparison, judgement.dials
    assert found is not None
    drawn, caveat = f"{found.units:,} {found.unit}", f"Fewer than {LEAST_GROUPS} have no interval."
    if found.unit == "rows":
        caveat = "That takes rows as independent: where they are not, these are too narrow."
    text = (
        f"Differences are challenger minus champion, with {dials.level:.0%} intervals of a paired "
        f"bootstrap: {dials.samples:,} samples of the same {drawn} for both (seed {dials.seed}). "
        f"{caveat}"
    )
    if found.delong:
        p_value = found.delong.p_value
        p_value_text = "p < 0.0001" if p_value < 1e-4 else f"p = {number(p_value)}"
        text += (
            f" DeLong's test of roc_auc, which takes rows as independent: "
            f"{change(found.delong.difference)}, {p_value_text} "
            "(DeLong et al. 1988; Sun & Xu 2014)."
        )
    chance = len(found.lines) * (1 - dials.level)
    return f"{text} Of {len(found.lines)} metrics, {chance:.1g} would differ by chance alone."


def slices(judgement: Judgement) -> str:
    """The headline metric of each slice, those that got worse first."""
    found = judgement.comparison
    assert found is not None
    order = sorted(found.slices, key=lambda s: (s.line.outcome != "worse", s.column, s.value))
    rows = [
        [code(each.column), code(each.value), each.rows, *_line(each.line)[1:]] for each in order
    ]
    header = ["column", "slice", "rows", "champion", "challenger", "difference", "significant"]
    chance = len(found.slices) * (1 - judgement.dials.level) / 2
    worse = len(found.worse_slices)
    return (
        f"{worse} of {len(found.slices)} slices got worse in {judgement.select.headline} beyond "
        f"their interval; about {chance:.1g} would by chance alone.\n\n{table(header, rows)}"
    )


def gate(judgement: Judgement) -> str:
    """Check by check, beside the champion's."""
    before: dict[str, Any] = {}
    if judgement.champion and GATE in judgement.champion.documents:
        before = {c["name"]: c for c in judgement.champion.document(GATE)["checks"]}
    rows = [
        [code(check["name"]), _was(before.get(check["name"])), check["value"], check["limit"]]
        + [Markdown("passed" if check["passed"] else "**refused**"), check["why"]]
        for check in sorted(judgement.gate["checks"], key=lambda check: bool(check["passed"]))
    ]
    header = ["check", "champion", "challenger", "limit", "", "what it is"]
    gone = [
        code(name) for name in before if name not in {c["name"] for c in judgement.gate["checks"]}
    ]
    note = f"\n\nNo longer checked: {', '.join(gone)}." if gone else ""
    return table(header, rows) + note


def _was(check: Mapping[str, Any] | None) -> Markdown:
    if check is None:
        return Markdown("not checked")
    return Markdown(number(check["value"]) + ("" if check["passed"] else " (refused)"))


def test_tables(judgement: Judgement) -> str:
    """Both test tables, where they are not the same."""
    if judgement.champion is None or champions.same_rows(judgement.champion, judgement.challenger):
        return ""
    headline = judgement.select.headline
    rows = [
        _test_table(
            "champion", judgement.champion, headline, champions.describe(judgement.champion)
        ),
        _test_table(
            "challenger",
            judgement.challenger,
            headline,
            champions.describe(judgement.challenger, judgement.rows),
        ),
    ]
    header = ["test table of", "rows", "from", "to", "md5", f"{headline}, as recorded on it"]
    compared = " The comparison above is on the challenger's table." if judgement.comparison else ""
    return f"The test data changed.{compared}\n\n{table(header, rows)}"


def _test_table(name: str, side: Side, headline: str, found: Mapping[str, Any]) -> list[Any]:
    first, last = found["span"] or (None, None)
    try:
        figure = absolute(side.document(METRICS).get(headline))
    except UserError:
        figure = "–"
    rows = found["rows"] if "why" not in found else plain(found["why"])
    md5 = code(found["hash"][:10]) if found["hash"] else None
    return [Markdown(name), rows, _moment(first), _moment(last), md5, Markdown(figure)]


def _moment(moment: Any) -> Markdown | None:
    return Markdown(f"{moment:%Y-%m-%d %H:%M}") if moment else None
