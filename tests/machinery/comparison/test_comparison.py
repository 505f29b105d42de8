"""Two models on the same rows: intervals cover, equal models seldom differ, pairing matters."""

from typing import Any

import numpy as np
import pytest
from machinery.comparison.comparison import Comparison, Line, Scored, compare, differences
from machinery.comparison.delong import DeLong, delong, midranks
from machinery.comparison.poisson import poisson
from machinery.comparison.sums import together
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Interval, bootstrap
from scipy import stats

from machinery.comparison import ranking

TRIALS, ROWS = 400, 300
DIALS = Report(level=0.9, samples=200, seed=1)
MOST = stats.binom.ppf(0.999, TRIALS, 0.1)  # of 400 intervals at 90 %, so many may miss the truth
FEWEST = stats.binom.ppf(0.001, TRIALS, 0.1)
POSITIVE = np.arange(ROWS) < ROWS // 3
TARGET = POSITIVE.astype(np.int64)


def scores(seed: int, *, gap: tuple[float, float], shared: float = 0.9) -> list[np.ndarray]:
    """Scores of two models that err alike: negatives N(0, 1), positives N(gap, 1)."""
    random = np.random.default_rng(seed)
    common, *own = random.normal(size=(3, ROWS))
    noise = [np.sqrt(shared) * common + np.sqrt(1 - shared) * each for each in own]
    return [POSITIVE * each + error for each, error in zip(gap, noise, strict=True)]


def scored(score: np.ndarray) -> Scored:
    positive = stats.norm.cdf(score)
    return Scored(np.column_stack([1 - positive, positive]), 0.5, 1.0)


def compared(*scores: np.ndarray, **changes: Any) -> Comparison:
    a, b = (scored(each) for each in scores)
    return compare("classification", TARGET, a, b, "roc_auc", DIALS, **changes)


def true_auc(gap: float) -> float:
    return float(stats.norm.cdf(gap / np.sqrt(2)))


def missed(truth: float, found: list[Interval]) -> int:
    return sum(not each.low <= truth <= each.high for each in found)


def headline(seed: int, gap: tuple[float, float]) -> Interval:
    """The paired interval of the headline metric alone."""
    both = [{"roc_auc": metrics.roc_auc(POSITIVE, each)} for each in scores(seed, gap=gap)]
    dials = DIALS.model_copy(update={"seed": seed})
    return differences(both, ROWS, dials)["roc_auc"].difference


@pytest.fixture(scope="module")
def better() -> list[Interval]:
    return [headline(seed, (1.0, 1.2)) for seed in range(TRIALS)]


@pytest.fixture(scope="module")
def equal() -> list[Interval]:
    return [headline(seed, (1.0, 1.0)) for seed in range(TRIALS)]


def test_the_paired_interval_covers_the_true_difference_as_often_as_it_says(
    better: list[Interval],
) -> None:
    count = missed(true_auc(1.2) - true_auc(1.0), better)
    assert FEWEST <= count <= MOST


def test_equal_models_are_called_different_at_the_stated_rate_and_not_more(
    equal: list[Interval],
) -> None:
    lines = [Line("roc_auc", 0.5, 0.5, each, more=True) for each in equal]
    called = sum(line.outcome != "no significant difference" for line in lines)
    assert FEWEST <= called <= MOST


def test_delong_covers_and_errs_at_its_level() -> None:
    different = [delong(POSITIVE, *scores(s, gap=(1.0, 1.2)), level=0.9) for s in range(TRIALS)]
    equal = [delong(POSITIVE, *scores(s, gap=(1.0, 1.0)), level=0.9) for s in range(TRIALS)]
    truth = true_auc(1.2) - true_auc(1.0)
    assert FEWEST <= missed(truth, [each.difference for each in different]) <= MOST
    assert FEWEST <= sum(each.p_value < 0.1 for each in equal) <= MOST


def test_without_pairing_the_interval_would_be_twice_as_wide() -> None:
    a, b = scores(1, gap=(1.0, 1.2))
    line = compared(a, b).headline
    alone = [
        bootstrap({"it": metrics.roc_auc(POSITIVE, s)}, ROWS, samples=200, level=0.9, seed=n)["it"]
        for n, s in enumerate((a, b))
    ]
    unpaired = np.hypot(*(each.high - each.low for each in alone))
    assert line.difference.high - line.difference.low < unpaired / 2


