"""The page: verdict first, every section, no hostile text alive, the same bytes each time."""

import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import yaml
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.page import html
from machinery.pipeline.page.document import page
from machinery.pipeline.params import Card, parse

INTERVAL = {"value": 0.7, "low": 0.65, "high": 0.75}
POINTS = [(0.0, 0.0), (0.2, 0.6), (1.0, 1.0)]
HOSTILE = "</title></svg><script>alert(1)</script><b onclick='x'>\"&|$\\frac{1}$\x00\u202e@all"
TERMS = {"task", "headline", "problem"}  # words of ours, not of users


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attrs for name, attrs in self.found if name == tag]

    def values(self, key: str) -> list[str]:
        """What an attribute says, wherever it stands."""
        return [str(attrs[key]) for _, attrs in self.found if key in attrs]


def curve(across: str, up: str, classes: list[str]) -> list[dict[str, Any]]:
    """A curve of three corners for each class."""
    return [{"class": name, across: x, up: y} for name in classes for x, y in POINTS]


def plots(classes: list[str]) -> dict[str, Any]:
    """The points of every plot of a classification."""
    ranked = classes if len(classes) > 2 else classes[1:]
    return {
        "roc": curve("fpr", "tpr", ranked),
        "precision_recall": curve("recall", "precision", ranked),
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


@pytest.fixture
def reports() -> dict[str, Any]:
    feature = {
        "name": "length",
        "meaning": "How long it is.",
        "unit": "m",
        "type": "float32",
        "owner": "a team",
        "parents": ["size"],
        "columns": ["size"],
    }
    double = {**feature, "name": "twice", "parents": ["length"]}
    check = {"name": "floor", "value": 0.7, "limit": 0.65, "passed": True, "why": "a reason"}
    windows = {"reference": INTERVAL, "newest": {"value": 0.9, "low": 0.8, "high": 1.0}}
    return {
        "model": {
            "candidate": "few-linear",
            "task": "classification",
            "target": "late",
            "features": {"length": "number"},
            "trained_on": {"rows": 60},
            "threshold": 0.4,
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
                {
                    "candidate": name,
                    "mean": 0.7,
                    "standard_error": 0.01,
                    "features": 1,
                    "bytes": 4000,
                }
                for name in ("few-prior", "few-linear")
            ],
        },
        "metrics": {"log_loss": INTERVAL, "roc_auc": INTERVAL, "gain_over_baseline": INTERVAL},
        "slices": [{"column": "colour", "slice": "red", "rows": 40, **INTERVAL}],
        "gate": {"passed": True, "checks": [check, {**check, "name": "parity"}]},
        "leakage": [{"column": "size", "name": "identifier", "value": 0.1, "allowed": None}],
        "quality": {
            "rows": 80,
            "valid": 79,
            "quarantined": INTERVAL,
            "violations": [
                {"column": "size", "problem": "is missing", "rows": 1, "examples": ["none"]}
            ],
            "freshness": {
                "newest_row": "2013-07-31 22:45:00",
                "window_end": "2013-08-01 00:00:00",
                "age_days": 0.05,
            },
            "windows": {
                "reference": {"from": "2013-01-01 06:00:00", "rows": 50},
                "newest": {"from": "2013-07-01 06:00:00", "rows": 29},
            },
            "columns": {"size": {"missing": windows, "mean": windows}},
        },
        "features": [feature, double],
        "plots": plots(["false", "true"]),
    }


@pytest.fixture
def words() -> Card:
    section = {"intended_use": "trying", "out_of_scope": "all else", "limits": ["small"]}
    return parse(Card, {"card": section})


UNTIL = datetime(2013, 8, 1)
SECTIONS = [
    "gate",
    "metrics",
    "curves",
    "slices",
    "importance",
    "candidates",
    "data",
    "features",
    "card",
    "versions",
]


