"""The gate: every check passes on good evidence and fails on its own bad value."""

from copy import deepcopy
from typing import Any

import pytest

from machinery.pipeline.params import Gate, parse
from machinery.pipeline.stages.gate import Evidence, gate

LIMITS = parse(
    Gate,
    {
        "gate": {
            "floor": 0.6,
            "calibration": 0.1,
            "coverage_margin": 0.05,
            "worst_slice": 0.55,
            "parity": 1e-4,
            "model_megabytes": 1,
            "leakage_exceptions": 1,
            "quarantined": 0.01,
            "missing_rise": 0.05,
            "share_shift": 0.05,
            "max_age_days": 2,
        }
    },
)
SLICE = {"column": "o", "slice": "s", "rows": 9}


def estimate(value: float | None, margin: float = 0.02) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - margin, "high": value + margin}


def good() -> dict[str, Any]:
    return {
        "metrics": {
            "roc_auc": estimate(0.7),
            "calibration_error": estimate(0.03),
            "coverage": estimate(0.9),
            "gain_over_baseline": estimate(0.2),
        },
        "slices": [
            {"column": "origin", "slice": "EWR", "rows": 100, **estimate(0.7)},
            {"column": "origin", "slice": "LGA", "rows": 100, **estimate(0.6)},
        ],
        "sliced": ["origin"],
        "selection": {"baseline": "few-prior"},
        "model": {"coverage": 0.9, "parity": 1e-7, "bytes": 200_000},
        "leakage": [
            {"column": "size", "allowed": "the fleet is fixed"},
            {"column": "tail", "allowed": None},
        ],
        "quality": {
            "quarantined": estimate(0.0, margin=0.002),
            "known_after": ["delay"],
            "columns": {
                "delay": {"missing": {"reference": estimate(0.0), "newest": estimate(1.0)}},
                "size": {
                    "missing": {"reference": estimate(0.1), "newest": estimate(0.1)},
                    "share of big": {"reference": estimate(0.5), "newest": estimate(0.5)},
                    "mean": {"reference": estimate(1.0), "newest": estimate(None)},
                },
            },
            "freshness": {"age_days": 0.5},
        },
    }


def verdict(evidence: dict[str, Any]) -> dict[str, Any]:
    return gate(Evidence(**evidence), "roc_auc", LIMITS)


def failed(report: dict[str, Any]) -> list[str]:
    return [check["name"] for check in report["checks"] if not check["passed"]]


def test_good_evidence_passes_every_check() -> None:
    report = verdict(good())
    assert report["passed"]
    assert [check["name"] for check in report["checks"]] == [
        "better_than_baseline",
        "floor",
        "worst_slice",
        "calibration",
        "coverage",
        "parity",
        "model_size",
        "leakage",
        "quarantined",
        "missing_values",
        "category_shares",
        "freshness",
    ]


def test_columns_that_logged_rows_lack_do_not_count_as_missing() -> None:
    (missing,) = (check for check in verdict(good())["checks"] if check["name"] == "missing_values")
    assert missing["passed"] and missing["why"].startswith("size has")
    evidence = good()
    evidence["quality"]["known_after"] = []
    assert not verdict(evidence)["passed"]


@pytest.mark.parametrize(
    ("check", "path", "bad"),
    [
        ("better_than_baseline", "metrics.gain_over_baseline", estimate(0.01)),
        ("floor", "metrics.roc_auc", estimate(0.59)),
        ("worst_slice", "slices.1", {**SLICE, **estimate(0.5)}),
        ("worst_slice", "slices.1", {**SLICE, "value": 0.54, "low": None, "high": None}),
        ("calibration", "metrics.calibration_error", estimate(0.11)),
        ("coverage", "metrics.coverage", estimate(0.84)),
        ("parity", "model.parity", 2e-4),
        ("model_size", "model.bytes", 1_000_001),
        ("leakage", "leakage.1", {"column": "tail", "allowed": "it is known in time"}),
        ("quarantined", "quality.quarantined", estimate(0.0, margin=0.011)),
        ("missing_values", "quality.columns.size.missing.newest", estimate(0.2)),
        ("category_shares", "quality.columns.size.share of big.newest", estimate(0.4)),
        ("category_shares", "quality.columns.size.share of big.newest", estimate(0.6)),
        ("freshness", "quality.freshness.age_days", 2.5),
    ],
)
def test_each_check_fails_on_its_own_bad_value(check: str, path: str, bad: object) -> None:
    report = verdict(planted(good(), path, bad))
    assert not report["passed"]
    assert failed(report) == [check]


