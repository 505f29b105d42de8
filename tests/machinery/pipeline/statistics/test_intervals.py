"""Intervals cover at their level, resamples are paired, and results depend on the seed alone."""

import json
from math import isnan, nan
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from machinery.pipeline.model.evaluation import units
from machinery.pipeline.statistics import intervals, metrics
from machinery.pipeline.statistics.intervals import (
    Codes,
    Interval,
    Scorer,
    Values,
    bootstrap,
    difference,
    jackknife,
    mean_interval,
    resamples,
    wilson,
)
from machinery.pipeline.statistics.metrics import calibration_error, mean, roc_auc

TRIALS = 400
FEWEST = stats.binom.ppf(1e-3, TRIALS, 0.95)  # of 400 intervals at 95 %, 365 or more hit


def test_wilson_agrees_with_scipy() -> None:
    expected = stats.binomtest(7, 30).proportion_ci(0.9, method="wilson")
    assert wilson(7, 30, 0.9) == pytest.approx((7 / 30, expected.low, expected.high))


def test_wilson_is_defined_at_zero_at_one_and_without_rows() -> None:
    assert wilson(0, 10, 0.95).low == 0.0
    assert 0.0 < wilson(0, 10, 0.95).high < 0.35
    assert wilson(10, 10, 0.95).high == 1.0
    assert wilson(0, 0, 0.95)[1:] == (0.0, 1.0)


def test_mean_interval_agrees_with_scipy_and_drops_nan() -> None:
    values = [1.0, 4.0, nan, 2.0, 9.0]
    low, high = stats.t.interval(0.95, 3, loc=4.0, scale=stats.sem([1, 4, 2, 9]))
    assert mean_interval(values, 0.95) == pytest.approx((4.0, low, high))


def test_mean_of_one_value_has_no_interval_and_is_valid_json() -> None:
    document = json.dumps(mean_interval([3.0, nan], 0.95).as_dict(), allow_nan=False)
    assert json.loads(document) == {"value": 3.0, "low": None, "high": None}
    assert isnan(mean_interval([], 0.95).value)


def test_wilson_covers_the_true_rate_at_its_level() -> None:
    successes = np.random.default_rng(1).binomial(40, 0.15, TRIALS)
    assert covered(0.15, [wilson(int(s), 40, 0.95) for s in successes]) >= FEWEST


def test_mean_interval_covers_the_true_mean_at_its_level() -> None:
    samples = np.random.default_rng(1).normal(2.0, size=(TRIALS, 5))
    assert covered(2.0, [mean_interval(s, 0.95) for s in samples]) >= FEWEST


def test_bootstrap_covers_the_true_roc_auc_at_its_level() -> None:
    truth = stats.norm.cdf(1 / np.sqrt(2))  # two unit normals, one unit apart
    positive = np.arange(300) < 100

    def trial(seed: int) -> Interval:
        scores = np.random.default_rng(seed).normal(positive.astype(float))
        return estimate(roc_auc(positive, scores), 300)

    assert covered(truth, [trial(seed) for seed in range(TRIALS)]) >= FEWEST


@pytest.mark.parametrize("truth", [0.0, 0.05])
def test_bootstrap_covers_the_true_calibration_error_at_its_level(truth: float) -> None:
    def trial(seed: int) -> Interval:
        random = np.random.default_rng(seed)
        probability = random.uniform(0.1, 0.8, 500)
        happened = random.random(500) < probability + truth
        return estimate(calibration_error(happened, probability, 10), 500)

    assert covered(truth, [trial(seed) for seed in range(TRIALS)]) >= FEWEST


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
@pytest.mark.parametrize(("groups", "share"), [(10, 0.3), (31, 0.3), (31, 0.08)])
def test_two_equal_models_rarely_differ_on_few_groups_of_unequal_size(
    groups: int, share: float, metric: str
) -> None:
    """The effect of a group is in the target, and each model's own noise has a part by group."""

    def called_different(seed: int) -> bool:
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), random.integers(15, 80, groups))
        signal = random.normal(size=len(group)) + np.log(share / (1 - share))
        chance = expit(signal + random.normal(0, 0.7, groups)[group])
        target = (random.random(len(group)) < chance).astype(np.int64)
        one, two = (
            classification(
                target,
                expit(
                    signal
                    + random.normal(0, 0.5, groups)[group]
                    + random.normal(0, 0.7, len(group))
                ),
            )[metric]
            for _ in range(2)
        )
        scorers = {"difference": difference(one, two)}
        result = bootstrap(scorers, len(group), samples=400, level=0.95, seed=seed, groups=group)
        return not result["difference"].low <= 0 <= result["difference"].high

    count = sum(called_different(seed) for seed in range(TRIALS))
    assert stats.binom.ppf(0.05, TRIALS, 0.03) <= count <= stats.binom.ppf(0.95, TRIALS, 0.07)


