"""The page: verdict first, every section, hostile text escaped, the same bytes each time."""

from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import matplotlib
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.page.document import page
from machinery.pipeline.page.render import number, precise
from machinery.pipeline.params import Card

INTERVAL = {"value": 0.7, "low": 0.65, "high": 0.75}
UNKNOWN = {"value": None, "low": None, "high": None}
POINTS = [(0.0, 0.0), (0.2, 0.6), (1.0, 1.0)]
HOSTILE = "</title></svg><script>alert(1)</script><b onclick='x'>\"&|$\\frac{1}$\x00\u202e@all"
TERMS = {"task", "headline", "problem"}  # not written by users
SECTIONS = "gate metrics curves slices importance candidates data features card versions".split()
SPOKEN = Card(intended_use="trying", out_of_scope="all else", limits=["small"])


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the element."""
        self.all.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attrs for name, attrs in self.all if name == tag]

    def values(self, key: str) -> list[str]:
        """The values of an attribute, of any element."""
        return [str(attrs[key]) for _, attrs in self.all if key in attrs]


def plots(classes: list[str]) -> dict[str, Any]:
    """The points of every plot of a classification."""
    ranked = classes if len(classes) > 2 else classes[1:]
    corners = [(name, *point) for name in ranked for point in POINTS]
    return {
        "roc": [{"class": name, "fpr": x, "tpr": y} for name, x, y in corners],
        "precision_recall": [
            {"class": name, "recall": x, "precision": y} for name, x, y in corners
        ],
        "calibration": [
            {"predicted": 0.3, "observed": 0.35, "low": 0.2, "high": 0.5, "rows": 20},
            {"predicted": 0.6, "observed": 0.55, "low": 0.4, "high": 0.7, "rows": 22},
        ],
        "confusion": [
            {"actual": actual, "predicted": guess, "rows": 5 + (actual == guess)}
            for actual in classes
            for guess in classes
        ],
        "importance": [{"feature": "length", "importance": 0.1}],
    }


def classified(classes: list[str]) -> dict[str, Any]:
    """The reports of a small classification."""
    feature = {"name": "length", "meaning": "How long it is.", "unit": "m", "owner": "a team"}
    feature |= {"columns": ["size"]}
    check = {"name": "floor", "value": 0.7, "limit": 0.65, "passed": True, "why": "a reason"}
    windows = {"reference": INTERVAL, "newest": {"value": 0.9, "low": 0.8, "high": 1.0}}
    violation = {"column": "size", "problem": "is missing", "rows": 1, "examples": ["none"]}
    candidate = {"mean": 0.7, "standard_error": 0.01, "features": 1, "bytes": 4000}
    return {
        "command": "shop",
        "model": {
            "task": "classification",
            "classes": classes,
            "features": {"length": "number"},
            "trained_on": {"rows": 60},
            "positive": classes[1] if len(classes) == 2 else None,
            "threshold": 0.4 if len(classes) == 2 else None,
            "threshold_rule": "highest balanced accuracy",
            "coverage": 0.9,
            "bytes": 4000,
            "sha256": "abc123",
        },
        "tested": {"rows": 42},
        "selection": {
            "baseline": "few-prior",
            "why": "few-linear is the best",
            "headline": "roc_auc",
            "candidate": "few-linear",
            "candidates": [
                {"candidate": f"few-{name}", **candidate} for name in ("prior", "linear")
            ],
        },
        "metrics": dict.fromkeys(
            ("log_loss", "roc_auc", "average_precision", "gain_over_baseline"), INTERVAL
        ),
        "slices": [{"column": "colour", "slice": "red", "rows": 40, **INTERVAL}],
        "gate": {"passed": True, "checks": [check, {**check, "name": "parity"}]},
        "leakage": [{"column": "size", "name": "identifier", "value": 0.1, "allowed": None}],
        "quality": {
            "rows": 80,
            "valid": 79,
            "quarantined": INTERVAL,
            "violations": [violation],
            "freshness": {"newest_row": "2013-07-31 22:45:00", "age_days": 0.05},
            "windows": {"reference": {"from": "2013-01-01 06:00:00", "rows": 50}},
            "columns": {"size": {"missing": windows, "mean": windows}},
        },
        "features": [feature, {**feature, "name": "unused", "unit": ""}],
        "plots": plots(classes),
    }


@pytest.fixture
def reports() -> dict[str, Any]:
    return classified(["false", "true"])


@pytest.fixture
def render(document: dict[str, Any]) -> Any:
    def rendered(reports: dict[str, Any], level: float = 0.95, **changes: Any) -> str:
        contract = contracts.parse({**document, **changes})
        return page(reports, contract, datetime(2013, 8, 1), SPOKEN, level)

    return rendered


def test_the_page_has_the_verdict_and_every_section(reports: dict[str, Any], render: Any) -> None:
    text = render(reports)
    elements = Elements(text)
    assert [attrs["id"] for attrs in elements.named("section")] == SECTIONS
    assert set(elements.values("href")) >= {f"#{anchor}" for anchor in SECTIONS}
    identifiers = elements.values("id")
    assert len(identifiers) == len(set(identifiers))
    assert text.index("The gate passed") < text.index("<section")
    assert "95% interval: 0.650 to 0.750" in text
    assert "0.700 better than the baseline few-<wbr>prior" in text
    assert "rows before 2013-08-01" in text
    assert "Positive class: true, predicted at probability ≥ 0.4 (highest bal" in text
    assert text.count("Average precision 0.700") == 2  # under the curve as in the table
    assert "Average precision 0.700: class true." in text  # the text alternative
    assert "trying" in text and "all else" in text and "small" in text


def test_a_failure_comes_first_and_is_named(reports: dict[str, Any], render: Any) -> None:
    reports["gate"]["passed"] = reports["gate"]["checks"][1]["passed"] = False
    text = render(reports)
    assert "The gate failed" in text
    assert "1 of 2 checks failed: parity." in text
    assert text.index("badge failed") < text.index("badge passed")


def test_hostile_text_stays_text(document: dict[str, Any]) -> None:
    column = {**document["columns"]["late"], "description": HOSTILE, "owner": HOSTILE}
    contract = contracts.parse(document)
    hostile = contract.model_copy(
        update={
            "target": HOSTILE,
            "columns": contract.columns
            | {HOSTILE: contract.columns["late"].model_copy(update=column)}
            | {f"size{HOSTILE}": contract.columns["size"]},
        }
    )
    spoken = SPOKEN.model_copy(update={"intended_use": HOSTILE, "limits": [HOSTILE]})
    reports = poisoned(classified(["no", "yes", "perhaps"]))
    elements = Elements(text := page(reports, hostile, None, spoken, 0.95))
    assert {"script", "b", "img", "iframe"}.isdisjoint(name for name, _ in elements.all)
    assert not [key for _, attrs in elements.all for key in attrs if key.startswith("on")]
    assert len(elements.named("section")) == len(SECTIONS)
    assert "\x00" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in text


def poisoned(value: Any, key: str = "") -> Any:
    """The document with hostile text wherever users may write text."""
    if isinstance(value, dict):
        return {name: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    if isinstance(value, str) and key not in TERMS:
        return f"{value}{HOSTILE}"
    return value


def test_the_bytes_depend_on_the_reports_alone(reports: dict[str, Any], render: Any) -> None:
    first = render(reports)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        assert render(reports) == first


def test_empty_sections_are_left_out(reports: dict[str, Any], render: Any) -> None:
    figure = {"missing": {"reference": {"value": 0.0, "low": 0.0, "high": 0.1}}}
    reports["quality"] |= {"freshness": None, "violations": [], "columns": {"size": figure}}
    del reports["quality"]["windows"]
    text = render(reports | {"slices": [], "features": [], "plots": {}})
    shown = [attrs["id"] for attrs in Elements(text).named("section")]
    assert shown == [name for name in SECTIONS if name not in ("curves", "slices", "importance")]
    assert "Every row satisfies the contract." in text
    assert "Drift" not in text


def test_unknown_values_are_shown_as_such(reports: dict[str, Any], render: Any) -> None:
    """One class in the test window, or in a slice: nothing can be ranked."""
    reports["metrics"] = dict.fromkeys(reports["metrics"], UNKNOWN)
    reports["slices"] += [{**reports["slices"][0], "slice": "blue", **UNKNOWN}]
    reports["gate"]["checks"][0] |= {"value": None, "passed": False}
    reports["selection"]["candidates"][0] |= {"mean": None, "standard_error": None}
    reports["quality"]["quarantined"] = UNKNOWN
    reports["plots"] |= {"roc": [], "precision_recall": []}
    reports["plots"]["importance"][0]["importance"] = None
    reports["plots"]["calibration"][0]["observed"] = None
    text = render(reports)
    assert "Gain over the baseline few-<wbr>prior is unknown" in text
    assert "Too few rows, groups or cases for an interval: colour blue." in text
    assert "no interval" in text and "ROC curve" not in text and "Confusion matrix" in text


def test_one_candidate_one_prediction_and_one_useless_feature_are_drawn(
    reports: dict[str, Any], render: Any
) -> None:
    point = {"predicted": 0.0, "observed": 0.0, "low": 0.0, "high": 0.0, "rows": 42}
    reports["plots"]["calibration"] = [point]
    reports["plots"]["importance"][0]["importance"] = 0.0
    reports["slices"][0] |= {"value": 0.5, "low": 0.5, "high": 0.5}
    reports["selection"]["candidates"] = reports["selection"]["candidates"][1:]
    reports["metrics"]["gain_over_baseline"] = {"value": -0.1, "low": -0.2, "high": 0.0}
    text = render(reports)
    assert len(Elements(text).named("figure")) == 7
    assert "0.100 worse than the baseline" in text


def test_a_regression_shows_actual_and_predicted_values(
    reports: dict[str, Any], document: dict[str, Any], render: Any
) -> None:
    document["columns"]["delay"]["unit"] = "min"
    error = {"value": 12.0, "low": 10.0, "high": 14.0}
    reports["metrics"] = {"mean_absolute_error": error, "r2": INTERVAL, "gain_over_baseline": error}
    reports["selection"]["headline"] = "mean_absolute_error"
    actual = {"predicted": 9.0, "actual": 8.0, "low": 2.0, "high": 20.0, "rows": 12}
    residual = {"from": -5.0, "to": 5.0, "rows": 12}
    reports["plots"] = {"roc": [], "actual": [actual], "residuals": [residual]}
    text = render(reports, 0.9, task="regression", target="delay")
    assert "Actual vs predicted" in text and "Residuals" in text
    assert "ROC curve" not in text and "Confusion matrix" not in text
    assert "predicted min" in text and "12.0<small> min" in text
    assert "90% interval: 10.0 to 14.0" in text


def test_many_classes_and_slices_keep_the_page_small(render: Any) -> None:
    reports = classified([f"class {place}" for place in range(30)])
    line = reports["slices"][0]
    reports["slices"] = [{**line, "slice": str(place)} for place in range(200)]
    text = render(reports)
    assert "lowest 6 of 30 classes" in text
    assert "The most frequent errors" in text
    assert "worst 20 of 200" in text
    assert len(text.encode()) < 300_000


def test_numbers_are_short_and_measured_ones_keep_their_zeros() -> None:
    values = (None, 0, 18859, 0.5, 1017.2, -0.25)
    assert [number(value) for value in values] == ["–", "0", "18,859", "0.5", "1,017", "−0.25"]
    assert [precise(value) for value in (0.5, 0.0, 935.3)] == ["0.500", "0", "935"]
