"""Simulated years: false alarms are rare, and a model that ages is noticed soon."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.monitoring import outcomes, rule
from machinery.monitoring.outcomes import EvaluatedModel
from machinery.pipeline.data import contract as contracts
from monitoring.world import contract_of, evaluated

DAYS, A_DAY, MONTHS, YEARS = 30, 60, 12, 30
DAY_EFFECT = 0.3  # of the logit: rows of a day are alike
START = datetime(2026, 1, 1)
WINDOW = {"to": "2026-04-01", "model_version": "v1", "over": True, "enough": True}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    contracts.load.cache_clear()


def month(random: np.random.Generator, *, moved: float = 0.0, rarer: float = 0.0) -> pd.DataFrame:
    """Rows with the prediction of the best model that does not know the days."""
    count, day = DAYS * A_DAY, np.repeat(np.arange(DAYS), A_DAY)
    x = random.normal(size=count) + moved
    effect = DAY_EFFECT * random.normal(size=DAYS)[day]
    happened = random.random(count) < 1 / (1 + np.exp(-(1.3 * x - 1 - rarer + effect)))
    p = 1 / (1 + np.exp(-(1.3 * x - 1) / np.sqrt(1 + 0.346 * DAY_EFFECT**2)))  # probit's, nearly
    at = pd.Series(START + day * timedelta(days=1)).astype("datetime64[us]")
    table = {"at": at, "target": happened.astype(float), "late": happened}
    table |= {"probability_false": 1 - p, "probability_true": p, "probability": p}
    return pd.DataFrame(table)


def years(model: EvaluatedModel, count: int, **change: float) -> tuple[float, int]:
    """The share of months that violate, and how many years call for retraining at some month."""
    violated, called = 0, 0
    settings = model.monitor.retrain
    for year in range(count):
        random = np.random.default_rng([year, 7])
        windows: list[dict[str, Any]] = []
        answers = []
        for number in range(MONTHS):
            measured = outcomes.measure(month(random, **change), model)
            violations = outcomes.violations(measured, model)
            violated += bool(violations.keys() & {*settings.counts})
            windows.append({**WINDOW, "name": f"{number}", "violations": violations})
            answers.append(rule.decide(windows, settings, None)["answer"])
        called += any(answers)
    return violated / (count * MONTHS), called


@pytest.fixture
def model() -> EvaluatedModel:
    Path("models").mkdir()
    random = np.random.default_rng(1)
    reference = pd.concat([month(random) for _ in range(MONTHS)], ignore_index=True)
    contract = contract_of()
    filled = reference.assign(
        id="", weight=1.0, colour="red", town="Aa", pieces=1, gift=None, seen=pd.NaT, days=1.0
    )
    return evaluated(contract, filled)


def test_a_stable_year_violates_in_few_months_and_no_year_calls_for_retraining(
    model: EvaluatedModel,
) -> None:
    share, called = years(model, YEARS)
    assert share <= 0.02
    assert called == 0


def test_inputs_that_move_where_outcomes_follow_are_no_reason_to_retrain(
    model: EvaluatedModel,
) -> None:
    _, called = years(model, 10, moved=0.4)
    assert called == 0


def test_outcomes_that_become_rarer_are_found_within_two_months(model: EvaluatedModel) -> None:
    share, called = years(model, 10, rarer=0.8)
    assert share == 1.0
    assert called == 10
