"""Write the report of `monitor` to the files that people, DVC and Prometheus read."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, replace, write_json, write_text
from machinery.pipeline.paths import GAUGES

from . import outcomes
from .outcomes import EvaluatedModel
from .page import page
from .rule import newest_verdict

VIOLATIONS = (*outcomes.NAMES, "quality", "skew", "freshness")
FOLDER = Path("reports/monitoring")


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
