"""By simulation: equal models are called different at the stated rate, in every metric.

Both models have the same errors and share what makes a row hard. Rows are independent, or in
groups of ten that are alike, as flights of one day are.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from machinery.comparison.comparison import Scored, compare
from machinery.pipeline.model.decision import Rule
from machinery.pipeline.model.evaluation import scorers
from machinery.pipeline.params import Report

TRIALS, ROWS, GROUP, LEVEL = 400, 600, 10, 0.9
GROUPS = np.arange(ROWS) // GROUP
# So many of the intervals may miss the true value.
FEWEST, MOST = stats.binom.ppf((0.001, 0.999), TRIALS, 1 - LEVEL)
HEADLINES = {"classification": "roc_auc", "regression": "mean_absolute_error"}
# A calibration error has no sign: of two that are nearly zero, the intervals are too wide.
CAUTIOUS = {"calibration_error"}

Pair = tuple[np.ndarray, Scored, Scored]


def pair(task: Any, seed: int, *, alike: bool, rows: int = ROWS, noise: float = 0.7) -> Pair:
    """A target, and two models of it of which the second errs by `noise`, as the first by 0.7."""
    random = np.random.default_rng(seed)

    def normal() -> np.ndarray:
        own = random.normal(size=rows)
        if not alike:
            return own
        return np.sqrt(0.8) * random.normal(size=rows // GROUP).repeat(GROUP) + np.sqrt(0.2) * own

    truth = normal()
    estimates = [truth + scale * normal() for scale in (0.7, noise)]
    if task == "regression":
        a, b = (Scored(0.7 * x.astype(np.float32), Rule(0.5, 1.0)) for x in estimates)
        return truth + 0.5 * normal(), a, b
    target = (random.uniform(size=rows) < chance(1.5 * truth)).astype(np.int64)
    a, b = (Scored(np.column_stack([chance(-x), chance(x)]), Rule(0.4, 0.75)) for x in estimates)
    return target, a, b


def chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def missed(
    task: Any,
    truth: Callable[[str], float] = lambda _: 0.0,
    *,
    alike: bool,
    by_group: bool,
    noise: float = 0.7,
) -> Counter[str]:
    """How often the interval of each metric's difference does not contain the true value.

    If that is 0: how often two equal models are called different.
    """
    misses: Counter[str] = Counter()
    for seed in range(TRIALS):
        target, a, b = pair(task, seed, alike=alike, noise=noise)
        settings = Report(relevant=0.0, level=LEVEL, samples=200, seed=seed)
        groups = GROUPS if by_group else None
        for line in compare(task, target, a, b, HEADLINES[task], settings, groups=groups).lines:
            _, low, high = line.difference
            misses[line.name] += not low <= truth(line.name) <= high
    return misses


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("task", HEADLINES)
def test_every_metric_of_equal_models_is_called_different_at_the_stated_rate(
    task: str, alike: bool
) -> None:
    for name, count in missed(task, alike=alike, by_group=alike).items():
        assert count <= MOST, name
        assert count >= FEWEST or name in CAUTIOUS, name


@pytest.mark.parametrize("task", HEADLINES)
def test_groups_that_are_ignored_give_more_errors_than_stated(task: str) -> None:
    assert missed(task, alike=True, by_group=False)[HEADLINES[task]] > MOST


@pytest.mark.parametrize("task", HEADLINES)
def test_every_interval_covers_the_true_difference_of_unequal_models(task: str) -> None:
    target, a, b = pair(task, 1, alike=False, rows=400_000, noise=0.5)
    everything = np.ones((1, len(target)))
    values = [scorers(task, target, m.prediction, m.rule, m.coverage, 10) for m in (a, b)]
    old, new = ({name: metrics[name](everything)[0] for name in metrics} for metrics in values)
    misses = missed(
        task, lambda name: new[name] - old[name], alike=False, by_group=False, noise=0.5
    )
    for name, count in misses.items():
        assert count <= MOST, name
