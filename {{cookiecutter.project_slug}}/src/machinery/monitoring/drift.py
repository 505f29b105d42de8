"""drift: raw columns of a window and of a reference in; which columns moved, and how far, out.

A diagnosis and no alarm: inputs move with the seasons, and a model may be as good as before. A
column has drifted where its population stability index is at least moderate and no false discovery
(Benjamini & Hochberg 1995) over all columns. One number for all columns together is the ROC AUC of
a classifier that tells the window from the reference, cross-validated over whole days: 0.5 if it
cannot.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.shift import MODERATE, shift

from .encoding import compared, encoded

if TYPE_CHECKING:
    import pandas as pd

ROWS = 3000  # of each table, for the classifier
TREES, FOLDS = 40, 4
TOLD = 5  # columns that tell the tables apart


def drift(
    reference: "pd.DataFrame", now: "pd.DataFrame", contract: Contract, level: float, seed: int
) -> dict[str, Any]:
    """Columns, the farthest first, and how well a classifier tells the two tables apart.

    `apart` is without the columns that the contract marks as seasonal, `apart_with_seasonal` with
    them; null where a table has too few days.
    """
    from scipy.stats import false_discovery_control

    names = compared(contract)
    shifts = {name: shift(reference[name], now[name], level) for name in names}
    known = {name: each for name, each in shifts.items() if each is not None}
    p_values = np.array([each.p_value for each in known.values()])
    adjusted = false_discovery_control(p_values) if known else p_values
    columns = [
        {
            "column": name,
            "index": each.index,
            "size": each.size,
            "drifted": bool(p <= 1 - level and each.index >= MODERATE),
            "seasonal": contract.columns[name].seasonal,
            "statistic": each.statistic,
            "before": each.before,
            "after": each.after,
        }
        for (name, each), p in zip(known.items(), adjusted, strict=True)
    ]
    steady = [name for name in names if not contract.columns[name].seasonal]
    alone = apart(reference, now, steady, contract, seed)
    return {
        "rows": [len(reference), len(now)],
        "columns": sorted(columns, key=lambda each: -float(each["index"])),
        "apart": alone,
        "apart_with_seasonal": alone
        if steady == names
        else apart(reference, now, names, contract, seed),
    }


def apart(
    reference: "pd.DataFrame",
    now: "pd.DataFrame",
    names: list[str],
    contract: Contract,
    seed: int,
) -> dict[str, Any] | None:
    """ROC AUC of a classifier between the tables, and the columns that it goes by."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    tables = [t.sample(min(ROWS, len(t)), random_state=seed) for t in (reference, now)]
    if not names or min(map(len, tables)) < FOLDS:
        return None
    x = np.nan_to_num(np.concatenate(encoded([each[names] for each in tables])), nan=-1e9)
    y = np.repeat([0, 1], [len(each) for each in tables])
    days = np.concatenate([_days(each, contract) for each in tables])
    if min(len(np.unique(days[y == of])) for of in (0, 1)) < FOLDS:
        return None
    score, importance = np.full(len(y), np.nan), np.zeros(len(names))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(x, y, days):
        forest = RandomForestClassifier(TREES, min_samples_leaf=20, random_state=seed)
        forest.fit(x[train], y[train])
        score[test] = forest.predict_proba(x[test])[:, 1]
        importance += forest.feature_importances_ / FOLDS
    once = np.ones((1, len(y)))
    order = np.argsort(-importance)[:TOLD]
    return {
        "roc_auc": float(metrics.roc_auc(y == 1, score)(once)[0]),
        "columns": {names[at]: float(importance[at]) for at in order},
    }


def _days(table: "pd.DataFrame", contract: Contract) -> np.ndarray:
    """A code of each row's day, or of itself where there is no time."""
    if contract.time is None or contract.time not in table:
        return np.arange(len(table))
    return table[contract.time].to_numpy().astype("datetime64[D]").astype(np.int64)