@pytest.mark.parametrize("groups", [10, 31])
def test_bootstrap_of_few_groups_covers_the_true_mean_at_its_level(groups: int) -> None:
    def trial(seed: int) -> Interval:
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), random.integers(15, 80, groups))
        values = random.normal(0, 1, groups)[group] + random.normal(0, 1, len(group))
        draws = {"samples": 400, "level": 0.95, "seed": seed, "groups": group}
        return bootstrap({"it": mean(values)}, len(group), **draws)["it"]

    assert 0.93 <= covered(0.0, [trial(seed) for seed in range(TRIALS)]) / TRIALS <= 0.97


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(size=500)
    theory = mean_interval(values, 0.9)
    result = bootstrap({"mean": mean(values)}, 500, samples=2000, level=0.9, seed=1)
    assert result["mean"] == pytest.approx(theory, abs=0.01)


def test_paired_differences_have_narrower_intervals_than_unpaired_ones() -> None:
    random = np.random.default_rng(1)
    hard = random.exponential(size=300)  # the same rows are hard for both models
    one, two = mean(hard), mean(hard + random.normal(0.1, 0.1, 300))
    apart = {"one": one, "two": two, "paired": difference(two, one)}
    width = {name: i.high - i.low for name, i in paired(apart, 300).items()}
    assert width["paired"] < 0.2 * np.hypot(width["one"], width["two"])


def test_groups_are_resampled_whole() -> None:
    groups = np.array([0, 1, 1, 2, 2, 2])
    for weights in resamples(6, samples=20, seed=1, groups=groups):
        assert (weights[:, 1] == weights[:, 2]).all()
        assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_repeated_rows_within_groups_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=200)
    repeated, groups = np.repeat(values, 9), np.repeat(np.arange(200), 9)
    grouped = bootstrap(
        {"mean": mean(repeated)}, 1800, samples=300, level=0.95, seed=1, groups=groups
    )
    assert grouped["mean"] == pytest.approx(estimate(mean(values), 200))


def test_few_groups_have_a_value_but_no_interval() -> None:
    few = intervals.MIN_GROUPS - 1
    assert isnan(grouped(few).low) and isnan(grouped(few).high)
    assert grouped(few).value == grouped(few + 1).value
    assert grouped(few + 1).low < grouped(few + 1).high


