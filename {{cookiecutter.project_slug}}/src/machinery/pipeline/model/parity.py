"""parity: a pipeline, its model file and rows in; how far apart they are, or why they are, out."""

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

SPOILT_SHARE = 0.25
NUDGE = 1e-6  # of a number: a few steps of float32
ENCODE = "encode as the others in candidates.py do, or drop it from train.models in params.yaml"


def parity_rows(table: "pd.DataFrame", rows: int, seed: int) -> "pd.DataFrame":
    """Up to `rows` real rows, then copies of them that lack things.

    In the copies every number is missing somewhere and every category unknown somewhere, alone and
    together with others, whether or not the table has such rows. The index is the table's.
    """
    import pandas as pd

    random = np.random.default_rng(seed)
    real = table.iloc[random.permutation(len(table))[:rows]]
    width = table.shape[1]
    at = np.arange(max(len(real), width))
    spoilt = random.random((len(at), width)) < SPOILT_SHARE
    spoilt[at, at % width] = True
    copies = real.iloc[at % len(real)].copy()
    for name, lost in zip(table.columns, spoilt.T, strict=True):
        nothing = np.nan if pd.api.types.is_numeric_dtype(table[name]) else UNSEEN
        copies[name] = copies[name].mask(lost, nothing)
    return pd.concat([real, copies])


def check_parity(
    pipeline: "Pipeline", model: Model, table: "pd.DataFrame", *, limit: float, scale: float = 1.0
) -> float:
    """The largest difference between the predictions of the pipeline and those of its file.

    In units of `scale` (a regression's: the standard deviation of its target). Raises UserError
    when that is beyond `limit`, with the row, the feature and what to do, where they can be told.
    """
    name, score = model.path.stem, getattr(pipeline, "predict_proba", pipeline.predict)

    def differences(rows: "pd.DataFrame") -> "NDArray[np.float64]":
        wanted, given = score(rows), model.predict(rows)
        if wanted.shape != given.shape:
            return np.full(len(rows), np.inf)
        return np.asarray(np.abs(wanted - given).reshape(len(rows), -1).max(axis=1) / scale)

    try:
        found = differences(table)
    except Exception as error:  # of scikit-learn or of onnxruntime
        why = first_line(error)
        raise UserError(f"{name} fails on missing or unknown values ({why}); {ENCODE}") from error
    if not found.max() <= limit:  # so that NaN is refused, too
        raise UserError(
            f"{name}: its ONNX file is {found.max():.2g} away from its pipeline, beyond "
            f"train.parity.limit {limit:g}, {_where(table, found, differences, limit, pipeline)}"
        )
    return float(found.max())


def _where(
    table: "pd.DataFrame",
    found: "NDArray[np.float64]",
    differences: "Callable[[pd.DataFrame], NDArray[np.float64]]",
    limit: float,
    pipeline: "Pipeline",
) -> str:
    """Where the two differ, and what to do; a feature is the cause where another value is not."""
    far = ~(found <= limit)
    if (share := far.mean()) > 0.5:
        estimator = type(pipeline[-1]).__name__
        remedy = "change candidates.py or its train.hyperparameters, or drop it from train.models"
        return f"in {share:.0%} of the rows: {estimator} does not convert as it is set; {remedy}"
    lacking = (table.isna() | (table == UNSEEN)).sum(axis=1).to_numpy()
    plainest = int(np.flatnonzero(far)[lacking[far].argmin()])
    row, like = table.iloc[[plainest]], table.iloc[int(np.nanargmin(found))]
    place = f"as in row {row.index[0]} of {TRAIN_FEATURES}"
    for name, value in zip(map(str, table), row.iloc[0], strict=True):
        number = isinstance(value, float | np.floating)
        if number and not np.isnan(value):
            step = NUDGE * max(abs(value), table[name].abs().mean())
            others = [np.float32(value - step), np.float32(value + step)]
            why = f"{name} is so near to a split that float32 cannot tell its sides"
            cure = "round or rescale it in features.py, and give it to trees as it is"
        elif number or value == UNSEEN:
            others = [like[name]]
            why = f"{name} is {'missing' if number else 'a category never seen'}"
            cure = "impute it in candidates.py" if number else ENCODE
        else:
            continue
        if any(differences(row.assign(**{name: other}))[0] <= limit for other in others):
            return f"{place}, where {why}; {cure}"
    return f"{place}; {ENCODE}"
