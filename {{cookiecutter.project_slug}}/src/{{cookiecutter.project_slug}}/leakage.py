"""leakage: the parts of the data in; what the training rows know that they should not, out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .catalogue import Arrays, Catalogue
from .contract import Contract

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Probe:
    """One look for a leak: where, what was found (a figure and its limit), and what it means.

    A probe passes while its value is within its limit; `allowed` is the reason stated in params
    for letting the column pass all the same.
    """

    name: str
    column: str
    value: float
    limit: float
    meaning: str
    allowed: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the run may go on."""
        return self.value <= self.limit or self.allowed is not None

    def __str__(self) -> str:
        """The probe as one clause, for the sentence that stops the run."""
        return f"{self.column}: {self.meaning} ({self.value:.6g}, limit {self.limit:.6g})"


def between_parts(train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract) -> list[Probe]:
    """Rows, groups and time that the two parts share."""
    probes = [
        _shared("rows in both parts", contract.key, train[contract.key], test[contract.key]),
        _shared("same content in both parts", contract.key, *_contents(train, test, contract)),
    ]
    if contract.group is not None:
        groups = train[contract.group], test[contract.group]
        probes.append(_shared("groups in both parts", contract.group, *groups))
    if contract.time is not None:
        older = int((test[contract.time] < train[contract.time].max()).sum())
        meaning = "test rows are older than training rows"
        probes.append(Probe("time order", contract.time, older, 0, meaning))
    return probes


def in_features(
    values: Arrays, target: np.ndarray, catalogue: Catalogue, limit: float, seed: int
) -> list[Probe]:
    """Features that are the target, nearly determine it, or tell one row from all others."""
    probes = []
    for name, column in values.items():
        score = score_alone(column, target, catalogue.contract.task, seed)
        copies = int(is_copy(column, target))
        probes += [
            Probe("copy of the target", name, copies, 0, "is a copy of the target"),
            Probe("determines the target", name, score, limit, "alone nearly gives the target"),
            _identifier(name, column, catalogue),
        ]
    return probes


def allow(probes: Iterable[Probe], reasons: dict[str, str]) -> list[Probe]:
    """The probes, with the exceptions stated in params marked on those that need one."""
    return [
        probe if probe.passed else replace(probe, allowed=reasons.get(probe.column))
        for probe in probes
    ]


def score_alone(values: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    """How well a small tree foresees the target from this column alone, on rows it has not seen.

    Returns:
        Five-fold cross-validated balanced accuracy for classes, R² for numbers.
    """
    from sklearn.model_selection import cross_val_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kinds = {
        "classification": (DecisionTreeClassifier, "balanced_accuracy"),
        "regression": (DecisionTreeRegressor, "r2"),
    }
    tree, scoring = kinds[task]
    folds = _folds(target, task, seed)
    model = tree(max_leaf_nodes=32, random_state=seed)
    return float(cross_val_score(model, _codes(values), target, scoring=scoring, cv=folds).mean())


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


def _folds(target: np.ndarray, task: str, seed: int) -> Any:
    from sklearn.model_selection import KFold, StratifiedKFold

    if task == "regression":
        return KFold(5, shuffle=True, random_state=seed)
    rarest = int(np.bincount(target).min())
    return StratifiedKFold(max(2, min(5, rarest)), shuffle=True, random_state=seed)


def _identifier(name: str, values: np.ndarray, catalogue: Catalogue) -> Probe:
    """Text that differs in (nearly) every row, or that is made from a column named identifier."""
    columns = catalogue.contract.columns
    inputs = catalogue.features[name].inputs
    named = [each for each in inputs if columns[each].identifier or each == catalogue.contract.key]
    text = catalogue.features[name].kind == "string" and len(values) > 0
    distinct = len(set(values)) / len(values) if text else 0.0
    meaning = f"is made from the identifier {named[0]}" if named else "differs in nearly every row"
    return Probe("identifier", name, 1.0 if named else distinct, 0.9, meaning)


def _shared(name: str, column: str, train: "pd.Series[Any]", test: "pd.Series[Any]") -> Probe:
    import pyarrow as pa
    from pyarrow.compute import is_in  # pandas' isin takes a Python string for every row

    what = name.removesuffix(" in both parts")
    values, known = (pa.array(part, from_pandas=True) for part in (test, train))
    shared = is_in(values, value_set=known, skip_nulls=True).sum().as_py() or 0
    return Probe(name, column, shared, 0, f"{what} stand in training and test")


def _contents(
    train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract
) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """A hash of each row without its key."""
    from pandas.util import hash_pandas_object

    columns = [name for name in contract.columns if name != contract.key]
    return (
        hash_pandas_object(train[columns], index=False),
        hash_pandas_object(test[columns], index=False),
    )


def _codes(values: np.ndarray) -> np.ndarray:
    """A column as one column of numbers for a tree: text becomes the number of its value."""
    if values.dtype.kind == "f":
        return values.reshape(-1, 1)
    return np.unique(values.astype(str), return_inverse=True)[1].reshape(-1, 1)
