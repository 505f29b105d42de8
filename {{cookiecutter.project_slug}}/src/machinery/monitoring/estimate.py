"""estimate: predictions without outcomes in; what the headline metric would be, out.

Both estimates assume that the target depends on the features as it did: they are blind to concept
drift, and their gap to what was realised is its sign. They clear no alarm.

- Classes: confidence-based performance estimation (CBPE, as NannyML names it): each row counts as
  every class at once, weighted by its probability.
- Regression: direct loss estimation: a model of the absolute error, fitted to earlier rows whose
  outcome is known.
"""

from typing import TYPE_CHECKING

import numpy as np

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Scorer, Weights

from .encoding import encoded

if TYPE_CHECKING:
    import pandas as pd


def expected(prediction: np.ndarray, metric: str) -> Scorer:
    """The metric if each row is of each class with its probability: prediction is (n, classes)."""
    rows, classes = prediction.shape
    target = np.repeat(np.arange(classes), rows)
    every = np.tile(prediction, (classes, 1))
    bound = metrics.scorers("classification", target, every, only=[metric])[metric]
    share = prediction.T.ravel().astype(np.float64)

    def score(weights: Weights) -> np.ndarray:
        return bound(np.tile(weights, (1, classes)) * share)

    return score


def errors(past: "pd.DataFrame", error: np.ndarray, now: "pd.DataFrame", seed: int) -> np.ndarray:
    """The absolute errors (n,) to be expected of the raw columns `now`, from those of `past`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    (known, new), model = encoded([past, now]), HistGradientBoostingRegressor(random_state=seed)
    return np.asarray(model.fit(known, error).predict(new))
