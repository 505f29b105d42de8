"""probes: features and target in; how much they tell that they should not, as figures, out."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .columns import Arrays

FOLDS = 5
LEAVES = 32  # of the tree that sees one column: enough for a curve, too few to learn rows by heart
PART = 100  # rows, from which those with a value are looked at by themselves
GROUPS = 20  # rows of equal value, from which their means tell anything


def score_alone(values: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    """How well a small tree foresees the target from this column alone, on rows it has not seen.

    Where values are missing, the rows that have one are looked at by themselves, too.

    Returns:
        Balanced accuracy for classes, R² for numbers, of the cross-validated predictions.
    """
    column, tree = _codes(values), _tree(task, seed, LEAVES)
    known = ~np.isnan(column[:, 0])
    parts = [np.ones(len(known), dtype=bool)]
    if PART <= known.sum() < len(known) and len(np.unique(target[known])) > 1:
        parts.append(known)
    return max(_score(tree, column[part], target[part], task, seed) for part in parts)


def score_together(columns: Arrays, target: np.ndarray, task: str, seed: int) -> float:
    """The same from all columns: by a linear model, or by a tree as deep as it needs."""
    models = _linear(task), _tree(task, seed, None)
    return max(_score(model, _table(columns), target, task, seed) for model in models)


def score_without(name: str, columns: Arrays, target: np.ndarray, task: str, seed: int) -> float:
    """The same by gradient boosting, from all columns but one."""
    from sklearn import ensemble

    kinds = {
        "classification": ensemble.HistGradientBoostingClassifier,
        "regression": ensemble.HistGradientBoostingRegressor,
    }
    rest = _table({each: values for each, values in columns.items() if each != name})
    return _score(kinds[task](random_state=seed), rest, target, task, seed)


def skill(score: float, target: np.ndarray, task: str) -> float:
    """A score on the scale from 0, what needs no feature, to 1."""
    chance = 1 / len(np.unique(target)) if task == "classification" else 0.0
    return max(0.0, (score - chance) / (1 - chance))


def fewest(columns: Arrays, suffice: Callable[[Arrays], bool]) -> list[str]:
    """Columns that suffice as all do, and of which none can be left out."""
    kept = dict(columns)
    for name in columns:
        rest = {each: values for each, values in kept.items() if each != name}
        if rest and suffice(rest):
            kept = rest
    return list(kept)


def is_copy(values: np.ndarray, target: np.ndarray) -> bool:
    """Whether column and target tell the same.

    A number does when it is a multiple of the other, up to float32; classes do when each value of
    one goes with one of the other.
    """
    if target.dtype.kind == "f":
        varies = values.dtype.kind == "f" and np.std(values) > 0
        return bool(varies and abs(np.corrcoef(values, target)[0, 1]) > 1 - 1e-9)
    column = _codes(values)[:, 0]
    pairs = np.unique(np.column_stack([column, target]), axis=0)
    distinct = len(np.unique(target))
    return distinct > 1 and len(pairs) == distinct == len(np.unique(column))


def scatter(values: np.ndarray, target: np.ndarray) -> float:
    """How far means of the target over rows of equal value scatter around a line in the value.

    In units of what chance alone makes of them (a reduced chi-squared): 1 or more for what was
    known before, about 0 for a mean of the target that was taken over these very rows. 1 where the
    line tells nothing of the target, or where there are too few such rows.
    """
    known = ~np.isnan(values)
    target = target[known].astype(np.float64)
    distinct, at, rows = np.unique(values[known], return_inverse=True, return_counts=True)
    many = rows > 1
    if np.count_nonzero(many) < GROUPS:
        return 1.0
    means = np.bincount(at, target) / rows
    chance = float(((target - means[at]) ** 2).sum()) / (len(target) - len(rows))
    if not chance:
        return 1.0
    x, y, weight = distinct[many], means[many], rows[many]
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    slope = np.average(x * y, weights=weight) / np.average(x * x, weights=weight)
    explained = (weight * (slope * x) ** 2).sum() / chance
    rest = (weight * (y - slope * x) ** 2).sum() / chance
    return float(rest / (len(x) - 2)) if explained > len(x) / 2 else 1.0


def _score(model: Any, table: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.model_selection import KFold, cross_val_predict

    score = r2_score if task == "regression" else balanced_accuracy_score
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class in no fold, a fit that takes longer
        return float(score(target, cross_val_predict(model, table, target, cv=folds)))


def _tree(task: str, seed: int, leaves: int | None) -> Any:
    from sklearn import tree

    kinds = {
        "classification": tree.DecisionTreeClassifier,
        "regression": tree.DecisionTreeRegressor,
    }
    return kinds[task](max_leaf_nodes=leaves, random_state=seed)


def _linear(task: str) -> Any:
    """Nearly without regularisation, so that a sum of columns is found exactly."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kinds = {
        "classification": LogisticRegression(C=1e4, solver="newton-cholesky", max_iter=50),
        "regression": LinearRegression(),
    }
    fill = SimpleImputer(keep_empty_features=True)
    return make_pipeline(fill, StandardScaler(), kinds[task])


def _table(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.hstack([_codes(values) for values in columns.values()])


def _codes(values: np.ndarray) -> np.ndarray:
    """A column as one column of numbers: text becomes the number of its value."""
    if values.dtype.kind == "f":
        return values.reshape(-1, 1).astype(np.float64)
    return np.unique(values.astype(str), return_inverse=True)[1].reshape(-1, 1).astype(np.float64)
