"""building: a candidate of the project in; an unfitted scikit-learn pipeline out."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Task = Literal["classification", "regression"]
Parts = tuple[Any, Any, Any]  # transformer of numbers, transformer of categories, estimator
Candidates = Mapping[str, Callable[[Task], Parts]]

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
) -> "Pipeline":
    """The unfitted pipeline of one candidate, from the named features to its predictions.

    Raises UserError for a name, a hyperparameter or a value that does not exist.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if name not in candidates:
        known = ", ".join(candidates)
        raise UserError(f"{PARAMS}: train.models has '{name}', not a candidate; known are {known}")
    numbers, categories, estimator = candidates[name](task)
    columns = [("numeric", numbers, [*numeric]), ("categorical", categories, [*categorical])]
    encode = ColumnTransformer([part for part in columns if part[2]])
    _set(estimator, hyperparameters, seed, f"{PARAMS}: train.hyperparameters.{name}")
    return Pipeline([("encode", encode), ("estimator", estimator)])


def _set(estimator: Any, hyperparameters: Mapping[str, Any], seed: int, key: str) -> None:
    """Give the estimator its hyperparameters and, where it draws at random, the seed."""
    names = estimator.get_params()
    allowed = sorted(names.keys() - RESERVED)
    if unknown := [each for each in hyperparameters if each not in allowed]:
        known = ", ".join(allowed)
        raise UserError(f"{key} has '{unknown[0]}', not a hyperparameter; known are {known}")
    estimator.set_params(**hyperparameters)
    if "random_state" in names:
        estimator.set_params(random_state=seed)
    _try(estimator, key)


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
