"""Parity: check that a model file predicts what its pipeline predicts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from machinery.pipeline.files import UserError, first_line
from machinery.pipeline.paths import TRAIN_FEATURES

from .model_file import UNSEEN, Model

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

MASKED_SHARE = 0.25
DROP = "or drop the model from train.models in params.yaml"
REMEDY = f"impute and encode as the others in candidates.py do, {DROP}"


def parity_rows(table: "pd.DataFrame", rows: int, seed: int) -> "pd.DataFrame":
    """Up to `rows` rows of the table, followed by copies with missing and unknown values.

    In the copies every number is missing somewhere and every category unknown somewhere, alone and
    together with others, whether or not the table has such rows. The index is the table's.
    """
    import pandas as pd

    random = np.random.default_rng(seed)
    real = table.iloc[random.permutation(len(table))[:rows]]
    width = table.shape[1]
    at = np.arange(max(len(real), width))
    masks = random.random((len(at), width)) < MASKED_SHARE
    masks[at, at % width] = True
    copies = real.iloc[at % len(real)].copy()
    for name, mask in zip(table.columns, masks.T, strict=True):
        numeric = pd.api.types.is_numeric_dtype(table[name])
        copies[name] = copies[name].mask(mask, np.nan if numeric else UNSEEN)
    return pd.concat([real, copies])


def check_parity(
    pipeline: "Pipeline", model: Model, table: "pd.DataFrame", *, limit: float, scale: float = 1.0
) -> float:
    """The largest difference between the predictions of the pipeline and those of its file.

    In units of `scale`: for a regression, the standard deviation of its target.

    Raises:
        UserError: beyond `limit`, naming the row, the remedy and, if a single one is the cause, the
            feature.
    """
    name, score = model.path.stem, getattr(pipeline, "predict_proba", pipeline.predict)

    def differences(rows: "pd.DataFrame") -> "NDArray[np.float64]":
        expected, actual = score(rows), model.predict(rows)
        if expected.shape != actual.shape:
            return np.full(len(rows), np.inf)
        return np.asarray(np.abs(expected - actual).reshape(len(rows), -1).max(axis=1) / scale)

    try:
        gaps = differences(table)
    except Exception as error:  # from scikit-learn or onnxruntime
        reason = first_line(error)
        fault = f"{name} fails on missing or unknown values ({reason})"
        raise UserError(f"{fault}; {REMEDY}") from error
    if not gaps.max() <= limit:  # also for NaN
        raise UserError(
            f"{name}: its ONNX file is {gaps.max():.2g} away from its pipeline, beyond "
            f"train.parity.limit {limit:g}, {_where(table, gaps, differences, limit, pipeline)}"
        )
    return float(gaps.max())


def _where(
    table: "pd.DataFrame",
    gaps: "NDArray[np.float64]",
    differences: "Callable[[pd.DataFrame], NDArray[np.float64]]",
    limit: float,
    pipeline: "Pipeline",
) -> str:
    """The row, the remedy, and the feature if another value of it closes the gap."""
    far = ~(gaps <= limit)
    if far.mean() > 0.5:
        estimator = type(pipeline[-1]).__name__
        remedy = "change candidates.py or its train.hyperparameters, or drop it from train.models"
        return f"in {far.mean():.0%} of the rows: {estimator} does not convert as set; {remedy}"
    absent = (table.isna() | (table == UNSEEN)).to_numpy()
    plainest = int(np.flatnonzero(far)[absent[far].sum(axis=1).argmin()])
    row = table.iloc[[plainest]]
    place = f"as in row {row.index[0]} of {TRAIN_FEATURES}"
    close = table.iloc[[int(np.nanargmin(gaps))]].set_axis(row.index)
    for name in row.columns[np.argsort(~absent[plainest], kind="stable")]:
        changed = row.copy()
        changed[name] = close[name]
        if differences(changed)[0] <= limit:
            value = row[name].iloc[0]
            if not isinstance(value, np.floating) or np.isnan(value):
                return f"{place}, because of {name}; {REMEDY}"
            cause = f"because of {name}, which float32 may move across a split"
            return f"{place}, {cause}; round or rescale it in features.py, {DROP}"
    return f"{place}; {REMEDY}"
