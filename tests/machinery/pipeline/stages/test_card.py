"""The model card: filled from the run, and hostile text cannot break it."""

from datetime import datetime
from typing import Any

import pytest

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.page.document import card
from machinery.pipeline.params import Card

INTERVAL = {"value": 0.7, "low": 0.65, "high": 0.75}


@pytest.fixture
def reports() -> dict[str, Any]:
    check = {"name": "floor", "value": 0.7, "limit": 0.65, "passed": True, "why": "a reason"}
    return {
        "model": {
            "candidate": "few-linear",
            "task": "classification",
            "target": "late",
            "features": {"length": "number"},
            "trained_on": {"rows": 60},
            "sha256": "abc",
        },
        "tested": {"rows": 20, "from": "2013-07-01 06:00:00", "until": "2013-07-31 22:00:00"},
        "features": [
            {"name": "length", "owner": "a team", "columns": ["size"]},
            {"name": "unused", "owner": "nobody", "columns": ["colour"]},
        ],
        "selection": {
            "baseline": "few-prior",
            "why": "few-linear is the best",
            "headline": "roc_auc",
            "candidates": [
                {"candidate": "few-linear", "mean": 0.7, "standard_error": 0.01, "features": 1}
            ],
        },
        "metrics": {"roc_auc": INTERVAL},
        "slices": [{"column": "colour", "slice": "red", "rows": 40, **INTERVAL}],
        "gate": {"passed": True, "checks": [check]},
        "leakage": [{"column": "size", "name": "identifier", "value": 0.1, "allowed": None}],
        "quality": {"rows": 80, "quarantined": INTERVAL, "freshness": None},
    }


SPOKEN = Card(intended_use="trying", out_of_scope="all else", limits=["small"])


def test_the_card_shows_metrics_limits_and_how_to_reproduce(
    reports: dict[str, Any], contract: Contract
) -> None:
    text = card(reports, contract, datetime(2013, 8, 1), SPOKEN)
    assert "The gate passed. 1 of 1 checks passed." in text
    assert "| data window | rows before 2013-08-01 |" in text
    assert "| test rows | 20, from 2013-07-01 06:00:00, until 2013-07-31 22:00:00 |" in text
    assert "The baseline is the first, few-prior." in text
    assert "| roc_auc | 0.7 (0.65 to 0.75) | Chance that" in text
    assert "| colour | red | 40 |" in text
    assert "- small" in text
    assert "dvc checkout" in text
    assert "no exception is stated" in text


def test_the_card_shows_the_sampling_of_training_rows(
    reports: dict[str, Any], contract: Contract
) -> None:
    reports["model"]["trained_on"]["of"] = 900
    text = card(reports, contract, datetime(2013, 8, 1), SPOKEN)
    assert "| training rows | 60 of 900, drawn evenly (train.max_rows) |" in text


def test_the_card_shows_a_failure_and_an_allowed_leak(
    reports: dict[str, Any], contract: Contract
) -> None:
    reports["gate"]["passed"] = reports["gate"]["checks"][0]["passed"] = False
    reports["leakage"][0] |= {"value": 1.0, "allowed": "the fleet is fixed"}
    text = card(reports, contract, datetime(2013, 8, 1), SPOKEN)
    assert "The gate **failed**. 1 of 1 checks failed: floor." in text
    assert "| size | identifier | 1 | the fleet is fixed |" in text


def test_only_owners_of_features_in_the_model_are_listed(
    reports: dict[str, Any], contract: Contract
) -> None:
    text = card(reports, contract, None, SPOKEN)
    assert "| data window | no cut-off |" in text
    assert "| a team | length |" in text
    assert "nobody" not in text


def test_a_slice_without_an_interval_says_so(reports: dict[str, Any], contract: Contract) -> None:
    reports["slices"][0] |= {"low": None, "high": None}
    reports["metrics"]["roc_auc"] = {"value": None, "low": None, "high": None}
    text = card(reports, contract, None, SPOKEN)
    assert "| colour | red | 40 | 0.7 (no interval) |" in text
    assert "| roc_auc | – (no interval) |" in text
