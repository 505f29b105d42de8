"""Check the model: each check has a name, a value from the reports, and a limit.

A failed gate does not stop the pipeline, since the reports of a failed model are needed most; it
blocks the release and CI.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.files import read_json, write_json
from machinery.pipeline.markdown import estimate
from machinery.pipeline.params import Evaluate, Gate, Select
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import metrics


@dataclass(frozen=True)
class Check:
    """One named check. An unknown value (None) never passes."""

    name: str
    value: float | None
    limit: float
    passed: bool
    why: str


def at_least(name: str, value: float | None, limit: float, why: str) -> Check:
    """A check that the value reaches the limit."""
    return Check(name, value, limit, value is not None and value >= limit, why)


def at_most(name: str, value: float | None, limit: float, why: str) -> Check:
    """A check that the value does not exceed the limit."""
    return Check(name, value, limit, value is not None and value <= limit, why)


@dataclass(frozen=True)
class Evidence:
    """The reports that the gate reads; `sliced` are the columns named by `evaluate.slices`."""

    metrics: dict[str, Any]
    slices: list[dict[str, Any]]
    sliced: list[str]
    selection: dict[str, Any]
    model: dict[str, Any]
    leakage: list[dict[str, Any]]
    quality: dict[str, Any]


def gate(evidence: Evidence, headline: str, limits: Gate) -> dict[str, Any]:
    """The verdict on the model, passed if every check passed."""
    checks = [
        *_performance(evidence, headline, limits),
        *_model(evidence, limits),
        *_data(evidence, limits),
    ]
    return {
        "passed": all(check.passed for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def _performance(evidence: Evidence, headline: str, limits: Gate) -> Iterator[Check]:
    gain, value = evidence.metrics["gain_over_baseline"], evidence.metrics[headline]["value"]
    low, over = gain["low"], f"{evidence.selection['baseline']}, the first candidate"
    why = f"lower end of the interval of the gain in {headline} over {over}"
    if low is None:
        why = f"the gain in {headline} over {over}, has no interval; test on more groups or rows"
    yield Check("better_than_baseline", low, 0, low is not None and low > 0, why)

    more = metrics.greater_is_better(headline)
    reaches = at_least if more else at_most
    yield reaches("floor", value, limits.floor, f"{headline} on the test table")
    if evidence.sliced:
        worst, why = _worst_slice(evidence, headline, more)
        yield reaches("worst_slice", worst, limits.worst_slice, why)


def _worst_slice(evidence: Evidence, headline: str, more: bool) -> tuple[float | None, str]:
    """The better end of the worst slice, so that only a slice that is bad beyond chance fails.

    A slice without an interval is judged by its value.
    """
    judged = [line for line in evidence.slices if not line.get("small")]
    few = sum(line.get("small", 0) for line in evidence.slices)
    if not judged:
        of = ", ".join(evidence.sliced)
        return None, f"no slice of {of} has evaluate.slice_min_rows rows; lower it"

    def end(line: dict[str, Any]) -> float | None:
        best: float | None = line["high" if more else "low"]
        return line["value"] if best is None else best

    def goodness(line: dict[str, Any]) -> float:
        value = end(line)
        return -inf if value is None else value if more else -value

    line = min(judged, key=goodness)
    where = f"{line['column']} {line['slice']} ({line['rows']} rows)"
    if end(line) is None:
        return None, f"{where} has no {headline}; raise evaluate.slice_min_rows"
    why = f"{where} is the worst of {len(judged)} slices in {headline}, {estimate(line)}"
    if line["low"] is not None:
        why += "; its better end counts here"
    return end(line), why + (f"; {few} are too small to tell" if few else "")


def _model(evidence: Evidence, limits: Gate) -> Iterator[Check]:
    if "calibration_error" in evidence.metrics:
        error = evidence.metrics["calibration_error"]["value"]
        why = "calibration error of the predicted probabilities"
        yield at_most("calibration", error, limits.calibration, why)
    share, nominal = evidence.metrics["coverage"]["value"], evidence.model["coverage"]
    why = f"empirical coverage of prediction sets or intervals; nominal {nominal:g}"
    yield at_least("coverage", share, nominal - limits.coverage_margin, why)
    why = "largest difference between the model file and the pipeline that it was made from"
    yield at_most("parity", evidence.model["parity"], limits.parity, why)
    megabytes = evidence.model["bytes"] / 1e6
    yield at_most("model_size", megabytes, limits.model_megabytes, "megabytes")


def _data(evidence: Evidence, limits: Gate) -> Iterator[Check]:
    yield _leakage(evidence.leakage, limits.leakage_exceptions)
    share = evidence.quality["quarantined"]["high"]
    why = "upper end of the interval of the share of rows that break the contract"
    yield at_most("quarantined", share, limits.quarantined, why)
    yield from _windows(evidence.quality, limits)
    if freshness := evidence.quality["freshness"]:
        age = freshness["age_days"]
        why = "days from the newest row to the end of the data window"
        if age is None:
            why = "ingest.until is null, so the freshness of the newest row is unknown; set it"
        yield at_most("freshness", age, limits.max_age_days, why)


def _leakage(probes: list[dict[str, Any]], limit: int) -> Check:
    """Columns that a probe calls leaked but that are allowed; any other stops `split`."""
    reasons = {probe["column"]: probe["allowed"] for probe in probes if probe["allowed"]}
    why = "columns that look leaked and that split.leakage.allow allows"
    if reasons:
        why += f": {'; '.join(f'{name}, {reason}' for name, reason in sorted(reasons.items()))}"
    return at_most("leakage", len(reasons), limit, why)


def _windows(quality: dict[str, Any], limits: Gate) -> Iterator[Check]:
    """The newest window compared with the reference window, if both have rows."""
    rises, shifts = _moves(quality)
    why = "the largest rise of missing values"
    checks = [*_largest("missing_values", rises, limits.missing_rise, why)]
    checks += _largest("category_shares", shifts, limits.share_shift, "changed most")
    empty = [name for name, window in quality.get("windows", {}).items() if not window["rows"]]
    for check in checks:
        if empty:
            why = f"no row is in the {empty[0]} window; change validate.window_days or ingest.until"
            check = replace(check, value=None, passed=False, why=why)
        yield check


def _moves(quality: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """By how much missing values rose and category shares changed, between ends of intervals."""
    rises, shifts = {}, {}
    for name, statistics in quality["columns"].items():
        for statistic, windows in statistics.items():
            if "newest" not in windows or statistic == "mean":
                continue
            rise = windows["newest"]["low"] - windows["reference"]["high"]
            fall = windows["reference"]["low"] - windows["newest"]["high"]
            # Logged rows lack columns that are known only afterwards, and no feature reads these.
            if statistic != "missing":
                shifts[f"{name}, {statistic},"] = max(rise, fall)
            elif name not in quality["known_after"]:
                rises[f"{name} has"] = rise
    return rises, shifts


def _largest(check: str, moves: dict[str, float], limit: float, why: str) -> Iterator[Check]:
    """A check of the largest move, if there are any; overlapping intervals did not move."""
    if moves:
        name = max(moves, key=moves.__getitem__)
        why = f"{name} {why} since the reference window"
        yield at_most(check, max(0.0, moves[name]), limit, why)


def main(_: Project) -> None:
    """Run the stage."""
    evidence = Evidence(
        metrics=read_json(paths.METRICS),
        slices=read_json(paths.SLICES),
        sliced=sections.load(Evaluate).slices,
        selection=read_json(paths.SELECTION),
        model=read_json(paths.MODEL_INFO),
        leakage=read_json(paths.LEAKAGE),
        quality=read_json(paths.DATA_QUALITY),
    )
    write_json(gate(evidence, sections.load(Select).headline, sections.load(Gate)), paths.GATE)
