"""Shift: samples of one distribution stay within chance, others are small or large."""

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.statistics.shift import Shift, shift

LEVEL = 0.95


def sizes(draw: object, repeats: int = 300) -> float:
    """The share of pairs of samples of one distribution that differ beyond chance."""
    random = np.random.default_rng(1)
    pairs = ([pd.Series(draw(random, n)) for n in (700, 400)] for _ in range(repeats))  # type: ignore[operator]
    shifts = [shift(before, after, LEVEL) for before, after in pairs]
    return float(np.mean([one is not None and one.size != "chance" for one in shifts]))


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, n: random.normal(size=n),
        lambda random, n: random.random(n) < 0.2,
        lambda random, n: np.where(random.random(n) < 0.9, 0.0, random.exponential(size=n)),
        lambda random, n: random.choice(list("abcdef"), n, p=[0.5, 0.3, 0.1, 0.08, 0.015, 0.005]),
        lambda random, n: np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)),
    ],
    ids=["numbers", "booleans", "mostly zero", "categories", "with gaps"],
)
def test_samples_of_one_distribution_differ_at_about_the_stated_rate(draw: object) -> None:
    assert 0.01 <= sizes(draw) <= 0.09


def moved(before: list[object], after: list[object]) -> Shift:
    result = shift(pd.Series(before), pd.Series(after), LEVEL)
    assert result
    return result


def test_the_index_agrees_with_its_definition() -> None:
    result = moved(["a"] * 5000 + ["b"] * 5000, ["a"] * 6000 + ["b"] * 4000)
    by_hand = (0.6 - 0.5) * np.log(0.6 / 0.5) + (0.4 - 0.5) * np.log(0.4 / 0.5)
    assert result.index == pytest.approx(by_hand, rel=1e-3)
    assert (result.size, result.statistic, result.before, result.after) == ("small", "a", 0.5, 0.6)


def test_numbers_that_moved_by_half_a_deviation_are_a_moderate_shift() -> None:
    random = np.random.default_rng(1)
    result = moved([*random.normal(0, 1, 2000)], [*random.normal(0.45, 1, 2000)])
    assert result.size == "moderate"
    assert result.statistic == "mean"
    assert result.after - result.before == pytest.approx(0.45, abs=0.1)


def test_a_constant_that_became_another_is_a_large_shift() -> None:
    assert moved([1] * 50, [2] * 50).size == "large"


def test_missing_values_are_a_bin_of_their_own() -> None:
    result = moved([*range(100)], [*range(60), *[None] * 40])
    assert result.size == "large"
    assert result.missing == (0.0, 0.4)


def test_columns_without_values_or_rows_do_not_fail() -> None:
    assert moved([None, None], [None, None]).size == "chance"
    assert shift(pd.Series([], dtype=float), pd.Series([1.0]), LEVEL) is None


def test_rare_values_are_pooled() -> None:
    before = ["common"] * 990 + [f"rare {n}" for n in range(10)]
    after = ["common"] * 990 + [f"other {n}" for n in range(10)]
    assert moved(before, after).size == "chance"