def test_delong_agrees_with_its_definition_over_all_pairs() -> None:
    random = np.random.default_rng(1)
    a, b = (np.round(each, 1) for each in scores(1, gap=(0.5, 1.0)))  # with ties
    shuffle = random.permutation(ROWS)
    found = delong(POSITIVE[shuffle], a[shuffle], b[shuffle], level=0.95)
    expected = _by_pairs(a, b)
    assert found.difference == pytest.approx(expected.difference, rel=1e-9)
    assert found.p_value == pytest.approx(expected.p_value, rel=1e-9)


def _by_pairs(a: np.ndarray, b: np.ndarray) -> DeLong:
    """DeLong et al. 1988, equations 4 to 8, over every pair of a positive and a negative."""
    pairs = [(each[POSITIVE][:, None], each[~POSITIVE]) for each in (a, b)]
    wins = [(hit > miss) + (hit == miss) / 2 for hit, miss in pairs]
    areas = [each.mean() for each in wins]
    tens = np.cov([each.mean(axis=1) for each in wins])
    ones = np.cov([each.mean(axis=0) for each in wins])
    cover = tens / POSITIVE.sum() + ones / (~POSITIVE).sum()
    error = np.sqrt(cover[0, 0] + cover[1, 1] - 2 * cover[0, 1])
    found = areas[1] - areas[0]
    low, high = stats.norm.interval(0.95, found, error)
    return DeLong(Interval(found, low, high), 2 * stats.norm.sf(abs(found) / error))


def test_delong_of_a_model_with_itself_finds_nothing_and_of_one_class_says_nothing() -> None:
    (a, _) = scores(1, gap=(1.0, 1.0))
    assert delong(POSITIVE, a, a, 0.95) == (Interval(0, 0, 0), 1.0)
    nothing = delong(np.zeros(ROWS, bool), a, a, 0.95)
    assert np.isnan(nothing.difference.value) and np.isnan(nothing.p_value)


def test_midranks_agree_with_scipy() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0, 1.0])
    assert midranks(values) == pytest.approx(stats.rankdata(values))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("levels", [4096, 30])
def test_fast_ranking_metrics_agree_with_the_plain_ones(
    classes: int, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "LEVELS", levels)
    random = np.random.default_rng(1)
    target = random.integers(classes, size=ROWS)
    prediction = random.dirichlet(np.ones(classes), size=ROWS).astype(np.float32)
    weights = random.multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=3).astype(float)
    plain = metrics.scorers("classification", target, prediction)
    tolerance = 1e-9 if levels > ROWS else 0.02
    for name, fast in ranking.scorers(target, prediction, plain).items():
        assert fast(weights) == pytest.approx(plain[name](weights), abs=tolerance)
        assert fast(np.ones((1, ROWS))) == pytest.approx(plain[name](np.ones((1, ROWS))))


def test_a_resample_without_one_class_has_no_figure() -> None:
    prediction, target = np.array([[0.2, 0.8], [0.7, 0.3]]), np.array([0, 0])
    plain = metrics.scorers("classification", target, prediction)
    fast = ranking.scorers(target, prediction, plain)
    for name in ("roc_auc", "average_precision"):
        assert np.isnan(fast[name](np.ones((1, 2)))).all()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_scorers_say_the_same_when_their_sums_are_taken_together(task: metrics.Task) -> None:
    random = np.random.default_rng(1)
    target = random.integers(2, size=ROWS)
    chance = random.uniform(size=(2, ROWS)).astype(np.float32)
    predictions = np.stack([1 - chance, chance], axis=2) if task == "classification" else chance
    bound = [metrics.scorers(task, target, each) for each in predictions]
    batches = random.multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=(2, 3)).astype(float)
    for weights in batches:
        for alone, fed in zip(bound, together(bound), strict=True):
            for name, scorer in fed.items():
                assert scorer(weights) == pytest.approx(alone[name](weights), rel=1e-12)


