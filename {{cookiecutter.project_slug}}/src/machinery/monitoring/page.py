"""page: what `monitor` found in; reports/monitoring/index.html out, one file that loads nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machinery.pipeline.page import figures, words
from machinery.pipeline.page.figures import MOST, Estimate, Figure
from machinery.pipeline.page.render import render

from .outcomes import Promise

TEMPLATES = Path(__file__).with_name("templates")
Report = Mapping[str, Any]


def page(report: Report, promise: Promise, command: str) -> str:
    """The page. Of 500 columns the 20 worst are on it; monitoring.json has all."""
    latest = next(each for each in report["windows"] if each["name"] == report["latest"])
    return render(
        "monitoring.html.jinja",
        TEMPLATES,
        report=report,
        latest=latest,
        command=command,
        headline=promise.headline,
        bias=promise.bias,
        contract=promise.contract,
        settings=promise.monitor,
        most=MOST,
        words=words,
        by_window=_by_window(report, promise),
        slices=_slices(latest["slices"], promise),
        quality=_quality(latest["quality"])[:MOST],
    )


def _by_window(report: Report, promise: Promise) -> list[Figure]:
    """A figure for each of the most telling metrics: a line for each window."""
    windows = report["windows"][-MOST:]
    headline, loss, promised = promise.headline, promise.loss, report["promised"]
    told = {
        promise.bias: (0.0, "Predicted minus observed; dotted: none"),
        headline: (promised[headline]["value"], "Dotted: promised by evaluate"),
        loss: (promised[loss]["value"], "Dotted: promised by evaluate"),
        "coverage": (promise.select.coverage, "Dotted: nominal"),
    }
    drawn = [
        figures.estimates(_lines(windows, name), f"by-{name}", title(name), note, overall)
        for name, (overall, note) in told.items()
    ]
    return [figure for figure in drawn if figure]


def title(figure: str) -> str:
    """The name of a figure."""
    own = {"calibration": "Calibration in the large", "bias": "Bias"}
    return own.get(figure) or words.title(figure)


def _lines(windows: Sequence[Report], name: str) -> list[Estimate]:
    known = [(each["name"], each["figures"].get(name)) for each in windows]
    return [
        Estimate(window, each["value"], each["low"], each["high"])
        for window, each in known
        if each and each["value"] is not None and each["low"] is not None
    ]


def _slices(slices: Sequence[Report], promise: Promise) -> list[Report]:
    """Those of the latest window, the worst by the headline metric first."""
    headline = promise.headline
    known = [each for each in slices if each["figures"][headline]["value"] is not None]
    known.sort(key=lambda each: promise.sign * each["figures"][headline]["value"])
    return known[:MOST]


def _quality(columns: Mapping[str, Report]) -> list[tuple[str, Report]]:
    """Columns with missing or new values, those with most first."""

    def share(each: Report) -> float:
        return max(each["missing"]["value"] or 0, (each["new"] or {}).get("value") or 0)

    some = [(name, each) for name, each in columns.items() if share(each)]
    return sorted(some, key=lambda item: -share(item[1]))
