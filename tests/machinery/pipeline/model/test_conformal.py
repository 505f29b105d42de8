"""Conformal prediction: it covers, agrees with MAPIE, and its sets are never empty."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from machinery.pipeline.model import conformal


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose features are the probabilities themselves."""

    def fit(self, rows: np.ndarray, target: np.ndarray) -> "Given":
        self.classes_ = np.unique(target)
        self.is_fitted_ = True
        return self

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows.argmax(axis=1)


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets that follow their probabilities of three classes."""
    random = np.random.default_rng(seed)
    probability = random.dirichlet([1, 1, 1], size=rows)
    target = (random.random((rows, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    return target, probability


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_agree_with_mapie(coverage: float) -> None:
    (target, probability), (_, new) = sample(500, seed=1), sample(300, seed=2)
    peer = SplitConformalClassifier(
        Given().fit(probability, target), confidence_level=coverage, conformity_score="lac"
    ).conformalize(probability, target)
    expected = peer.predict_set(new)[1][:, :, 0]
    quantile = conformal.quantile(conformal.nonconformity(target, probability), coverage)
    actual = conformal.sets(new, quantile)
    likeliest = np.eye(3, dtype=bool)[new.argmax(axis=1)]
    assert (actual == (expected | likeliest)).all()


def test_intervals_cover_at_their_rate_on_new_rows() -> None:
    random = np.random.default_rng(1)
    errors = random.normal(size=2000)
    quantile = conformal.quantile(conformal.nonconformity(errors[:1000], np.zeros(1000)), 0.9)
    covered = conformal.covers(errors[1000:], np.zeros(1000), quantile).mean()
    assert 0.87 < covered < 0.93


def test_a_set_is_never_empty() -> None:
    sets = conformal.sets(np.array([[0.4, 0.35, 0.25]]), quantile=0.1)
    assert sets.tolist() == [[True, False, False]]


def test_too_few_rows_give_sets_of_all_classes() -> None:
    quantile = conformal.quantile(np.array([0.1, 0.2, 0.3]), coverage=0.9)
    assert conformal.sets(np.array([[0.99, 0.01]]), quantile).all()