@pytest.mark.parametrize("groups", [None, np.arange(4000) // 4])
def test_poisson_resamples_vary_as_drawing_with_replacement_does(groups: Any) -> None:
    values = np.random.default_rng(1).normal(size=1000).repeat(4)  # alike within a group
    found = [
        bootstrap({"it": metrics.mean(values)}, 4000, samples=2000, level=0.9, seed=1, **how)["it"]
        for how in ({"groups": groups}, {"groups": groups, "draw": poisson})
    ]
    widths = [each.high - each.low for each in found]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert found[1].low == pytest.approx(found[0].low, abs=0.1 * widths[0])


def test_many_rows_take_the_fast_way_to_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = scores(1, gap=(1.0, 1.2))
    plain = compared(*pair)
    monkeypatch.setattr(ranking, "MANY", 10)
    fast = compared(*pair)
    for one, other in zip(plain.lines, fast.lines, strict=True):
        width = one.difference.high - one.difference.low
        assert other.difference.value == pytest.approx(one.difference.value)
        assert other.difference == pytest.approx(one.difference, abs=0.25 * width + 1e-12)


@pytest.mark.parametrize(
    ("interval", "more", "outcome"),
    [
        ((0.2, 0.1, 0.3), True, "better"),
        ((0.2, 0.1, 0.3), False, "worse"),
        ((-0.2, -0.3, -0.1), False, "better"),
        ((-0.2, -0.3, -0.1), True, "worse"),
        ((-0.2, -0.3, -0.1), None, "different"),
        ((0.1, -0.1, 0.3), True, "no significant difference"),
        ((0.0, 0.0, 0.0), True, "no significant difference"),
        ((0.1, np.nan, np.nan), True, "no significant difference"),
    ],
)
def test_a_difference_counts_when_its_interval_does_not_hold_zero(
    interval: tuple[float, float, float], more: bool | None, outcome: str
) -> None:
    assert Line("it", 1.0, 1.0, Interval(*interval), more).outcome == outcome


def test_a_slice_that_got_worse_is_named_though_the_whole_got_better() -> None:
    a, b = scores(1, gap=(0.5, 2.0))
    small = np.concatenate([np.arange(20), np.arange(200, 230)])
    b[small] = -a[small]
    found = compared(a, b, slices=[("colour", "red", small), ("colour", "blue", np.arange(ROWS))])
    assert found.headline.outcome == "better"
    assert [each.value for each in found.worse_slices] == ["red"]


def test_rows_of_a_group_are_resampled_together_and_delong_keeps_silent() -> None:
    a, b = (np.repeat(each[::10], 10) for each in scores(1, gap=(1.0, 1.2)))
    tens = np.arange(ROWS) // 10
    alone, together = compared(a, b), compared(a, b, unit="groups", groups=tens)
    widths = [each.headline.difference for each in (alone, together)]
    assert (together.unit, together.units) == ("groups", 30)
    assert widths[1].high - widths[1].low > 2 * (widths[0].high - widths[0].low)
    assert alone.delong is not None
    assert together.delong is None


def test_a_slice_of_one_group_has_no_interval_and_never_got_worse() -> None:
    a, b = scores(1, gap=(2.0, 0.0))
    groups = np.arange(ROWS) % 100 % 20  # of which every one has both classes
    one = np.flatnonzero(groups == 0)
    slices = [("shop", "x", one), ("all", "x", np.arange(ROWS))]
    found = compared(a, b, groups=groups, slices=slices)
    shop, everything = found.slices
    assert shop.line.difference.value < 0
    assert np.isnan(shop.line.difference.low) and np.isnan(shop.line.difference.high)
    assert shop.line.outcome == "no significant difference"
    assert everything.line.outcome == "worse"


def test_a_regression_is_compared_by_its_own_metrics() -> None:
    random = np.random.default_rng(1)
    target = random.normal(size=100)
    near, far = (Scored(target + scale * random.normal(size=100), None, 1.0) for scale in (0.1, 1))
    found = compare("regression", target, far, near, "mean_absolute_error", DIALS)
    assert found.headline.outcome == "better"
    assert {each.name for each in found.lines} == {
        *metrics.names("regression"),
        "mean_pinball_loss",
        "coverage",
    }
    assert found.delong is None


def test_a_model_against_itself_is_no_different_in_anything() -> None:
    a, _ = scores(1, gap=(1.0, 1.0))
    found = compared(a, a)
    assert found.same
    assert {each.outcome for each in found.lines} == {"no significant difference"}
