"""choices: valid rows and the contract in; what params.yaml says beside the features out.

Whatever can be tried is tried: parts and folds are those that the stages will make.
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
SMALL = 200  # rows, of fewer of which a larger share is tested on
GROUPS = 10  # with fewer in the test table there is no interval
SLICED, VALUES = 2, 12  # columns, and values of each


def choose(table: "pd.DataFrame", contract: Contract) -> dict[str, Any]:
    """Window, parts, folds, headline, what `prior` reaches, and slices, of rows in their order.

    Raises:
        UserError: when there are too few rows, or too few of a class, to learn from and to test on.
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
        learned, tested = split(table, until, contract, params)
    except UserError as error:
        random = "--time none or --group none draws the test rows at random"
        raise UserError(f"a split by {by} fails: {error}; {random}") from None
    headline, parts = _headline(learned, tested, contract, by)
    target, prior = contract.encode(tested[contract.target]), _prior(learned, tested, contract)

    def reached(rows: Any) -> float:
        figures = metrics.score(contract.task, target[rows], prior[rows], only=[headline])
        return figures[headline]

    trivial, least = reached(slice(None)), max(20, min(100, len(tested) // 10))
    sliced = _slices(tested, contract, least, reached)
    units = tested[contract.group].nunique() if contract.group else len(tested)
    filled = [set(learned.columns[learned.iloc[part].notna().any()]) for part, _ in parts]
    return {
        "until": until,
        "by": by,
        "test_days": days,
        "test_share": share,
        "gap": gap,
        "rows": len(learned),
        "folds": len(parts),
        "filled": set.intersection(*filled),
        "headline": headline,
        "trivial": trivial,
        "slices": list(sliced),
        "worst_slice": max(sliced.values(), default=trivial),
        "slice_min_rows": least,
        "noise": 1 / sqrt(units),
    }


def _headline(
    learned: "pd.DataFrame", tested: "pd.DataFrame", contract: Contract, by: By
) -> tuple[str, list[Fold]]:
    """The metric that decides, and as many folds, up to four, as it can be measured in.

    The area under the ROC curve needs every class everywhere; cross-entropy does not.
    """
    target, classes = contract.encode(learned[contract.target]), len(contract.classes)
    ways = [("root_mean_squared_error", 1, 1)]  # of means, which all candidates estimate
    if classes:
        ways = [("roc_auc", classes, classes), ("log_loss", 2, 1)]
    if classes and tested[contract.target].nunique() < classes:
        ways = ways[1:]
    for metric, *least in ways:
        for count in (4, 3, 2):
            parts = _folds(learned, contract, by, count)
            seen = [[len(np.unique(target[part])) for part in pair] for pair in parts]
            if seen and (np.array(seen) >= least).all():
                return metric, parts
    fault = f"{contract.target} has too few rows, or too few of some class or group, for two folds"
    raise UserError(f"{fault} and a test; bring more rows, or put rare classes together")


def _folds(table: "pd.DataFrame", contract: Contract, by: By, count: int) -> list[Fold]:
    """The folds of the stage `train`; none where there are too few rows or groups for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class with fewer rows than folds
        try:
            return list(folds(table, contract, by, Train.model_construct(seed=1, folds=count)))
        except ValueError:
            return []


def _prior(learned: "pd.DataFrame", tested: "pd.DataFrame", contract: Contract) -> np.ndarray:
    """What the candidate `prior` predicts: the shares of the classes, or the mean."""
    target = contract.encode(learned[contract.target])
    if contract.task == "regression":
        return np.full(len(tested), target.mean())
    return np.tile(np.bincount(target) / len(target), (len(tested), 1))


def _slices(
    tested: "pd.DataFrame", contract: Contract, least: int, reached: Callable[[Any], float]
) -> dict[str, float]:
    """Columns of few values in each of which the headline can be measured; `prior` at its worst."""
    found: dict[str, float] = {}
    for name, column in contract.columns.items():
        few = isinstance(column.allowed, list) and len(column.allowed) <= VALUES
        if few and column.known == "before" and not column.personal and len(found) < SLICED:
            figures = [reached(rows) for _, _, rows in slices(tested, [name], least)]
            if len(figures) > 1 and not any(map(isnan, figures)):
                found[name] = max(figures)
    return found
