"""output: what `monitor` found in; the files that people, DVC and Prometheus read, out."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, replace, write_json, write_text
from machinery.pipeline.paths import GAUGES

from . import outcomes
from .outcomes import Promise
from .page import page
from .rule import newest_verdict

VIOLATIONS = (*outcomes.NAMES, "quality", "skew", "freshness")
FOLDER = Path("reports/monitoring")


def write(report: dict[str, Any], promise: Promise, command: str, log: Path | None) -> None:
    """Write reports/monitoring; and what `retrain` and Prometheus act on, unless `log` is None.

    That is monitoring.json, and the gauges beside the log.

    Raises:
        UserError: for a file that cannot be written.
    """
    html = page(report, promise, command)
    try:
        _write(report, html, log)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it writable") from error


def _write(report: dict[str, Any], html: str, log: Path | None) -> None:
    write_text(html, FOLDER / "index.html")
    windows = [
        {"window": each["name"], **{n: figure["value"] for n, figure in each["figures"].items()}}
        for each in report["windows"]
    ]
    write_json(windows, FOLDER / "windows.json")
    latest = next(each for each in windows if each["window"] == report["latest"])
    write_json(latest, FOLDER / "metrics.json")
    if log is not None:
        write_json(report, FOLDER / "monitoring.json")
        replace(log / GAUGES, lambda part: _private(part, prometheus(report)))


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")


def prometheus(report: dict[str, Any], now: datetime | None = None) -> str:
    """The gauges of the latest window, for the service's page.

    Those of outcomes are of the newest window that has enough of them.
    """
    latest = next(each for each in report["windows"] if each["name"] == report["latest"])
    verdict = newest_verdict(report["windows"])
    lines = []

    def gauge(name: str, about: str, values: Mapping[str, float | None]) -> None:
        known = {labels: value for labels, value in values.items() if value is not None}
        if known:
            lines.append(f"# HELP monitoring_{name} {about}\n# TYPE monitoring_{name} gauge\n")
            lines.extend(f"monitoring_{name}{of} {value}\n" for of, value in known.items())

    windows = {name: verdict if name in outcomes.NAMES else latest for name in VIOLATIONS}
    violated = {
        f'{{name="{name}"}}': float(name in window["violations"])
        for name, window in windows.items()
        if window is not None
    }
    gauge("violation", "1 where the latest window violates a limit of monitor.", violated)
    for end in ("value", "low", "high"):
        figures = (verdict or latest)["figures"]
        values = {f'{{figure="{name}"}}': each[end] for name, each in figures.items()}
        gauge(end, "Of a figure in the newest window with enough outcomes.", values)
    canary = (report["models"] or {}).get("verdict")
    age = latest["freshness"]["model_age_days"]
    plain = {
        "rows": ("Answered in the latest window.", latest["rows"]),
        "labelled_rows": ("Of these, with an outcome.", latest["labelled"]),
        "model_age_seconds": ("Of data time, to the newest row.", age and age * 86_400),
        "run_timestamp_seconds": ("When monitor ran.", (now or datetime.now(UTC)).timestamp()),
        "retrain": ("1 where the rule says to retrain.", int(report["retrain"]["answer"])),
        "canary_worse": ("1 where the newer model is worse.", canary and int(canary == "worse")),
    }
    for name, (about, value) in plain.items():
        gauge(name, about, {"": value})
    faults = {
        f"{{fault={json.dumps(fault, ensure_ascii=False)}}}": count  # which escapes as Prometheus
        for fault, count in report["faults"].items()
    }
    gauge("faults", "Lines and rows of the log that could not be used.", faults)
    return "".join(lines)
