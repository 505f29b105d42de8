"""Groups drawn whole: scorers of groups say what scorers of their rows say, and scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machinery.comparison.comparison import Scored, compare
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import metrics
from sklearn import metrics as sklearn_metrics

from machinery.comparison import clusters, ranking

SAMPLES = 20
DIALS = Report(level=0.9, samples=200, seed=1)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), steps=st.integers(1, 20))
@settings(deadline=None)
def test_roc_auc_of_days_is_that_of_scikit_learn_on_the_rows_drawn(
    seed: int, rows: int, steps: int
) -> None:
    random = np.random.default_rng(seed)
    positive, score = random.random(rows) < 0.5, random.integers(steps + 1, size=rows) / steps
    days, drawn = grouped(random, rows)
    found = clusters.roc_auc(positive, score, days)(drawn)
    for value, times in zip(found, drawn, strict=True):
        sample = np.repeat(np.arange(rows), times[days].astype(int))
        if len(np.unique(positive[sample])) < 2:
            assert np.isnan(value)
        else:
            expected = sklearn_metrics.roc_auc_score(positive[sample], score[sample])
            assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("task", "classes"), [("classification", 2), ("classification", 3)])
def test_ranking_of_days_has_the_very_bytes_of_that_of_rows(task: Any, classes: int) -> None:
    assert_alike(task, classes, {"roc_auc"}, rel=0)


@pytest.mark.parametrize(
    ("task", "classes"), [("classification", 2), ("classification", 3), ("regression", 1)]
)
def test_sums_of_days_are_those_of_rows(task: Any, classes: int) -> None:
    sums = {
        "classification": {"log_loss", "brier_score", "balanced_accuracy"},
        "regression": {*metrics.names("regression")},
    }
    assert_alike(task, classes, sums[task], rel=1e-12)


def assert_alike(task: Any, classes: int, names: set[str], rel: float) -> None:
    random = np.random.default_rng(1)
    days, drawn = grouped(random, 200)
    target = random.integers(classes, size=200) if classes > 1 else random.normal(size=200)
    prediction = random.normal(size=200) if classes == 1 else chances(random, classes)
    plain = metrics.scorers(task, target, prediction)
    found = clusters.scorers(target, prediction, plain, days)
    assert names <= found.keys()
    for name in names:
        expected = plain[name](drawn[:, days])
        assert found[name](drawn) == pytest.approx(expected, rel=rel, abs=0)


def chances(random: np.random.Generator, classes: int) -> np.ndarray:
    """Probabilities of 200 rows, a quarter of them alike."""
    found = random.dirichlet(np.ones(classes), size=200).astype(np.float32)
    found[::4] = found[0]
    return found


def grouped(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A day of each row, and how often each day is drawn."""
    days = np.unique(random.integers(8, size=rows), return_inverse=True)[1]
    count = int(days.max()) + 1
    return days, random.multinomial(count, np.full(count, 1 / count), size=SAMPLES).astype(float)


def pair(rows: int) -> tuple[np.ndarray, Scored, Scored]:
    random = np.random.default_rng(1)
    target = random.integers(2, size=rows)
    found = [0.5 + 0.3 * (target - 0.5) + random.uniform(-0.3, 0.3, size=rows) for _ in "ab"]
    first, second = (Scored(np.column_stack([1 - p, p]), 0.5, 0.8) for p in found)
    return target, first, second


def test_a_comparison_by_days_has_the_intervals_of_one_by_their_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = np.arange(600) // 20
    slices = [("colour", "red", np.arange(0, 600, 3))]
    words = ("classification", *pair(600), "roc_auc", DIALS)
    fast = compare(*words, groups=days, slices=slices)
    monkeypatch.setattr(clusters, "scorers", lambda *_: {})
    slow = compare(*words, groups=days, slices=slices)
    lines = zip(fast.lines, slow.lines, strict=True)
    parts = zip(fast.slices, slow.slices, strict=True)
    for one, other in [*lines, *((one.line, other.line) for one, other in parts)]:
        assert one.name == other.name
        assert one.difference == pytest.approx(other.difference, rel=1e-9, abs=1e-12)
        assert (one.champion, one.challenger) == (other.champion, other.challenger)


def test_pairs_of_more_groups_than_pays_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    target, champion, _ = pair(600)
    plain = metrics.scorers("classification", target, champion.prediction)
    days = np.arange(600) // 20
    found = [clusters.scorers(target, champion.prediction, plain, days)]
    monkeypatch.setattr(clusters, "MOST", 29)
    found += [clusters.scorers(target, champion.prediction, plain, days)]
    assert found[0].keys() - found[1].keys() == {"roc_auc"}


def test_a_few_days_of_many_rows_are_drawn_with_replacement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, *both = pair(600)
    days = np.arange(600) // 20
    words = ("classification", target, *both, "roc_auc", DIALS)
    few = compare(*words, groups=days)
    monkeypatch.setattr(ranking, "MANY", 100)  # fewer than the rows, more than the days
    many = compare(*words, groups=days)
    for one, other in zip(few.lines, many.lines, strict=True):
        assert one.difference == pytest.approx(other.difference, rel=1e-9, abs=1e-12)
