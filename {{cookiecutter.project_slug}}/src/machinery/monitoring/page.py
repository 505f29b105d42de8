"""Render reports/monitoring/index.html: one file that loads nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machinery.pipeline.page import figures, words
from machinery.pipeline.page.figures import MOST, Estimate, Figure
from machinery.pipeline.page.render import render

from .outcomes import EvaluatedModel

TEMPLATES = Path(__file__).with_name("templates")
Report = Mapping[str, Any]


def page(report: Report, model: EvaluatedModel, command: str) -> str:
    """The page. Of 500 columns it shows the 20 worst; monitoring.json has all."""
    latest = next(window for window in report["windows"] if window["name"] == report["latest"])
    return render(
        "monitoring.html.jinja",
        TEMPLATES,
        report=report,
        latest=latest,
        command=command,
        headline=model.headline,
        bias=model.bias,
        contract=model.contract,
        settings=model.monitor,
        most=MOST,
        words=words,
        by_window=_by_window(report, model),
        slices=_worst_slices(latest["slices"], model),
        quality=_worst_columns(latest["quality"]),
    )


def _by_window(report: Report, model: EvaluatedModel) -> list[Figure]:
    """A figure for each of the main metrics, with a line for each window."""
    evaluated, windows = report["promised"], report["windows"][-MOST:]
    references = {
        model.bias: (0.0, "Predicted minus observed; dotted: none"),
        model.headline: (evaluated[model.headline]["value"], "Dotted: measured by evaluate"),
        model.loss: (evaluated[model.loss]["value"], "Dotted: measured by evaluate"),
        "coverage": (model.select.coverage, "Dotted: nominal"),
    }
    drawn = [
        figures.estimates(_lines(windows, name), f"by-{name}", words.title(name), note, reference)
        for name, (reference, note) in references.items()
    ]
    return [figure for figure in drawn if figure]


def _lines(windows: Sequence[Report], name: str) -> list[Estimate]:
    """An interval for each window that has one."""
    intervals = [(window["name"], window["figures"].get(name)) for window in windows]
    return [
        Estimate(window, **interval)
        for window, interval in intervals
        if interval and None not in interval.values()
    ]


def _worst_slices(slices: Sequence[Report], model: EvaluatedModel) -> list[Report]:
    """The worst slices by the headline metric, which must be defined."""

    def score(part: Report) -> Any:
        return part["figures"][model.headline]["value"]

    defined = [part for part in slices if score(part) is not None]
    return sorted(defined, key=lambda part: model.sign * score(part))[:MOST]


def _worst_columns(columns: Mapping[str, Report]) -> list[tuple[str, Report]]:
    """Columns with missing or new values, those with most first."""

    def share(column: Report) -> float:
        return max(column["missing"]["value"] or 0, (column["new"] or {}).get("value") or 0)

    flawed = [(name, column) for name, column in columns.items() if share(column)]
    return sorted(flawed, key=lambda item: -share(item[1]))[:MOST]