@pytest.mark.parametrize(
    ("by", "grouped", "days", "unit"),
    [
        ("time", False, 10, "days"),
        ("time", False, 9, "rows"),
        ("stratified", False, 10, "rows"),
        ("time", True, 10, "groups"),
    ],
)
def test_the_unit_is_a_group_or_a_day_or_a_row(
    by: str, grouped: bool, days: int, unit: str
) -> None:
    at = np.datetime64("2013-07-01T08:00") + np.arange(2 * days) * np.timedelta64(12, "h")
    table = pd.DataFrame({"at": at, "shop": np.repeat(["blue", "red"], days)})
    contract = SimpleNamespace(time="at", group="shop" if grouped else None)
    actual, codes = units(table, contract, by)  # type: ignore[arg-type]
    expected = {"days": [day // 2 for day in range(2 * days)], "groups": [0] * days + [1] * days}
    assert actual == unit
    assert (None if codes is None else codes.tolist()) == expected.get(unit)


def test_every_resample_draws_as_many_rows_as_there_are() -> None:
    assert all((batch.sum(axis=1) == 50).all() for batch in resamples(50, samples=30, seed=1))


def test_intervals_depend_on_the_seed_alone() -> None:
    scorers = {"mean": mean(np.arange(50))}
    assert paired(scorers, 50) == paired(scorers, 50)
    assert paired(scorers, 50) != paired(scorers, 50, seed=2)


def test_intervals_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    scorers = {"mean": mean(np.random.default_rng(1).normal(size=50))}
    expected = paired(scorers, 50)["mean"]
    monkeypatch.setattr(intervals, "BATCH_BYTES", 7 * 8 * 50)
    assert len(list(resamples(50, samples=20, seed=1))) == 3
    assert paired(scorers, 50)["mean"] == pytest.approx(expected, rel=1e-12)


def test_undefined_resamples_are_dropped_unless_they_are_the_majority() -> None:
    positive, scores = np.array([True, False, False, False]), np.array([0.9, 0.1, 0.2, 0.3])
    assert estimate(roc_auc(positive, scores), 4) == (1.0, 1.0, 1.0)
    one_class = estimate(roc_auc(np.zeros(4, bool), scores), 4)
    assert one_class.as_dict() == {"value": None, "low": None, "high": None}


def classification(target: Codes, probability: Values) -> dict[str, Scorer]:
    return metrics.scorers(
        "classification", target, np.column_stack([1 - probability, probability])
    )


def covered(truth: float, intervals: list[Interval]) -> int:
    return sum(interval.low <= truth <= interval.high for interval in intervals)


def grouped(count: int) -> Interval:
    """Of the same 90 values, in so many groups."""
    codes, values = np.arange(90) % count, np.arange(90) % 7
    draws = {"samples": 300, "level": 0.95, "seed": 1, "groups": codes}
    return bootstrap({"mean": mean(values)}, 90, **draws)["mean"]


def paired(scorers: dict[str, Scorer], rows: int, seed: int = 1) -> dict[str, Interval]:
    return bootstrap(scorers, rows, samples=300, level=0.95, seed=seed)


def estimate(scorer: Scorer, rows: int) -> Interval:
    return paired({"it": scorer}, rows)["it"]


def test_the_jackknife_agrees_with_leaving_out_each_group_by_hand() -> None:
    values, groups = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0, 0, 1, 2])
    interval = jackknife({"mean": mean(values)}, groups, 0.95)["mean"]
    without = [6.0, 11 / 3, 7 / 3]
    spread = 2 / 3 * sum((value - np.mean(without)) ** 2 for value in without)
    assert interval.value == 3.75
    assert interval.high - interval.value == pytest.approx(4.302653 * spread**0.5)  # t of 2 degrees
    assert interval.value - interval.low == pytest.approx(interval.high - interval.value)


def test_the_jackknife_of_two_groups_or_of_an_undefined_metric_has_no_interval() -> None:
    two = jackknife({"mean": mean([1.0, 2.0])}, np.array([0, 1]), 0.95)["mean"]
    assert two.value == 1.5 and isnan(two.low) and isnan(two.high)
    assert isnan(jackknife({"mean": mean([])}, np.array([], int), 0.95)["mean"].value)


@pytest.mark.parametrize(("days", "rare"), [(7, False), (31, False), (31, True)])
def test_the_jackknife_covers_at_its_level_if_rows_of_a_day_are_alike(
    days: int, rare: bool
) -> None:
    random, missed, trials = np.random.default_rng(3), 0, 300
    for _ in range(trials):
        sizes = random.integers(30, 160, days)
        day = np.repeat(np.arange(days), sizes)
        effect = random.beta(2, 23 if rare else 3, days)  # the rate of a day, 0.08 or 0.4
        happened = random.random(len(day)) < effect[day]
        interval = jackknife({"gap": mean(happened - (0.08 if rare else 0.4))}, day, 0.95)["gap"]
        missed += not interval.low <= 0 <= interval.high
    assert 0.03 <= missed / trials <= 0.07


def test_intervals_do_not_depend_on_where_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    scorers = {"mean": mean(np.random.default_rng(1).normal(size=50))}
    expected = paired(scorers, 50)
    monkeypatch.setattr(intervals, "FAR", 0)
    pieces = []

    def apart(function, shared, items):  # type: ignore[no-untyped-def]
        pieces.extend(items)
        return iter([function(shared, item) for item in reversed(pieces)][::-1])

    options = {"samples": 300, "level": 0.95, "seed": 1}
    assert intervals.bootstrap(scorers, 50, **options, spread=apart) == expected  # type: ignore[arg-type]
    assert len(pieces) == 15
