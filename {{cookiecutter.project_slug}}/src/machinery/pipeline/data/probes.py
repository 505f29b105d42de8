"""Measure how much features reveal of the target that they should not."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .columns import Arrays

FOLDS = 5
LEAVES = 32  # of the tree on one column: enough for a curve, too few to memorise rows
MIN_PRESENT = 100  # rows with a value that are scored by themselves as well
MIN_GROUPS = 20  # groups of rows of equal value whose means are informative


def score_alone(values: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    """Score a small tree on this column alone, on all rows and on those that have a value.

    Returns:
        The higher score: balanced accuracy of classes, or R² of numbers, cross-validated.
    """
    column, tree = _codes(values), _tree(task, seed, LEAVES)
    score = _score(tree, column, target, task, seed)
    present = ~np.isnan(column[:, 0])
    if MIN_PRESENT <= present.sum() < len(present) and len(np.unique(target[present])) > 1:
        score = max(score, _score(tree, column[present], target[present], task, seed))
    return score


def score_together(columns: Arrays, target: np.ndarray, task: str, seed: int) -> float:
    """Score a linear model and an unlimited tree on all columns; return the higher score."""
    models = _linear(task), _tree(task, seed, None)
    return max(_score(model, _table(columns), target, task, seed) for model in models)


def score_without(name: str, columns: Arrays, target: np.ndarray, task: str, seed: int) -> float:
    """Score gradient boosting on all columns but one."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    regression = task == "regression"
    boosting = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    table = _table(_without(name, columns))
    return _score(boosting(random_state=seed), table, target, task, seed)


def skill(score: float, target: np.ndarray, task: str) -> float:
    """Rescale a score to run from 0, which needs no feature, to 1."""
    chance = 1 / len(np.unique(target)) if task == "classification" else 0.0
    return max(0.0, (score - chance) / (1 - chance))


def fewest(columns: Arrays, suffice: Callable[[Arrays], bool]) -> list[str]:
    """A minimal set of columns that suffice, by backward elimination."""
    subset = columns
    for name in columns:
        smaller = _without(name, subset)
        if smaller and suffice(smaller):
            subset = smaller
    return list(subset)


def is_copy(values: np.ndarray, target: np.ndarray) -> bool:
    """Whether a column is the target in other words.

    Numbers are if they are perfectly correlated, up to float32; classes if their values map one to
    one.
    """
    if target.dtype.kind == "f":
        varies = values.dtype.kind == "f" and np.std(values) > 0
        return bool(varies and abs(np.corrcoef(values, target)[0, 1]) > 1 - 1e-9)
    column = _codes(values)[:, 0]
    pairs = np.unique(np.column_stack([column, target]), axis=0)
    distinct = len(np.unique(target))
    return distinct > 1 and len(pairs) == distinct == len(np.unique(column))


def scatter(values: np.ndarray, target: np.ndarray) -> float:
    """The scatter of target means, over rows of equal value, around a line in the value.

    Returns:
        The reduced chi-squared: 1 or more for an honest column, about 0 for a mean of the target
        over these very rows. 1 if the line explains nothing, or if there are too few groups.
    """
    present = ~np.isnan(values)
    target = target[present].astype(np.float64)
    distinct, group, rows = np.unique(values[present], return_inverse=True, return_counts=True)
    several = rows > 1
    if np.count_nonzero(several) < MIN_GROUPS:
        return 1.0
    means = np.bincount(group, target) / rows
    variance = float(((target - means[group]) ** 2).sum()) / (len(target) - len(rows))
    if not variance:
        return 1.0
    x, y, weight = distinct[several], means[several], rows[several]
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    slope = np.average(x * y, weights=weight) / np.average(x * x, weights=weight)
    explained = (weight * (slope * x) ** 2).sum() / variance
    residual = (weight * (y - slope * x) ** 2).sum() / variance
    return float(residual / (len(x) - 2)) if explained > len(x) / 2 else 1.0


def _score(model: Any, table: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.model_selection import KFold, cross_val_predict

    score = r2_score if task == "regression" else balanced_accuracy_score
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class missing from a fold, no convergence
        return float(score(target, cross_val_predict(model, table, target, cv=folds)))


def _tree(task: str, seed: int, leaves: int | None) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    return tree(max_leaf_nodes=leaves, random_state=seed)


def _linear(task: str) -> Any:
    """A linear model with hardly any regularisation, which finds sums of columns exactly."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = LinearRegression()
    if task == "classification":
        model = LogisticRegression(C=1e4, solver="newton-cholesky", max_iter=50)
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def _without(name: str, columns: Arrays) -> Arrays:
    return {column: values for column, values in columns.items() if column != name}


def _table(columns: Arrays) -> np.ndarray:
    return np.hstack([_codes(values) for values in columns.values()])


def _codes(values: np.ndarray) -> np.ndarray:
    """A column as an (n, 1) matrix of numbers, with strings as ordinal codes."""
    if values.dtype.kind == "f":
        return values.reshape(-1, 1).astype(np.float64)
    return np.unique(values.astype(str), return_inverse=True)[1].reshape(-1, 1).astype(np.float64)
