"""monitor: the folder of a prediction log in; what it says of the model, in files, out."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.agreement import require
from machinery.pipeline.files import read_json, read_table, read_yaml
from machinery.pipeline.params import Evaluate, Monitor, Report, Select
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Interval

from . import drift, estimate, models, outcomes, quality, rule
from .encoding import compared
from .outcomes import Figures, Promise
from .rows import Reader, Window

if TYPE_CHECKING:
    import pandas as pd

DAY = timedelta(days=1)


def promised() -> Promise:
    """What the model of this checkout promises."""
    contract = contracts.load()
    require(read_yaml(paths.PARAMS), contract)
    return Promise(
        contract,
        read_json(paths.MODEL_INFO),
        read_json(paths.METRICS),
        sections.load(Select),
        sections.load(Evaluate),
        sections.load(Monitor),
    )


def monitor(
    features: ModuleType,
    promise: Promise,
    folder: Path,
    start: datetime | None = None,
    end: datetime | None = None,
) -> dict[str, Any]:
    """All that the log in `folder` says, as reports/monitoring/monitoring.json has it.

    Args:
        features: the module that makes the features.
        promise: of the model.
        folder: of the prediction log.
        start: of the span of data time; None for all that the log has.
        end: of the span, not included.

    Raises:
        UserError: when the log has no row of the span.
    """
    contract, settings = promise.contract, promise.monitor
    kept = [*promise.evaluate.slices, *([contract.group] if contract.group else [])]
    reader = Reader(contract, settings.window, settings.sample_rows, kept)
    windows = reader.read(folder, start, end)
    train = read_table(paths.TRAIN) if paths.TRAIN.is_file() else None
    until = _moment(promise.info["trained_on"].get("until"))
    newest = max(each.rows["at"].max() for each in windows)
    found: list[dict[str, Any]] = []
    for place, window in enumerate(windows):
        before = windows[place - 1] if place else None
        found.append(
            _window(window, before, windows[:place], promise, features, train, newest, until)
        )
    judged = [
        rule.Judged(
            each["name"],
            datetime.fromisoformat(each["to"]),
            each["model_version"],
            frozenset(each["violations"]) if each["enough"] else None,
        )
        for each in found
        if each["over"]
    ]
    latest = next((each for each in reversed(found) if each["over"]), found[-1])
    last = windows[found.index(latest)]
    together = last.rows[last.rows["target"].notna()]
    references = {"training": train, "window before": None}
    if found.index(latest):
        references["window before"] = quality.raw(windows[found.index(latest) - 1].sample)
    return {
        "model_version": latest["model_version"],
        "latest": latest["name"],
        "windows": found,
        "promised": promise.figures,
        "drift": {
            name: None
            if table is None
            else drift.drift(
                table, quality.raw(last.sample), contract, settings.level, settings.seed
            )
            for name, table in references.items()
        },
        "models": models.compare(together, promise, sections.load(Report)),
        "alarms": [
            {"name": name, "window": latest["name"], "sentence": sentence}
            for name, sentence in latest["violations"].items()
        ],
        "retrain": rule.decide(judged, settings.retrain, until),
        "faults": dict(reader.faults),
    }


def _window(
    window: Window,
    before: Window | None,
    past: Sequence[Window],
    promise: Promise,
    features: ModuleType,
    train: "pd.DataFrame | None",
    newest: datetime,
    until: datetime | None,
) -> dict[str, Any]:
    """What is said of one window."""
    contract, settings = promise.contract, promise.monitor
    version, limits = window.version, settings.limits
    rows = window.of(version)
    labelled = rows[rows["target"].notna()]
    over = window.end <= newest + DAY
    figures: Figures = {}
    estimated = _estimated(rows, promise)
    if len(labelled):
        figures = outcomes.figures(labelled, promise)
        if not contract.classes and (of_error := _errors(window, past, promise)):
            estimated, figures["gap"] = of_error
    enough = over and len(labelled) >= settings.min_rows and _has_intervals(figures)
    raw = quality.raw(window.sample)
    learned = read_json(paths.DATA_QUALITY)["columns"]
    columns = quality.columns(raw, train, learned, contract, settings.level)
    skew = quality.skew(window.sample, features, contract)
    moments = [each.rows["at"][each.rows["target"].notna()].max() for each in (*past, window)]
    known = max((each for each in moments if each == each), default=None)
    ages, stale = quality.freshness(min(window.end, newest), until, known, limits)
    violations = outcomes.violations(figures, promise) if enough else {}
    bad = quality.faults(columns, limits.quality) + quality.volume(window, before, limits.volume)
    if over and bad:
        violations["quality"] = "; ".join(bad)
    if over and skew and skew["differ"] > limits.skew * skew["rows"]:
        names = ", ".join(skew["features"])
        what = f"features.py makes other features of {skew['differ']} of {skew['rows']} rows"
        violations["skew"] = f"{what} than the service logged: {names}"
    if over and stale:
        violations["freshness"] = "; ".join(stale)
    return {
        "name": window.name,
        "from": window.start.isoformat(),
        "to": window.end.isoformat(),
        "over": over,
        "enough": enough,
        "model_version": version,
        "rows": len(rows),
        "labelled": len(labelled),
        "others": _others(window, version),
        "figures": {name: each.as_dict() for name, each in figures.items()},
        "estimated": estimated,
        "outside": None if train is None else quality.outside(raw, train, contract),
        "slices": outcomes.slices(labelled, promise) if len(labelled) else [],
        "quality": columns,
        "skew": skew,
        "freshness": ages,
        "violations": violations,
    }


def _estimated(rows: "pd.DataFrame", promise: Promise) -> float | None:
    """The headline metric that the probabilities of all rows lead to expect."""
    if not promise.contract.classes:
        return None
    score = estimate.expected(promise.contract.gather(rows), promise.headline)
    return float(score(np.ones((1, len(rows))))[0])


def _errors(
    window: Window, past: Sequence[Window], promise: Promise
) -> tuple[float, Interval] | None:
    """Of a regression the mean absolute error that earlier windows lead to expect, and the gap."""
    import pandas as pd

    known = [each.sample[each.sample["target"].notna()] for each in past]
    if sum(map(len, known)) < promise.monitor.min_rows:
        return None
    before, now = pd.concat(known, ignore_index=True), window.sample
    error = [
        np.abs(np.subtract(*outcomes.arrays(each, promise.contract))) for each in (before, now)
    ]
    raw = [quality.raw(each)[compared(promise.contract)] for each in (before, now)]
    expected = estimate.errors(raw[0], error[0], raw[1], promise.monitor.seed)
    labelled = now["target"].notna().to_numpy()
    gap = metrics.mean((error[1] - expected)[labelled])
    found = promise.measured({"gap": gap}, now[labelled])
    return float(expected.mean()), found["gap"]


def _has_intervals(figures: Figures) -> bool:
    return any(each.low == each.low for each in figures.values())


def _others(window: Window, version: str) -> dict[str, int]:
    """How many rows other models answered, and shadows."""
    rest = window.rows[
        (window.rows["model_version"] != version) | (window.rows["role"] != "champion")
    ]
    return {str(name): int(count) for name, count in rest["model_version"].value_counts().items()}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