def test_the_page_has_the_verdict_and_every_section(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    text = page(reports, contract, UNTIL, words, 0.95)
    elements = Elements(text)
    assert [attrs["id"] for attrs in elements.named("section")] == SECTIONS
    assert set(elements.values("href")) >= {f"#{anchor}" for anchor in SECTIONS}
    assert text.index("The gate passed") < text.index("<section")
    assert "95% interval 0.650 to 0.750" in text
    assert "rows before 2013-08-01" in text
    assert "better than few-prior, the baseline" in text
    assert "trying" in text and "all else" in text and "small" in text


def test_a_refusal_is_said_first_and_named(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    reports["gate"]["passed"] = reports["gate"]["checks"][1]["passed"] = False
    text = page(reports, contract, UNTIL, words, 0.95)
    assert "The gate said no" in text
    assert "1 of 2 checks refuse it: parity." in text
    assert text.index("badge refused") < text.index("badge passed")


def test_hostile_text_stays_text(
    reports: dict[str, Any], document: dict[str, Any], words: Card
) -> None:
    column = document["columns"].pop("late")
    document["columns"][HOSTILE] = {**column, "description": HOSTILE, "owner": HOSTILE}
    hostile = Contract.model_validate({**document, "target": HOSTILE})
    reports = poisoned(reports)
    reports["plots"] = poisoned(plots(["no", "yes", "perhaps"]))
    spoken = words.model_copy(update={"intended_use": HOSTILE, "limits": [HOSTILE]})
    text = page(reports, hostile, UNTIL, spoken, 0.95)
    elements = Elements(text)
    assert {"script", "b", "img", "iframe"}.isdisjoint(name for name, _ in elements.found)
    assert not [key for _, attrs in elements.found for key in attrs if key.startswith("on")]
    assert len(elements.named("section")) == len(SECTIONS)
    assert "\x00" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in text


def poisoned(value: Any, key: str = "") -> Any:
    """The document with hostile text wherever a user's text may stand."""
    if isinstance(value, dict):
        return {name: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    if isinstance(value, str) and key not in TERMS:
        return f"{value}{HOSTILE}"
    return value


def test_the_bytes_depend_on_the_reports_alone(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    first = page(reports, contract, UNTIL, words, 0.95)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        second = page(reports, contract, UNTIL, words, 0.95)
    assert first == second


def test_every_picture_tells_its_figures(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    text = page(reports, contract, UNTIL, words, 0.95)
    elements = Elements(text)
    identifiers = elements.values("id")
    assert len(identifiers) == len(set(identifiers))
    pictures = elements.named("svg")
    assert len(pictures) == 8 + 3  # plots, and a bar for each metric
    for picture in pictures:
        assert picture["role"] == "img"
        labels = str(picture.get("aria-labelledby", "")).split()
        assert picture.get("aria-label") or (labels and set(labels) <= set(identifiers))
    assert "predicted 0.3, observed 0.35 (0.2 to 0.5)" in text
    assert "twice from length" in text


def test_the_page_loads_nothing_and_follows_the_scheme_of_the_reader(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    text = page(reports, contract, UNTIL, words, 0.95)
    elements = Elements(text)
    assert "://" not in text
    assert not elements.values("src")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    drawn = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert not [picture for picture in drawn if re.search(r"(?:fill|stroke): ?#", picture)]


def test_what_there_is_not_is_left_out(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    quality = reports["quality"]
    figure = {"missing": {"reference": {"value": 0.0, "low": 0.0, "high": 0.1}}}
    quality |= {"freshness": None, "violations": [], "columns": {"size": figure}}
    del quality["windows"]
    nothing = {"slices": [], "features": [], "plots": {}}
    text = page(reports | nothing, contract, None, words, 0.95)
    found = [attrs["id"] for attrs in Elements(text).named("section")]
    assert found == [each for each in SECTIONS if each not in ("curves", "slices", "importance")]
    assert "Every row keeps the contract." in text
    assert "What moved" not in text


def test_a_slice_without_an_interval_is_named(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    reports["slices"].append({**reports["slices"][0], "slice": "blue", "low": None, "high": None})
    text = page(reports, contract, UNTIL, words, 0.95)
    assert "Too few groups or cases for an interval: colour blue." in text
    assert "no interval" in text


def test_a_regression_shows_predicted_and_actual(
    reports: dict[str, Any], document: dict[str, Any], words: Card
) -> None:
    document["columns"]["delay"]["unit"] = "min"
    regression = Contract.model_validate({**document, "task": "regression", "target": "delay"})
    error = {"value": 12.0, "low": 10.0, "high": 14.0}
    reports["metrics"] = {"mean_absolute_error": error, "r2": INTERVAL, "gain_over_baseline": error}
    reports["selection"]["headline"] = "mean_absolute_error"
    reports["plots"] = {
        "roc": [],
        "precision_recall": [],
        "calibration": [],
        "confusion": [],
        "actual": [{"predicted": 9.0, "actual": 8.0, "low": 2.0, "high": 20.0, "rows": 12}],
        "residuals": [{"from": -5.0, "to": 5.0, "rows": 12}],
        "importance": [],
    }
    text = page(reports, regression, None, words, 0.9)
    assert "Predicted and actual" in text and "Residuals" in text
    assert "ROC curve" not in text and "What was taken for what" not in text
    assert "predicted min" in text
    assert "90% interval 10.0 to 14.0" in text


def test_many_classes_slices_and_features_keep_the_page_small(
    reports: dict[str, Any], contract: Contract, words: Card
) -> None:
    classes = [f"class {place}" for place in range(30)]
    feature = reports["features"][0]
    reports["features"] = [{**feature, "name": f"feature_{place}"} for place in range(200)]
    reports["model"]["features"] = {f"feature_{place}": "number" for place in range(200)}
    line = reports["slices"][0]
    reports["slices"] = [{**line, "slice": str(place)} for place in range(200)]
    reports["plots"] = plots(classes)
    text = page(reports, contract, UNTIL, words, 0.95)
    assert "the lowest 6 of 30 classes" in text
    assert "140 more in the catalogue" in text
    assert "the worst 20 of 200" in text
    assert len(text.encode()) < 400_000


def test_the_style_of_the_page_is_a_dependency() -> None:
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert "${src}/page/style.css" in stages["card"]["deps"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (18859, "18,859"), (0.5, "0.5"), (1017.2, "1,017"), (-0.25, "−0.25")],
)
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert html.number(value) == shown


def test_measured_figures_keep_their_zeros() -> None:
    assert [html.precise(value) for value in (0.5, 0.0, 935.3, -0.25)] == [
        "0.500",
        "0",
        "935",
        "−0.250",
    ]


def test_attributes_are_escaped_too() -> None:
    assert Elements(html.tag("a", href="<>\"'&")).values("href") == ["<>\"'&"]
