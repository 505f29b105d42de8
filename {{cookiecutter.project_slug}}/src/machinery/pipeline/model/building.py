"""building: a candidate of the project in; an unfitted scikit-learn pipeline out."""

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
# Transformer of numbers; that of categories, or one for each encoding; estimator.
Parts = tuple[Any, Any, Any]
Candidates = Mapping[str, Callable[[Task], Parts]]

ALONE: dict[str, dict[str, Any]] = {  # on one thread, with the same result each time and no log
    "lightgbm": {"n_jobs": 1, "deterministic": True, "force_col_wise": True, "verbose": -1},
    "xgboost": {"n_jobs": 1},
}
RESERVED = {"random_state", "n_jobs"}  # train.seed and the caller decide on these


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

    `encode` says of categorical features which are encoded otherwise: as "text" or by "target".

    Raises UserError for a name, a hyperparameter or a value that does not exist, and for a feature
    that the candidate has no encoder for.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.utils import get_tags

    if name not in candidates:
        known = ", ".join(candidates)
        raise UserError(f"{PARAMS}: train.models has '{name}', not a candidate; known are {known}")
    numbers, strings, estimator = candidates[name](task)
    columns = [("numeric", numbers, [*numeric])] if numeric else []
    columns += _encoded(name, strings, categorical, encode)
    # To some estimators that take missing values, what a sparse table leaves out is missing.
    sparse = 0 if get_tags(estimator).input_tags.allow_nan else 0.3
    steps = [("encode", ColumnTransformer(columns, sparse_threshold=sparse))]
    _set(estimator, hyperparameters, seed, f"{PARAMS}: train.hyperparameters.{name}")
    return Pipeline([*steps, ("estimator", estimator)])


def constrain(
    pipeline: "Pipeline", signs: Mapping[str, int], rows: "pd.DataFrame", target: Any
) -> None:
    """Let predictions rise (1) or fall (-1) with the features named, as they do in the rows.

    A feature that the rows lack is one of another feature set. Raises ValueError for a string, and
    for an estimator that takes no such constraints.
    """
    from sklearn.base import clone

    estimator, numbers = pipeline[-1], [*rows.select_dtypes("number")]
    key = "monotone_constraints" if _library(estimator) in ALONE else "monotonic_cst"
    if key == "monotonic_cst" and key not in estimator.get_params():
        raise ValueError(f"{type(estimator).__name__} takes no monotonic_cst")
    if strings := [name for name in signs if name in rows and name not in numbers]:
        raise ValueError(f"monotonic_cst names {strings[0]}, which is no number")
    places = clone(pipeline[0]).fit(rows, target).output_indices_
    if places.get("numeric", slice(0)).stop != len(numbers):
        raise ValueError("monotonic_cst needs a column for each number")
    others = max(place.stop for place in places.values()) - len(numbers)
    estimator.set_params(**{key: (*(signs.get(name, 0) for name in numbers), *[0] * others)})


def _encoded(
    name: str, strings: Any, features: Sequence[str], encode: Mapping[str, str]
) -> Iterator[tuple[str, Any, Any]]:
    """The features by their encoding; a text alone, since its transformer takes one column."""
    from sklearn.base import clone

    encoders = strings if isinstance(strings, Mapping) else {"category": strings}
    for encoding in dict.fromkeys(encode.get(feature, "category") for feature in features):
        alike = [each for each in features if encode.get(each, "category") == encoding]
        if encoding not in encoders:
            raise UserError(
                f"candidates.py: {name} has no encoder for {alike[0]}, whose encoding is "
                f"'{encoding}'; return one as {{'{encoding}': ...}}, or take the feature out"
            )
        if encoding != "text":
            yield encoding, encoders[encoding], alike
            continue
        for number, feature in enumerate(alike):
            yield f"text {number}", clone(encoders["text"]), feature


def _set(estimator: Any, hyperparameters: Mapping[str, Any], seed: int, key: str) -> None:
    """Give the estimator its hyperparameters and, where it draws at random, the seed."""
    estimator.set_params(**ALONE.get(_library(estimator), {}))
    names = estimator.get_params()
    allowed = sorted(names.keys() - RESERVED)
    if unknown := [each for each in hyperparameters if each not in allowed]:
        known = ", ".join(allowed)
        raise UserError(f"{key} has '{unknown[0]}', not a hyperparameter; known are {known}")
    estimator.set_params(**hyperparameters)
    if "random_state" in names:
        estimator.set_params(random_state=seed)
    _try(estimator, key)


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]


def _try(estimator: Any, key: str) -> None:
    """Fit a copy on four rows, which shows an impossible hyperparameter before hours of fitting.

    What else goes wrong may be for want of rows, and shows in the real fit.
    """
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            clone(estimator).fit([[0.0], [1.0], [0.0], [1.0]], [0, 1, 0, 1])
        except Exception as error:
            if type(error).__name__ == "InvalidParameterError":
                raise UserError(f"{key}: {error}") from None
