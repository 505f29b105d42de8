"""results: gate, metrics, curves and slices in; how good the model is, as sections, out."""

from collections.abc import Mapping, Sequence
from typing import Any

from machinery.pipeline.statistics import metrics
from . import figures
from .figures import Estimate
from .html import Html, estimate, join, number, precise, table, tag
from .words import RESAMPLED, TARGET_UNIT, meaning, plainly, title

Reports = Mapping[str, Any]

MOST = 20  # lines of a plot; the table below it has them all
CLASSES = 8  # of a confusion matrix; of more, the most frequent confusions are listed


def gate(gate: Reports) -> Html:
    """Every check with its figure and limit; those that failed come first."""
    rows = [
        (
            _named(plainly(each["name"]), each["why"]),
            badge(each["passed"]),
            number(each["value"]),
            number(each["limit"]),
        )
        for each in sorted(gate["checks"], key=lambda each: bool(each["passed"]))
    ]
    header = ["Check", "", "Figure", "Limit"]
    shown = table("Checks of the gate", header, rows, numbers=(2, 3), stacked=True)
    return join([tag("p", "A model that fails one of these is not released."), shown])


def measured(found: Reports, headline: str, level: float, unit: str) -> Html:
    """Every metric with a bar for its interval, the headline metric first."""
    names = sorted(found, key=lambda name: name != headline)
    rows = [
        (
            _named(title(name), meaning(name)),
            join([precise(found[name]["value"]), unit if name in TARGET_UNIT else ""]),
            interval(found[name]),
            bar(title(name), found[name]),
            _direction(name),
        )
        for name in names
    ]
    header = ["Metric", "Value", "Interval", "From 0 to 1, or as told", "Better"]
    intro = (
        f"On the test table, which no candidate has seen; with {level:.0%} intervals. {RESAMPLED}"
    )
    shown = table("Metrics", header, rows, numbers=(1, 2), stacked=True)
    return join([tag("p", intro), shown])


def curves(plots: Reports, model: Reports, unit: str) -> Html | None:
    """The curves of the task that has them, and what was taken for what."""
    drawn = [
        figures.roc(plots.get("roc", ())),
        figures.precision_recall(plots.get("precision_recall", ())),
        figures.calibration(plots.get("calibration", ())),
        figures.actual(plots.get("actual", ()), unit),
        figures.residuals(plots.get("residuals", ()), unit),
    ]
    matrix = _confusion(plots.get("confusion", ()), model)
    if matrix is None and not any(drawn):
        return None
    return join([tag("div", *drawn, class_="plots"), matrix])


def slices(found: Sequence[Reports], headline: str, whole: float | None) -> Html | None:
    """The headline metric of each slice, drawn column by column, and all in a table."""
    if not found:
        return None
    more = metrics.greater_is_better(headline)
    columns = list(dict.fromkeys(each["column"] for each in found))
    span = _span(found)
    drawn = []
    for place, column in enumerate(columns, 1):
        lines = [_estimate(each) for each in found if each["column"] == column]
        known = [line for line in lines if line is not None]
        worst = sorted(known, key=lambda line: line.value if more else -line.value)[:MOST]
        kept = [line for line in known if line in worst]
        some = "" if len(kept) == len(known) else f" (the worst {MOST} of {len(known)})"
        name, heading = f"slice-{place}", f"By {column}{some}"
        drawn.append(figures.estimates(kept, name, heading, title(headline), whole, span))
    rows = [
        (
            each["column"],
            each["slice"],
            number(each["rows"]),
            estimate(each["value"], each["low"], each["high"]),
        )
        for each in found
    ]
    header = ["Column", "Slice", "Rows", title(headline)]
    return join(
        [
            tag("p", _worse(found, whole, more)),
            tag("div", *drawn, class_="plots"),
            table("Slices", header, rows, numbers=(2, 3)),
        ]
    )


def badge(passed: bool) -> Html:
    """Whether a check passed, in words and colour."""
    word, tone = ("Passed", "passed") if passed else ("Refused", "refused")
    return tag("span", word, class_=f"badge {tone}")


def interval(figure: Reports) -> Html:
    """Both limits, on one line."""
    return tag("span", f"{precise(figure['low'])} to {precise(figure['high'])}", class_="nowrap")


