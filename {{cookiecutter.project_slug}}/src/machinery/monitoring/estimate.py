"""Performance estimates: the metric to expect of predictions whose outcomes are not known yet.

Both estimates assume that the target depends on the features as it did: they are blind to concept
drift, and their gap to the realised metric is its sign. They clear no alarm.

- Classes: confidence-based performance estimation (CBPE, as NannyML calls it): each row counts as
  every class at once, weighted by its probability.
- Regression: direct loss estimation: a model of the absolute error, fitted to earlier rows whose
  outcome is known.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Interval, Scorer

from . import quality
from .drift import compared, encoded

if TYPE_CHECKING:
    from .outcomes import EvaluatedModel


def expected(prediction: np.ndarray, metric: str) -> Scorer:
    """The metric if each row is of each class with its probability: prediction is (n, classes)."""
    rows, classes = prediction.shape
    target = np.repeat(np.arange(classes), rows)
    repeated = np.tile(prediction, (classes, 1))
    scorer = metrics.scorers("classification", target, repeated, only=[metric])[metric]
    share = prediction.T.ravel().astype(np.float64)
    return lambda weights: scorer(np.tile(weights, (1, classes)) * share)


def of_errors(
    samples: Sequence[pd.DataFrame], model: "EvaluatedModel"
) -> tuple[float, Interval] | None:
    """The expected mean absolute error of the last sample, from those before it, and the gap.

    The gap is realised minus expected, on the rows that have an outcome. None where the samples
    before have fewer than `monitor.min_rows` of these, or no column can be compared.
    """
    contract, names = model.contract, compared(model.contract)
    *earlier, latest = samples
    parts = [table[table["target"].notna()] for table in earlier]
    if sum(map(len, parts)) < model.monitor.min_rows or not names:
        return None
    past = pd.concat(parts, ignore_index=True)
    past_errors, realised = (
        np.abs(table["target"] - contract.gather(table)).to_numpy() for table in (past, latest)
    )
    inputs = [quality.raw(table)[names] for table in (past, latest)]
    estimated = errors(inputs[0], past_errors, inputs[1], model.monitor.seed)
    labelled = latest["target"].notna().to_numpy()
    gap = {"gap": metrics.mean((realised - estimated)[labelled])}
    return float(estimated.mean()), model.intervals(gap, latest[labelled])["gap"]


def errors(past: pd.DataFrame, error: np.ndarray, new: pd.DataFrame, seed: int) -> np.ndarray:
    """The expected absolute errors (m,) of the raw columns `new`, from those (n,) of `past`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    x, x_new = encoded([past, new])
    model = HistGradientBoostingRegressor(random_state=seed).fit(x, error)
    return np.asarray(model.predict(x_new))
