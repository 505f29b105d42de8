"""estimate: predictions without outcomes in; what the headline metric would be, out.

Both estimates assume that the target depends on the features as it did: they are blind to concept
drift, and their gap to what was realised is its sign. They clear no alarm.

- Classes: confidence-based performance estimation (CBPE, as NannyML names it): each row counts as
  every class at once, weighted by its probability.
- Regression: direct loss estimation: a model of the absolute error, fitted to earlier rows whose
  outcome is known.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import Interval, Scorer, Weights

from . import quality
from .encoding import compared, encoded

if TYPE_CHECKING:
    import pandas as pd

    from .outcomes import Promise


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


def of_errors(
    samples: Sequence["pd.DataFrame"], promise: "Promise"
) -> tuple[float, Interval] | None:
    """The mean absolute error to expect on the last sample, by those before; and the gap.

    The gap is realised minus expected, on the rows that have an outcome. None where the samples
    before have fewer than `monitor.min_rows` of these, or no column can be compared.
    """
    import pandas as pd

    *past, now = samples
    known = [each[each["target"].notna()] for each in past]
    if sum(map(len, known)) < promise.monitor.min_rows or not compared(promise.contract):
        return None
    before, contract = pd.concat(known, ignore_index=True), promise.contract
    first, last = (np.abs(each["target"] - contract.gather(each)) for each in (before, now))
    raw = [quality.raw(each)[compared(contract)] for each in (before, now)]
    expected = errors(raw[0], first.to_numpy(), raw[1], promise.monitor.seed)
    labelled = now["target"].notna().to_numpy()
    gap = metrics.mean((last.to_numpy() - expected)[labelled])
    return float(expected.mean()), promise.measured({"gap": gap}, now[labelled])["gap"]


def errors(past: "pd.DataFrame", error: np.ndarray, now: "pd.DataFrame", seed: int) -> np.ndarray:
    """The absolute errors (n,) to be expected of the raw columns `now`, from those of `past`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    (known, new), model = encoded([past, now]), HistGradientBoostingRegressor(random_state=seed)
    return np.asarray(model.fit(known, error).predict(new))