def bar(name: str, figure: Reports) -> Html | None:
    """The interval on a scale from 0 to 1, or to a little more than the interval's end."""
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return None
    start, end = (0.0, 1.0) if low >= 0 and high <= 1 else (min(0.0, low), max(0.0, 1.25 * high))

    def across(figure: float) -> float:
        return round(min(99.0, 100 * (figure - start) / ((end - start) or 1)), 2)

    width = round(max(1.0, across(high) - across(low)), 2)
    scale = None if end == 1 else tag("small", f"{number(start)} to {number(end)}")
    told = (
        f"{name} {number(value)}, interval {number(low)} to {number(high)}, "
        f"on a scale from {number(start)} to {number(end)}"
    )
    drawn = tag(
        "svg",
        tag("rect", class_="track", x=0, y=4, width=100, height=2),
        tag("rect", class_="range", x=across(low), y=2, width=width, height=6),
        tag("rect", class_="value", x=across(value), y=0, width=1, height=10),
        class_="bar",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=told,
    )
    return join([drawn, scale])


def _named(name: str, meaning: str) -> Html:
    """A name, and below it what it means."""
    return join([name, tag("small", meaning)])


def _direction(metric: str) -> str:
    if metric == "coverage":
        return "at the promise"
    if metric == "gain_over_baseline" or metrics.greater_is_better(metric):
        return "higher"
    return "lower"


def _estimate(figure: Reports) -> Estimate | None:
    known = [figure[key] for key in ("value", "low", "high")]
    return None if None in known else Estimate(str(figure["slice"]), *known)


def _span(found: Sequence[Reports]) -> tuple[float, float] | None:
    """One scale for all plots of slices."""
    ends = [each[end] for each in found for end in ("low", "high") if each[end] is not None]
    if not ends:
        return None
    edge = 0.04 * (max(ends) - min(ends))
    return min(ends) - edge, max(ends) + edge


def _worse(found: Sequence[Reports], whole: float | None, more: bool) -> str:
    """Which slices are worse than the whole beyond their interval."""
    end = "high" if more else "low"
    worse = [
        f"{each['column']} {each['slice']}"
        for each in found
        if whole is not None and each[end] is not None and (each[end] < whole) == more
        if each[end] != whole
    ]
    told = "No slice is worse than the whole (dotted) beyond its interval."
    if worse:
        told = f"Worse than the whole (dotted) beyond their interval: {', '.join(worse)}."
    unknown = [f"{each['column']} {each['slice']}" for each in found if each[end] is None]
    if unknown:
        told += f" Too few groups or cases for an interval: {', '.join(unknown)}."
    return told


def _confusion(cells: Sequence[Reports], model: Reports) -> Html | None:
    if not cells:
        return None
    classes = list(dict.fromkeys(each["actual"] for each in cells))
    body = _matrix(cells, classes) if len(classes) <= CLASSES else _confused(cells)
    threshold = model.get("threshold")
    rule = "The most probable class is taken."
    if threshold is not None:
        rule = f"Taken for {classes[-1]} from a probability of {number(threshold)} on."
    head = [tag("h3", "What was taken for what"), tag("p", rule, class_="muted")]
    return join([*head, tag("div", body, class_="confusion")])


def _matrix(cells: Sequence[Reports], classes: Sequence[str]) -> Html:
    counts = {(each["actual"], each["predicted"]): each["rows"] for each in cells}
    rows = []
    for actual in classes:
        total = max(1, sum(counts[actual, guess] for guess in classes))
        shares = [counts[actual, guess] / total for guess in classes]
        rows.append(
            [
                f"is {actual}",
                *(
                    tag(
                        "div",
                        f"{number(counts[actual, guess])} ({share:.0%})",
                        class_="cell nowrap",
                        style=f"--share: {share:.2f}",
                    )
                    for guess, share in zip(classes, shares, strict=True)
                ),
            ]
        )
    header = ["", *(f"taken for {guess}" for guess in classes)]
    return table("Confusion matrix", header, rows, numbers=range(1, len(classes) + 1))


def _confused(cells: Sequence[Reports]) -> Html:
    wrong = [each for each in cells if each["actual"] != each["predicted"] and each["rows"]]
    most = sorted(wrong, key=lambda each: -each["rows"])[:MOST]
    rows = [(each["actual"], each["predicted"], number(each["rows"])) for each in most]
    return table("Most frequent confusions", ["Is", "Taken for", "Rows"], rows, numbers=(2,))