@pytest.mark.parametrize(
    ("check", "path", "unknown", "reason"),
    [
        ("better_than_baseline", "metrics.gain_over_baseline", estimate(None), "more groups"),
        ("floor", "metrics.roc_auc", estimate(None), "roc_auc on the test table"),
        ("worst_slice", "slices", [{**SLICE, **estimate(None)}], "o s (9 rows) has no roc_auc"),
        ("worst_slice", "slices", [], "no slice of origin has evaluate.slice_min_rows rows"),
        ("calibration", "metrics.calibration_error", estimate(None), "calibration error"),
        ("coverage", "metrics.coverage", estimate(None), "empirical coverage"),
        ("freshness", "quality.freshness.age_days", None, "ingest.until is null"),
    ],
)
def test_an_unknown_value_never_passes(check: str, path: str, unknown: object, reason: str) -> None:
    checks = verdict(planted(good(), path, unknown))["checks"]
    (refused,) = [line for line in checks if not line["passed"]]
    assert (refused["name"], refused["value"]) == (check, None)
    assert reason in refused["why"]


def test_the_worst_slice_is_judged_by_its_better_end_and_small_ones_are_counted() -> None:
    slices = [{**SLICE, **estimate(0.7)}, {**SLICE, **estimate(0.6)}]
    slices.append({**SLICE, **estimate(None), "slice": "3 too small: a, b, c", "small": 3})
    by_name = {check["name"]: check for check in verdict(good() | {"slices": slices})["checks"]}
    worst = by_name["worst_slice"]
    assert worst["passed"] and worst["value"] > 0.6
    assert "o s (9 rows) is the worst of 2 slices in roc_auc, 0.6 (" in worst["why"]
    assert worst["why"].endswith("; its better end counts here; 3 are too small to tell")


def test_no_slice_is_judged_if_none_is_configured() -> None:
    report = verdict(good() | {"slices": [], "sliced": []})
    assert report["passed"]
    assert "worst_slice" not in [check["name"] for check in report["checks"]]


def test_the_baseline_and_the_reason_of_an_exception_are_named() -> None:
    why = {check["name"]: check["why"] for check in verdict(good())["checks"]}
    assert "over few-prior, the first candidate" in why["better_than_baseline"]
    assert why["leakage"].endswith(": size, the fleet is fixed")


@pytest.mark.parametrize("empty", ["reference", "newest"])
def test_a_window_without_rows_fails(empty: str) -> None:
    windows = {name: {"rows": 0 if name == empty else 9} for name in ("reference", "newest")}
    evidence = good()
    evidence["quality"]["windows"] = windows
    report = verdict(evidence)
    assert failed(report) == ["missing_values", "category_shares"]
    reasons = [check["why"] for check in report["checks"] if not check["passed"]]
    assert all(f"no row is in the {empty} window" in reason for reason in reasons)


def test_a_loss_must_stay_below_its_floor() -> None:
    evidence = good()
    evidence["metrics"]["log_loss"] = estimate(0.61)
    evidence["sliced"] = []
    assert failed(gate(Evidence(**evidence), "log_loss", LIMITS)) == ["floor"]


def planted(evidence: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The evidence with one figure changed."""
    evidence = deepcopy(evidence)
    *way, last = path.split(".")
    place: Any = evidence
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[int(last) if isinstance(place, list) else last] = value
    return evidence
