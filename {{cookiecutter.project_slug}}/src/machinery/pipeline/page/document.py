"""document: every report in; reports/index.html out, one file that needs no other."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Card
from machinery.pipeline.statistics import metrics

from . import figures, words
from .figures import MOST, Estimate, Figure
from .render import precise, render

Reports = Mapping[str, Any]


def page(
    reports: Reports, contract: Contract, until: datetime | None, card: Card, level: float
) -> str:
    """The page. Deterministic: it depends on its arguments alone.

    Args:
        reports: the documents of the card (see stages/card.py), and `plots` and `features`.
        contract: the contract of the data.
        until: the end of the data window, None for no cut-off.
        card: what only people can say.
        level: of the confidence intervals.
    """
    headline, columns = reports["selection"]["headline"], reports["quality"]["columns"]
    overall, target = reports["metrics"][headline]["value"], contract.columns[contract.target]
    unit = f" {target.unit}" if target.unit and contract.task == "regression" else ""
    used = [each for each in reports["features"] if each["name"] in reports["model"]["features"]]
    return render(
        "report.html.jinja",
        **reports,
        headline=headline,
        contract=contract,
        described=target.description,
        spoken=card,
        level=level,
        unit=unit,
        words=words,
        window=words.window(until),
        greater_is_better=metrics.greater_is_better,
        curves=_curves(reports["plots"], reports["metrics"], unit),
        sliced=_slices(reports["slices"], headline, overall),
        worse=_worse(reports["slices"], headline, overall),
        ranked=_importance(reports["plots"].get("importance", ()), headline),
        compared=_candidates(reports["selection"]),
        weights=words.weights(contract),
        drift=_drift(columns),
        missing=_missing(columns),
        column_owners=words.column_owners(used, contract),
    )


def _curves(plots: Reports, measured: Reports, unit: str) -> list[Figure]:
    points = {name: plots.get(name, ()) for name in ("roc", "precision_recall", "calibration")}
    mean = " (mean over classes)" if len({each["class"] for each in points["roc"]}) > 1 else ""

    def area(metric: str) -> str:
        """That of metrics.json: the curve that is drawn is thinned, and its area differs a bit."""
        value = measured.get(metric, {}).get("value")
        return f"{words.title(metric)} {precise(value)}{mean}."

    rates = ("fpr", "tpr", "false positive rate", "true positive rate")
    both = ("recall", "precision", "recall", "precision")
    pr, title = points["precision_recall"], "Precision-recall curve"
    bins, middle = "in bins of equal count", "Mean and middle 80 % of the actual values"
    drawn = (
        figures.curves(points["roc"], "roc", "ROC curve", rates, area("roc_auc")),
        figures.curves(pr, "recall", title, both, area("average_precision")),
        figures.agreement(points["calibration"], "bins", "Calibration", f"With intervals, {bins}"),
        figures.agreement(
            plots.get("actual", ()), "actual", "Actual vs predicted", f"{middle}, {bins}", unit
        ),
        figures.residuals(plots.get("residuals", ()), unit),
    )
    return [figure for figure in drawn if figure]


def _slices(slices: Sequence[Reports], headline: str, overall: float | None) -> list[Figure]:
    """A figure for each column, all on one scale."""
    sign = 1 if metrics.greater_is_better(headline) else -1
    known = {
        column: _estimates(
            (str(each["slice"]), each) for each in slices if each["column"] == column
        )
        for column in dict.fromkeys(each["column"] for each in slices)
    }
    points = [end for lines in known.values() for line in lines for end in (line.low, line.high)]
    edge = 0.04 * (max(points) - min(points)) if points else 0
    ends = (min(points) - edge, max(points) + edge) if points else None
    drawn = []
    for place, (column, lines) in enumerate(known.items()):
        worst = sorted(lines, key=lambda line: sign * line.value)[:MOST]
        some = f" (worst {MOST} of {len(lines)})" if len(worst) < len(lines) else ""
        shown, title = [line for line in lines if line in worst], f"By {column}{some}"
        name, note = f"slice-{place}", words.title(headline)
        drawn.append(figures.estimates(shown, name, title, note, overall, ends))
    return [figure for figure in drawn if figure]


def _worse(slices: Sequence[Reports], headline: str, overall: float | None) -> str:
    """Which slices are worse than the overall value beyond their interval."""
    sign, end = (1, "high") if metrics.greater_is_better(headline) else (-1, "low")
    best = {f"{each['column']} {each['slice']}": each[end] for each in slices}
    known = {name: value for name, value in best.items() if None not in (value, overall)}
    worse = [name for name, value in known.items() if sign * value < sign * (overall or 0)]
    text = "No slice is worse than overall (dotted) beyond its interval."
    if worse:
        text = f"Worse than overall (dotted) beyond their interval: {', '.join(worse)}."
    if unknown := [name for name, value in best.items() if value is None]:
        text += f" Too few rows, groups or cases for an interval: {', '.join(unknown)}."
    return text


def _importance(ranking: Sequence[Reports], headline: str) -> Figure | None:
    known = [each for each in ranking if each["importance"] is not None]
    lines = [Estimate(each["feature"], each["importance"]) for each in known[:MOST]]
    title = f"First {len(lines)} of {len(known)} features"
    return figures.estimates(lines, "ranked", title, f"How much worse {words.title(headline)} gets")


def _candidates(selection: Reports) -> Figure | None:
    lines = []
    for each in selection["candidates"]:
        mean, error = each["mean"], each["standard_error"]
        if mean is not None and error is not None:
            chosen = each["candidate"] == selection["candidate"]
            lines.append(Estimate(each["candidate"], mean, mean - error, mean + error, chosen))
    note = f"{words.title(selection['headline'])}, mean over folds ± standard error"
    return figures.estimates(lines[-MOST:], "compared", "Simplest first", note)


def _drift(columns: Reports) -> list[tuple[str, Reports]] | None:
    """The statistics whose intervals in both windows are apart, the farthest first.

    None where there is no newest window.
    """
    both = [
        (_gap(windows), f"{column}, {name}", windows)
        for column, values in columns.items()
        for name, windows in values.items()
        if "newest" in windows
    ]
    apart = [each for each in both if each[0] > 0 and not each[1].endswith(", missing")]
    apart.sort(key=lambda each: (-each[0], each[1]))
    return [each[1:] for each in apart] if both else None


def _gap(windows: Reports) -> float:
    """How far the intervals of the windows lie apart, in widths of both; at most 0 if they meet."""
    old, new = windows["reference"], windows["newest"]
    if None in (*old.values(), *new.values()):
        return 0.0
    apart = max(float(new["low"] - old["high"]), float(old["low"] - new["high"]))
    return apart / ((old["high"] - old["low"] + new["high"] - new["low"]) or 1)


def _missing(columns: Reports) -> Figure | None:
    """Missing values of the columns that have some, in the newest window if there is one."""
    windows = ((name, values["missing"]) for name, values in columns.items())
    lines = _estimates((name, each.get("newest", each["reference"])) for name, each in windows)
    some = sorted((line for line in lines if line.value), key=lambda line: -line.value)
    note = "Share of rows without a value, in the newest rows"
    return figures.estimates(some[:MOST], "missing", "By column", note)


def _estimates(lines: Iterable[tuple[str, Reports]]) -> list[Any]:
    """Those that have an interval."""
    keys = ("value", "low", "high")
    known = ((label, [line[key] for key in keys]) for label, line in lines)
    return [Estimate(label, *values) for label, values in known if None not in values]
