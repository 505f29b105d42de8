"""Two models on the same rows: intervals cover, equal models seldom differ, pairing matters."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from machinery.comparison.comparison import Comparison, Line, Scored, compare
from machinery.pipeline.model.decision import Rule
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Interval

ROWS = 300
SETTINGS = Report(relevant=0.0, level=0.9, samples=200, seed=1)
POSITIVE = np.arange(ROWS) < ROWS // 3
TARGET = POSITIVE.astype(np.int64)


def scores(seed: int, *, gap: tuple[float, float], shared: float = 0.9) -> list[np.ndarray]:
    """Scores of two models that err alike: negatives N(0, 1), positives N(gap, 1)."""
    random = np.random.default_rng(seed)
    common, *own = random.normal(size=(3, ROWS))
    noise = [np.sqrt(shared) * common + np.sqrt(1 - shared) * error for error in own]
    return [POSITIVE * shift + error for shift, error in zip(gap, noise, strict=True)]


def scored(score: np.ndarray) -> Scored:
    positive = stats.norm.cdf(score)
    return Scored(np.column_stack([1 - positive, positive]), Rule(0.5, 1.0))


def compared(*scores: np.ndarray, **changes: Any) -> Comparison:
    a, b = map(scored, scores)
    return compare("classification", TARGET, a, b, "roc_auc", SETTINGS, **changes)


BETTER, WORSE, NONE = "better", "worse", "no significant difference"


@pytest.mark.parametrize(
    ("metric", "interval", "outcome"),
    [
        ("roc_auc", (0.2, 0.1, 0.3), BETTER),
        ("log_loss", (0.2, 0.1, 0.3), WORSE),
        ("log_loss", (-0.2, -0.3, -0.1), BETTER),
        ("roc_auc", (-0.2, -0.3, -0.1), WORSE),
        ("coverage", (-0.2, -0.3, -0.1), "different"),
        ("roc_auc", (0.1, -0.1, 0.3), NONE),
        ("roc_auc", (0.0, 0.0, 0.0), NONE),
        ("roc_auc", (0.1, np.nan, np.nan), NONE),
    ],
)
def test_a_difference_counts_when_its_interval_does_not_contain_zero(
    metric: str, interval: tuple[float, float, float], outcome: str
) -> None:
    assert Line(metric, 1.0, 1.0, Interval(*interval)).outcome == outcome


def test_a_slice_that_got_worse_is_named_although_the_model_got_better() -> None:
    a, b = scores(1, gap=(0.5, 2.0))
    small = np.concatenate([np.arange(20), np.arange(200, 230)])
    b[small] = -a[small]
    slices = [("colour", "red", small), ("colour", "blue", np.arange(ROWS))]
    comparison = compared(a, b, slices=slices)
    assert comparison.headline.outcome == "better"
    assert [part.value for part in comparison.worse_slices] == ["red"]


def test_rows_of_a_group_are_resampled_together() -> None:
    a, b = (np.repeat(score[::10], 10) for score in scores(1, gap=(1.0, 1.2)))
    tens = np.arange(ROWS) // 10
    alone, together = compared(a, b), compared(a, b, unit="groups", groups=tens)
    first, second = (model.headline.difference for model in (alone, together))
    assert (together.unit, together.units) == ("groups", 30)
    assert second.high - second.low > 2 * (first.high - first.low)


def test_a_slice_of_one_group_has_no_interval_and_never_got_worse() -> None:
    a, b = scores(1, gap=(2.0, 0.0))
    groups = np.arange(ROWS) % 100 % 20  # each with both classes
    one = np.flatnonzero(groups == 0)
    slices = [("shop", "x", one), ("all", "x", np.arange(ROWS))]
    shop, everything = compared(a, b, groups=groups, slices=slices).slices
    assert shop.line.difference.value < 0
    assert np.isnan(shop.line.difference.low) and np.isnan(shop.line.difference.high)
    assert shop.line.outcome == "no significant difference"
    assert everything.line.outcome == "worse"


def test_a_regression_is_compared_by_its_own_metrics() -> None:
    random = np.random.default_rng(1)
    target = random.normal(size=100)
    near, far = (
        Scored(target + scale * random.normal(size=100), Rule(0.5, 1.0)) for scale in (0.1, 1)
    )
    comparison = compare("regression", target, far, near, "mean_absolute_error", SETTINGS)
    assert comparison.headline.outcome == "better"
    assert {line.name for line in comparison.lines} == {
        *metrics.names("regression"),
        "mean_pinball_loss",
        "coverage",
    }


def test_a_model_against_itself_is_no_different_in_anything() -> None:
    a, _ = scores(1, gap=(1.0, 1.0))
    comparison = compared(a, a)
    assert comparison.same
    assert {line.outcome for line in comparison.lines} == {"no significant difference"}
