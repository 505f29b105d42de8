"""Simulated years: a model that does as it did rings seldom, one that does not rings soon."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from machinery.monitoring import outcomes, rule
from machinery.monitoring.outcomes import Promise
from machinery.monitoring.rule import Judged
from machinery.pipeline.data import contract as contracts
from monitoring.world import contract_of, promise

DAYS, A_DAY, MONTHS, YEARS = 30, 60, 12, 30
DAY_EFFECT = 0.3  # of the logit: rows of a day are alike
START = datetime(2026, 1, 1)


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


def years(given: Promise, count: int, **change: float) -> tuple[float, int]:
    """The share of months that violate, and how many years call for retraining at some month."""
    violated, called = 0, 0
    settings = given.monitor.retrain
    for year in range(count):
        random = np.random.default_rng([year, 7])
        judged: list[Judged] = []
        answers = []
        for number in range(MONTHS):
            found = outcomes.figures(month(random, **change), given)
            named = frozenset(outcomes.violations(found, given)) & {*settings.counts}
            violated += bool(named)
            judged.append(Judged(f"{number}", START + timedelta(days=90), "v1", named))
            answers.append(rule.decide(judged, settings, None)["answer"])
        called += any(answers)
    return violated / (count * MONTHS), called


@pytest.fixture
def given() -> Promise:
    Path("models").mkdir()
    random = np.random.default_rng(1)
    reference = pd.concat([month(random) for _ in range(MONTHS)], ignore_index=True)
    contract = contract_of()
    filled = reference.assign(
        id="", weight=1.0, colour="red", town="Aa", pieces=1, gift=None, seen=pd.NaT, days=1.0
    )
    return promise(contract, filled)


def test_a_stable_year_violates_in_few_months_and_no_year_calls_for_retraining(
    given: Promise,
) -> None:
    share, called = years(given, YEARS)
    assert share <= 0.02
    assert called == 0


def test_inputs_that_move_where_outcomes_follow_are_no_reason_to_retrain(given: Promise) -> None:
    _, called = years(given, 10, moved=0.4)
    assert called == 0


def test_outcomes_that_become_rarer_are_found_within_two_months(given: Promise) -> None:
    share, called = years(given, 10, rarer=0.8)
    assert share == 1.0
    assert called == 10
