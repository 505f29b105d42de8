"""Write the model card (Markdown) and reports/index.html (one self-contained page).

Both depend on their arguments alone. `reports` are the documents of stages/card.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Card
from machinery.pipeline.statistics import metrics

from . import figures, words
from .figures import MAX_LINES, Estimate, Figure
from .render import precise, render

Reports = Mapping[str, Any]


def card(reports: Reports, contract: Contract, until: datetime | None, spoken: Card) -> str:
    """The model card as Markdown; `until` is the end of the data window, if it has one."""
    return render("model_card.md.jinja", **_context(reports, contract, until, spoken))


def page(
    reports: Reports, contract: Contract, until: datetime | None, spoken: Card, level: float
) -> str:
    """The page as HTML; `level` is that of the confidence intervals."""
    headline, target = reports["selection"]["headline"], contract.columns[contract.target]
    overall, columns = reports["metrics"][headline]["value"], reports["quality"]["columns"]
    unit = f" {target.unit}" if target.unit and contract.task == "regression" else ""
    plots = defaultdict(list, reports["plots"])
    context = _context(reports, contract, until, spoken) | {
        "plots": plots,
        "headline": headline,
        "description": target.description,
        "level": level,
        "unit": unit,
        "greater_is_better": metrics.greater_is_better,
        "curves": _curves(plots, reports["metrics"], unit),
        "slice_figures": _slices(reports["slices"], headline, overall),
        "overall": overall,
        "ranking": _importance(plots["importance"], headline),
        "comparison": _candidates(reports["selection"]),
        "drift": _drift(columns),
        "missing": _missing(columns),
    }
    return render("report.html.jinja", **context)


def _context(
    reports: Reports, contract: Contract, until: datetime | None, spoken: Card
) -> dict[str, Any]:
    used = [line for line in reports["features"] if line["name"] in reports["model"]["features"]]
    end = f"{until:%Y-%m-%d %H:%M}".removesuffix(" 00:00") if until else ""
    sources = {column for feature in used for column in feature["columns"]}
    return {
        **reports,
        "contract": contract,
        "spoken": spoken,
        "words": words,
        "window": f"rows before {end}" if end else "no cut-off",
        "used": used,
        "column_owners": ", ".join(sorted({contract.columns[name].owner for name in sources})),
    }


def _curves(plots: Reports, estimates: Reports, unit: str) -> list[Figure]:
    mean = " (mean over classes)" if len({point["class"] for point in plots["roc"]}) > 1 else ""

    def area(metric: str) -> str:
        """The area in metrics.json; that of the plotted points, which are fewer, differs a bit."""
        return f"{words.title(metric)} {precise(estimates.get(metric, {}).get('value'))}{mean}"

    rates = ("fpr", "tpr", "false positive rate", "true positive rate")
    both = ("recall", "precision", "recall", "precision")
    pr, title = plots["precision_recall"], "Precision-recall curve"
    bins = "in bins of equal count"
    middle = f"Mean and middle 80 % of the actual values, {bins}"
    panels = (
        figures.curves(plots["roc"], "roc", "ROC curve", rates, area("roc_auc")),
        figures.curves(pr, "recall", title, both, area("average_precision")),
        figures.agreement(plots["calibration"], "observed", "Calibration", f"Intervals {bins}"),
        figures.agreement(plots["actual"], "actual", "Actual vs predicted", middle, unit),
        figures.residuals(plots["residuals"], unit),
    )
    return [figure for figure in panels if figure]


def _slices(slices: Sequence[Reports], headline: str, overall: float | None) -> list[Figure]:
    """A figure for each column, all on one scale."""
    sign = 1 if metrics.greater_is_better(headline) else -1
    by_column: dict[str, list[Any]] = defaultdict(list)
    panels = []
    for line in slices:
        by_column[line["column"]] += _estimates([(str(line["slice"]), line)])
    points = [end for part in by_column.values() for line in part for end in (line.low, line.high)]
    low, high = min(points, default=0), max(points, default=0)
    ends = low - 0.04 * (high - low), high + 0.04 * (high - low)
    for number, (column, lines) in enumerate(by_column.items()):
        worst, title = sorted(lines, key=lambda line: sign * line.value)[:MAX_LINES], f"By {column}"
        if len(worst) < len(lines):
            title += f" (worst {MAX_LINES} of {len(lines)})"
        shown, note = [line for line in lines if line in worst], words.title(headline)
        panels.append(figures.estimates(shown, f"slice-{number}", title, note, overall, ends))
    return [figure for figure in panels if figure]


def _importance(ranking: Sequence[Reports], headline: str) -> Figure | None:
    defined = [line for line in ranking if line["importance"] is not None]
    lines = [Estimate(line["feature"], line["importance"]) for line in defined[:MAX_LINES]]
    title, note = f"First {len(lines)} of {len(defined)} features", words.title(headline)
    return figures.estimates(lines, "ranking", title, f"How much worse {note} gets")


def _candidates(selection: Reports) -> Figure | None:
    lines = []
    for line in selection["candidates"]:
        name, mean, error = line["candidate"], line["mean"], line["standard_error"]
        if None not in (mean, error):
            chosen = name == selection["candidate"]
            lines.append(Estimate(name, mean, mean - error, mean + error, chosen))
    note = f"{words.title(selection['headline'])}, mean over folds ± standard error"
    return figures.estimates(lines[-MAX_LINES:], "comparison", "Simplest first", note)


def _drift(columns: Reports) -> list[tuple[float, str, Reports]]:
    """Statistics whose intervals in both windows do not overlap, by decreasing gap."""
    gaps = [
        (_gap(windows["reference"], windows["newest"]), f"{column}, {name}", windows)
        for column, statistics in columns.items()
        for name, windows in statistics.items()
        if "newest" in windows and name != "missing"
    ]
    return sorted((line for line in gaps if line[0] > 0), key=lambda line: (-line[0], line[1]))


def _gap(old: Reports, new: Reports) -> float:
    """The gap between two intervals, relative to their total width; at most 0 if they overlap."""
    if None in (*old.values(), *new.values()):
        return 0.0
    gap = max(float(new["low"] - old["high"]), float(old["low"] - new["high"]))
    return gap / ((old["high"] - old["low"] + new["high"] - new["low"]) or 1)


def _missing(columns: Reports) -> Figure | None:
    """Missing values by column, in the newest window if there is one."""
    windows = ((name, statistics["missing"]) for name, statistics in columns.items())
    lines = _estimates((name, part.get("newest", part["reference"])) for name, part in windows)
    lines = sorted((line for line in lines if line.value), key=lambda line: -line.value)
    note = "Share of rows without a value, in the newest rows"
    return figures.estimates(lines[:MAX_LINES], "missing", "By column", note)


def _estimates(lines: Iterable[tuple[str, Reports]]) -> list[Any]:
    """The lines that have an interval."""
    values = ((label, [line[key] for key in ("value", "low", "high")]) for label, line in lines)
    return [Estimate(label, *ends) for label, ends in values if None not in ends]
