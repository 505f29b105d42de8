"""Build the unfitted scikit-learn pipeline of a candidate."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

Task = Literal["classification", "regression"]
# Transformer of numbers; of categories, or a mapping with one for each encoding; estimator.
Parts = tuple[Any, Any, Any]
Candidates = Mapping[str, Callable[[Task], Parts]]

DETERMINISTIC: dict[str, dict[str, Any]] = {  # and without a log
    "lightgbm": {"n_jobs": 1, "deterministic": True, "force_col_wise": True, "verbose": -1},
    "xgboost": {"n_jobs": 1},
}
RESERVED = {"random_state", "n_jobs"}  # set by train.seed and by the caller


def build(
    name: str,
    candidates: Candidates,
    *,
    task: Task,
    numeric: Sequence[str],
    categorical: Sequence[str],
    hyperparameters: Mapping[str, Any],
    seed: int,
    encode: Mapping[str, str] = MappingProxyType({}),
) -> "Pipeline":
    """The unfitted pipeline of one candidate, from the named features to its predictions.

    `encode` names the categorical features with another encoding, "text" or "target".

    Raises:
        UserError: for an unknown candidate or hyperparameter, an invalid value, or a feature that
            the candidate has no encoder for.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.utils import get_tags

    if name not in candidates:
        names = ", ".join(candidates)
        raise UserError(f"{PARAMS}: train.models has '{name}', not a candidate; known are {names}")
    numbers, strings, estimator = candidates[name](task)
    columns = [("numeric", numbers, [*numeric])] if numeric else []
    columns += _encoded(name, strings, categorical, encode)
    # Some estimators that accept missing values treat absent entries of sparse input as missing.
    sparse = 0 if get_tags(estimator).input_tags.allow_nan else 0.3
    steps = [("encode", ColumnTransformer(columns, sparse_threshold=sparse))]
    _set(estimator, hyperparameters, seed, f"{PARAMS}: train.hyperparameters.{name}")
    return Pipeline([*steps, ("estimator", estimator)])


def constrain(
    pipeline: "Pipeline", signs: Mapping[str, int], rows: "pd.DataFrame", target: Any
) -> None:
    """Set monotonic constraints: predictions rise (1) or fall (-1) with the named features.

    Features that are not in `rows` belong to another feature set and are ignored.

    Raises:
        ValueError: for a string feature, or an estimator without monotonic constraints.
    """
    from sklearn.base import clone

    estimator, numbers = pipeline[-1], [*rows.select_dtypes("number")]
    key = "monotone_constraints" if _library(estimator) in DETERMINISTIC else "monotonic_cst"
    if key == "monotonic_cst" and key not in estimator.get_params():
        raise ValueError(f"{type(estimator).__name__} takes no monotonic_cst")
    if strings := [name for name in signs if name in rows and name not in numbers]:
        raise ValueError(f"monotonic_cst names {strings[0]}, which is not a number")
    columns = clone(pipeline[0]).fit(rows, target).output_indices_
    if columns.get("numeric", slice(0)).stop != len(numbers):
        raise ValueError("monotonic_cst needs a column for each number")
    free = max(block.stop for block in columns.values()) - len(numbers)
    estimator.set_params(**{key: (*(signs.get(name, 0) for name in numbers), *[0] * free)})


def _encoded(
    candidate: str, strings: Any, features: Sequence[str], encode: Mapping[str, str]
) -> Iterator[tuple[str, Any, Any]]:
    """The transformers by encoding; one for each text, since vectorizers take one column."""
    from sklearn.base import clone

    encoders = strings if isinstance(strings, Mapping) else {"category": strings}
    for encoding in dict.fromkeys(encode.get(feature, "category") for feature in features):
        columns = [name for name in features if encode.get(name, "category") == encoding]
        if encoding not in encoders:
            raise UserError(
                f"candidates.py: {candidate} has no encoder for {columns[0]}, whose encoding is "
                f"'{encoding}'; return one as {{'{encoding}': ...}}, or drop the feature"
            )
        if encoding != "text":
            yield encoding, encoders[encoding], columns
            continue
        for number, column in enumerate(columns):
            yield f"text {number}", clone(encoders["text"]), column


def _set(estimator: Any, hyperparameters: Mapping[str, Any], seed: int, key: str) -> None:
    """Set the hyperparameters and the seed of the estimator, and try them."""
    from sklearn.base import clone

    estimator.set_params(**DETERMINISTIC.get(_library(estimator), {}))
    names = estimator.get_params()
    allowed = sorted(names.keys() - RESERVED)
    if unknown := [name for name in hyperparameters if name not in allowed]:
        fault = f"{key} has '{unknown[0]}', not a hyperparameter"
        raise UserError(f"{fault}; known are {', '.join(allowed)}")
    estimator.set_params(**hyperparameters)
    if "random_state" in names:
        estimator.set_params(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:  # on four rows, so that invalid values are rejected before hours of fitting
            clone(estimator).fit([[0.0], [1.0], [0.0], [1.0]], [0, 1, 0, 1])
        except Exception as error:  # others may come from the few rows; the real fit shows them
            if type(error).__name__ == "InvalidParameterError":
                raise UserError(f"{key}: {error}") from None


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]
