"""Choose the values of params.yaml that depend on the data.

Split and folds are not estimated but made, with the code of the stages.
"""

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil, isnan, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.params import Leakage, Split, Train
from machinery.pipeline.stages.split import split
from machinery.pipeline.stages.train import Fold, folds
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.slices import slices

if TYPE_CHECKING:
    import pandas as pd

By = Literal["time", "group", "stratified"]
DAY = timedelta(days=1)
SMALL = 200  # rows; with fewer, the test table gets a larger share
GROUPS = 10  # in the test table, needed for an interval
MAX_SLICED, MAX_VALUES = 2, 12  # columns, and values of each


def choose(table: "pd.DataFrame", contract: Contract) -> dict[str, Any]:
    """Window, split, folds, headline metric, the score of `prior`, and slices.

    `table` has the valid rows, in their order.

    Raises:
        UserError: if there are too few rows, or too few of a class, for training and test.
    """
    by: By = "time" if contract.time else "group" if contract.group else "stratified"
    share, until, days, gap = 0.3 if len(table) < SMALL else 0.2, None, 30, 1
    if contract.group:
        share = max(share, min(0.5, round(GROUPS / table[contract.group].nunique(), 2)))
    if contract.time:
        times = table[contract.time]
        until = datetime.combine(times.max(), datetime.min.time()) + DAY
        oldest = times.iloc[int((1 - share) * len(times))]  # of the test table
        days, gap = ceil((until - oldest) / DAY), ceil(times.diff().max() / DAY)
    leakage = Leakage(limit=0.95, rows=20_000, allow={})
    params = Split(by=by, test_days=days, test_share=share, seed=1, leakage=leakage)
    try:
        train, test = split(table, until, contract, params)
    except UserError as error:
        remedy = "--time none or --group none draws the test rows at random"
        raise UserError(f"a split by {by} fails: {error}; {remedy}") from None
    headline, parts = _headline(train, test, contract, by)
    target, prior = contract.encode(test[contract.target]), _prior(train, test, contract)

    def score(rows: Any) -> float:
        return metrics.score(contract.task, target[rows], prior[rows], only=[headline])[headline]

    trivial, min_rows = score(slice(None)), max(20, min(100, len(test) // 10))
    sliced = _slices(test, contract, min_rows, score)
    units = test[contract.group].nunique() if contract.group else len(test)
    filled = [set(train.columns[train.iloc[part].notna().any()]) for part, _ in parts]
    return {
        "until": until,
        "by": by,
        "test_days": days,
        "test_share": share,
        "gap": gap,
        "rows": len(train),
        "folds": len(parts),
        "filled": set.intersection(*filled),
        "headline": headline,
        "trivial": trivial,
        "slices": list(sliced),
        "worst_slice": max(sliced.values(), default=trivial),
        "slice_min_rows": min_rows,
        "noise": 1 / sqrt(units),
    }


def _headline(
    train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract, by: By
) -> tuple[str, list[Fold]]:
    """The headline metric, and the folds, up to four, in each of which it is defined.

    The area under the ROC curve needs every class in both parts of each fold; cross-entropy needs
    two classes to learn from.
    """
    target, classes = contract.encode(train[contract.target]), len(contract.classes)
    options = [("root_mean_squared_error", 1, 1)]  # estimates means, as all candidates do
    if classes:
        options = [("roc_auc", classes, classes), ("log_loss", 2, 1)]
    if classes and test[contract.target].nunique() < classes:
        options = options[1:]
    for metric, *needed in options:
        for count in (4, 3, 2):
            parts = _folds(train, contract, by, count)
            distinct = [[len(np.unique(target[part])) for part in pair] for pair in parts]
            if distinct and (np.array(distinct) >= needed).all():
                return metric, parts
    fault = f"{contract.target} has too few rows, or too few of some class or group, for two folds"
    raise UserError(f"{fault} and a test; bring more rows, or merge rare classes")


def _folds(table: "pd.DataFrame", contract: Contract, by: By, count: int) -> list[Fold]:
    """The folds of the stage `train`; none if there are too few rows or groups for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a class with fewer rows than folds
        try:
            return list(folds(table, contract, by, Train.model_construct(seed=1, folds=count)))
        except ValueError:
            return []


def _prior(train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract) -> np.ndarray:
    """What the candidate `prior` predicts: the shares of the classes, or the mean."""
    target = contract.encode(train[contract.target])
    if contract.task == "regression":
        return np.full(len(test), target.mean())
    return np.tile(np.bincount(target) / len(target), (len(test), 1))


def _slices(
    test: "pd.DataFrame", contract: Contract, min_rows: int, score: Callable[[Any], float]
) -> dict[str, float]:
    """Columns with few values, in each of which the headline is defined; `prior` at its worst."""
    worst: dict[str, float] = {}
    for name, column in contract.columns.items():
        few = isinstance(column.allowed, list) and len(column.allowed) <= MAX_VALUES
        if few and column.known == "before" and not column.personal and len(worst) < MAX_SLICED:
            scores = [score(rows) for _, _, rows in slices(test, [name], min_rows)]
            if len(scores) > 1 and not any(map(isnan, scores)):
                worst[name] = max(scores)
    return worst
