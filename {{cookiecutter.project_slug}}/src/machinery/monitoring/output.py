"""Write the report of `monitor` to the files that people, DVC and Prometheus read."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, replace, write_json, write_text
from machinery.pipeline.page import figures, words
from machinery.pipeline.page.figures import MAX_LINES, Estimate, Figure
from machinery.pipeline.page.render import render
from machinery.pipeline.paths import GAUGES

from . import outcomes
from .outcomes import EvaluatedModel
from .rule import Entry, newest_verdict

VIOLATIONS = (*outcomes.NAMES, "quality", "skew", "freshness")
FOLDER = Path("reports/monitoring")
TEMPLATES = Path(__file__).with_name("templates")


def write(report: dict[str, Any], model: EvaluatedModel, command: str, log: Path | None) -> None:
    """Write reports/monitoring; unless `log` is None also monitoring.json and the gauges.

    `retrain` acts on monitoring.json, Prometheus on the gauges, which are written beside the log.

    Raises:
        UserError: for a file that cannot be written.
    """
    windows = [
        {"window": entry["name"], **{n: value["value"] for n, value in entry["figures"].items()}}
        for entry in report["windows"]
    ]
    latest = next(window for window in windows if window["window"] == report["latest"])
    try:
        write_text(page(report, model, command), FOLDER / "index.html")
        write_json(windows, FOLDER / "windows.json")
        write_json(latest, FOLDER / "metrics.json")
        if log is not None:
            write_json(report, FOLDER / "monitoring.json")
            replace(log / GAUGES, lambda part: _write_private(part, prometheus(report)))
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it writable") from error


def _write_private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")


def prometheus(report: dict[str, Any], time: datetime | None = None) -> str:
    """The gauges of the latest window, in Prometheus's text format.

    Those of outcomes are of the newest window that has enough of them.
    """
    latest = next(window for window in report["windows"] if window["name"] == report["latest"])
    judged = newest_verdict(report["windows"])
    lines = []

    def gauge(name: str, about: str, values: Mapping[str, float | None]) -> None:
        """Add a gauge with a value for each label set."""
        values = {labels: value for labels, value in values.items() if value is not None}
        if values:
            lines.append(f"# HELP monitoring_{name} {about}\n# TYPE monitoring_{name} gauge\n")
            lines.extend(f"monitoring_{name}{of} {value}\n" for of, value in values.items())

    windows = {name: judged if name in outcomes.NAMES else latest for name in VIOLATIONS}
    violated = {
        f'{{name="{name}"}}': float(name in window["violations"])
        for name, window in windows.items()
        if window is not None
    }
    gauge("violation", "1 where the latest window violates a limit of monitor.", violated)
    for end in ("value", "low", "high"):
        figures = (judged or latest)["figures"]
        values = {f'{{figure="{name}"}}': interval[end] for name, interval in figures.items()}
        gauge(end, "Of a metric in the newest window with enough outcomes.", values)
    canary = (report["models"] or {}).get("verdict")
    age = latest["freshness"]["model_age_days"]
    ran = (time or datetime.now(UTC)).timestamp()
    gauge("rows", "Answered in the latest window.", {"": latest["rows"]})
    gauge("labelled_rows", "Of these, with an outcome.", {"": latest["labelled"]})
    gauge("model_age_seconds", "Of data time, to the newest row.", {"": age and age * 86_400})
    gauge("run_timestamp_seconds", "When monitor ran.", {"": ran})
    gauge("retrain", "1 where the rule says to retrain.", {"": int(report["retrain"]["answer"])})
    worse = canary and int(canary == "worse")
    gauge("canary_worse", "1 where the newer model is worse.", {"": worse})
    faults = {
        f"{{fault={json.dumps(fault, ensure_ascii=False)}}}": count  # escaped as Prometheus does
        for fault, count in report["faults"].items()
    }
    gauge("faults", "Lines and rows of the log that could not be used.", faults)
    return "".join(lines)


def page(report: Entry, model: EvaluatedModel, command: str) -> str:
    """The page. Of 500 columns it shows the 20 worst; monitoring.json has all."""
    latest = next(window for window in report["windows"] if window["name"] == report["latest"])
    return render(
        "monitoring.html.jinja",
        TEMPLATES,
        report=report,
        latest=latest,
        command=command,
        model=model,
        most=MAX_LINES,
        by_window=_by_window(report, model),
        slices=_worst_slices(latest["slices"], model),
        quality=_worst_columns(latest["quality"]),
    )


def _by_window(report: Entry, model: EvaluatedModel) -> list[Figure]:
    """A figure for each of the main metrics, with a line for each window."""
    evaluated, windows = report["promised"], report["windows"][-MAX_LINES:]
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


def _lines(windows: Sequence[Entry], name: str) -> list[Estimate]:
    """An interval for each window that has one."""
    intervals = ((w["name"], w["figures"].get(name, {"value": None})) for w in windows)
    return [Estimate(window, **ends) for window, ends in intervals if None not in ends.values()]


def _worst_slices(slices: Sequence[Entry], model: EvaluatedModel) -> list[Entry]:
    """The worst slices by the headline metric, which must be defined."""

    def score(part: Entry) -> Any:
        return part["figures"][model.headline]["value"]

    defined = [part for part in slices if score(part) is not None]
    return sorted(defined, key=lambda part: model.sign * score(part))[:MAX_LINES]


def _worst_columns(columns: Mapping[str, Entry]) -> list[tuple[str, Entry]]:
    """Columns with missing or new values, those with most first."""

    def share(column: Entry) -> float:
        return max(column["missing"]["value"] or 0, (column["new"] or {}).get("value") or 0)

    flawed = [(name, column) for name, column in columns.items() if share(column)]
    return sorted(flawed, key=lambda item: -share(item[1]))[:MAX_LINES]
