"""gate: every report in; a list of named checks, each with its value and limit, out.

The gate writes its verdict and never stops the run: the reports of a model that failed are needed
most. A failed gate blocks the release, and CI.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from machinery.pipeline import params as sections
from machinery.pipeline.files import read_json, write_json
from machinery.pipeline.params import Evaluate, Gate, Select
from machinery.pipeline.paths import (
    DATA_QUALITY,
    GATE,
    LEAKAGE,
    METRICS,
    MODEL_INFO,
    SELECTION,
    SLICES,
)
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import metrics


@dataclass(frozen=True)
class Check:
    """One named check. A value that could not be computed (None) never passes."""

    name: str
    value: float | None
    limit: float
    passed: bool
    why: str


@dataclass(frozen=True)
class Evidence:
    """All that the gate reads; `sliced` are the columns that `evaluate.slices` names."""

    metrics: dict[str, Any]
    slices: list[dict[str, Any]]
    sliced: list[str]
    selection: dict[str, Any]
    model: dict[str, Any]
    leakage: list[dict[str, Any]]
    quality: dict[str, Any]


def gate(evidence: Evidence, headline: str, limits: Gate) -> dict[str, Any]:
    """The verdict on the model: passed if every check passed."""
    checks = [
        *_performance(evidence, headline, limits),
        *_honesty(evidence, limits),
        *_model_file(evidence, limits),
        *_data(evidence, limits),
    ]
    return {
        "passed": all(check.passed for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def _performance(evidence: Evidence, headline: str, limits: Gate) -> Iterator[Check]:
    gain, value = evidence.metrics["gain_over_baseline"], evidence.metrics[headline]["value"]
    over = f"{evidence.selection['baseline']}, the first candidate"
    why = f"lower end of the interval of the gain in {headline} over {over}"
    if gain["low"] is None:
        why = f"the gain in {headline} over {over}, has no interval; test on more groups or rows"
    yield Check("better_than_baseline", gain["low"], 0, _known(gain["low"], above=0), why)

    more = metrics.greater_is_better(headline)
    passed = at_least(value, limits.floor) if more else at_most(value, limits.floor)
    yield Check("floor", value, limits.floor, passed, f"{headline} on the test table")
    if evidence.sliced:
        worst, why = _worst_slice(evidence, headline, more)
        passed = at_least(worst, limits.worst_slice) if more else at_most(worst, limits.worst_slice)
        yield Check("worst_slice", worst, limits.worst_slice, passed, why)


def _worst_slice(evidence: Evidence, headline: str, more: bool) -> tuple[float | None, str]:
    """The better end of the worst slice: only a slice that is bad beyond its interval fails.

    Where there is no interval the value itself counts, without the benefit of the doubt.
    """
    if not evidence.slices:
        of = ", ".join(evidence.sliced)
        return None, f"no slice of {of} has evaluate.slice_min_rows rows; lower it"
    ends = [(_better_end(line, more), line) for line in evidence.slices]
    worst, line = min(ends, key=lambda end: _badness(end[0], more))
    where = f"{line['column']} {line['slice']} ({line['rows']} rows)"
    if worst is None:
        return None, f"{where} has no {headline}; raise evaluate.slice_min_rows"
    what = "its value of" if line["low"] is None else "the better end of its interval of"
    return worst, f"{where} is the worst slice; this is {what} {headline}"


def _better_end(figures: dict[str, Any], more: bool) -> float | None:
    end: float | None = figures["high" if more else "low"]
    return figures["value"] if end is None else end


def _badness(value: float | None, more: bool) -> float:
    """For `min`: the worst comes first, and before it what could not be computed."""
    if value is None:
        return -inf
    return value if more else -value


def _honesty(evidence: Evidence, limits: Gate) -> Iterator[Check]:
    if "calibration_error" in evidence.metrics:
        error = evidence.metrics["calibration_error"]["value"]
        why = "calibration error of the predicted probabilities"
        passed = at_most(error, limits.calibration)
        yield Check("calibration", error, limits.calibration, passed, why)
    share, nominal = evidence.metrics["coverage"]["value"], evidence.model["coverage"]
    least = nominal - limits.coverage_margin
    why = f"empirical coverage of prediction sets or intervals; nominal {nominal:g}"
    yield Check("coverage", share, least, at_least(share, least), why)


def _model_file(evidence: Evidence, limits: Gate) -> Iterator[Check]:
    parity, megabytes = evidence.model["parity"], evidence.model["bytes"] / 1e6
    why = "largest difference between the model file and the pipeline that it was made from"
    yield Check("parity", parity, limits.parity, at_most(parity, limits.parity), why)
    passed = at_most(megabytes, limits.model_megabytes)
    yield Check("model_size", megabytes, limits.model_megabytes, passed, "megabytes")


def _data(evidence: Evidence, limits: Gate) -> Iterator[Check]:
    yield _leakage(evidence.leakage, limits.leakage_exceptions)
    share = evidence.quality["quarantined"]["high"]
    why = "upper end of the interval of the share of rows that break the contract"
    passed = at_most(share, limits.quarantined)
    yield Check("quarantined", share, limits.quarantined, passed, why)
    yield from _windows(evidence.quality, limits)
    if freshness := evidence.quality["freshness"]:
        age = freshness["age_days"]
        why = "days from the newest row to the end of the data window"
        if age is None:
            why = "ingest.until is null, so the freshness of the newest row is unknown; set it"
        passed = at_most(age, limits.max_age_days)
        yield Check("freshness", age, limits.max_age_days, passed, why)


def _leakage(probes: list[dict[str, Any]], limit: int) -> Check:
    """Columns that a probe calls leaked but that are allowed; others would have stopped `split`."""
    reasons = {probe["column"]: probe["allowed"] for probe in probes if probe["allowed"]}
    why = "columns that look leaked and that split.leakage.allow allows"
    if reasons:
        why += f": {'; '.join(f'{name}, {reason}' for name, reason in sorted(reasons.items()))}"
    return Check("leakage", len(reasons), limit, at_most(len(reasons), limit), why)


def _windows(quality: dict[str, Any], limits: Gate) -> Iterator[Check]:
    """The newest window against the reference window, if both have rows."""
    windows, columns = quality.get("windows", {}), quality["columns"]
    empty = [name for name, window in windows.items() if not window["rows"]]
    for check in (*_missing(columns, limits.missing_rise), *_shares(columns, limits.share_shift)):
        if empty:
            why = f"no row is in the {empty[0]} window; change validate.window_days or ingest.until"
            yield replace(check, value=None, passed=False, why=why)
        else:
            yield check


def _missing(columns: dict[str, Any], limit: float) -> Iterator[Check]:
    """The column whose missing values rose most, interval against interval."""
    rises = {
        name: figures["missing"]["newest"]["low"] - figures["missing"]["reference"]["high"]
        for name, figures in columns.items()
        if "newest" in figures["missing"]
    }
    if rises:
        name = max(rises, key=rises.__getitem__)
        rise = max(0.0, rises[name])
        why = f"{name} has the largest rise of missing values since the reference window"
        yield Check("missing_values", rise, limit, at_most(rise, limit), why)


def _shares(columns: dict[str, Any], limit: float) -> Iterator[Check]:
    """The category whose share of the rows moved most, interval against interval."""
    moves = {
        f"{name}, {statistic}": max(
            windows["newest"]["low"] - windows["reference"]["high"],
            windows["reference"]["low"] - windows["newest"]["high"],
        )
        for name, statistics in columns.items()
        for statistic, windows in statistics.items()
        if statistic.startswith("share of ") and "newest" in windows
    }
    if moves:
        name = max(moves, key=moves.__getitem__)
        move = max(0.0, moves[name])
        why = f"{name}, changed most since the reference window"
        yield Check("category_shares", move, limit, at_most(move, limit), why)


def at_least(value: float | None, limit: float) -> bool:
    """Whether the value is known and reaches the limit."""
    return value is not None and value >= limit


def at_most(value: float | None, limit: float) -> bool:
    """Whether the value is known and keeps within the limit."""
    return value is not None and value <= limit


def _known(value: float | None, *, above: float) -> bool:
    return value is not None and value > above


def main(_: Project) -> None:
    """Read, call, write."""
    evidence = Evidence(
        metrics=read_json(METRICS),
        slices=read_json(SLICES),
        sliced=sections.load(Evaluate).slices,
        selection=read_json(SELECTION),
        model=read_json(MODEL_INFO),
        leakage=read_json(LEAKAGE),
        quality=read_json(DATA_QUALITY),
    )
    write_json(gate(evidence, sections.load(Select).headline, sections.load(Gate)), GATE)
