"""Drift: which raw columns of a window differ from a reference, and by how much.

This is a diagnosis and raises no alarm: inputs move with the seasons, and a model may be as good as
before. A column has drifted if its population stability index is at least moderate and it is not a
false discovery (Benjamini & Hochberg 1995) over all columns. One number for all columns together is
the ROC AUC of a classifier that tells the window from the reference, cross-validated over whole
days: 0.5 if it cannot.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Monitor
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.shift import MODERATE, shift

MAX_ROWS = 3000  # of each table, for the classifier
TREES, FOLDS = 40, 4
TOP_COLUMNS = 5
MAX_LEVELS = 50  # of a string column; rarer values are pooled


def compared(contract: Contract) -> list[str]:
    """The columns to compare: no identifier, time or group, and no other datetime.

    Nor a personal column, which the log has hashed or not at all.
    """
    return [
        name
        for name in contract.known_before()
        if name not in contract.row_columns
        and not contract.columns[name].identifier
        and not contract.columns[name].personal
        and contract.columns[name].type != "datetime"
    ]


def encoded(tables: Sequence[pd.DataFrame]) -> list[np.ndarray]:
    """Each table as float64 (rows, columns): strings as codes, missing numbers as NaN."""
    table = pd.concat(tables, ignore_index=True)
    for name, values in table.items():
        if not pd.api.types.is_numeric_dtype(values):
            levels = values.value_counts().index[:MAX_LEVELS]
            table[name] = pd.Categorical(values, categories=levels).codes
    matrix = table.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.split(matrix, np.cumsum([len(part) for part in tables])[:-1])


def drift(
    reference: pd.DataFrame | None, window: pd.DataFrame, contract: Contract, settings: Monitor
) -> dict[str, Any] | None:
    """Columns, the farthest first, and how well a classifier tells the two tables apart.

    `apart` is without the columns that the contract marks as seasonal, `apart_with_seasonal` with
    them; null where a table has too few days. None without a reference.
    """
    from scipy.stats import false_discovery_control

    if reference is None:
        return None
    names = compared(contract)
    shifts = {n: moved for n in names if (moved := shift(reference[n], window[n], settings.level))}
    p_values = np.array([moved.p_value for moved in shifts.values()])
    adjusted = false_discovery_control(p_values) if shifts else p_values
    columns = [
        {
            "column": name,
            "index": moved.index,
            "size": moved.size,
            "drifted": bool(p <= 1 - settings.level and moved.index >= MODERATE),
            "seasonal": contract.columns[name].seasonal,
            "statistic": moved.statistic,
            "before": moved.before,
            "after": moved.after,
        }
        for (name, moved), p in zip(shifts.items(), adjusted, strict=True)
    ]
    steady, seed = [n for n in names if not contract.columns[n].seasonal], settings.seed
    tables = [t.sample(min(MAX_ROWS, len(t)), random_state=seed) for t in (reference, window)]
    alone, seasonal = apart(tables, steady, contract, seed), steady != names
    return {
        "rows": [len(reference), len(window)],
        "columns": sorted(columns, key=lambda column: -float(column["index"])),
        "apart": alone,
        "apart_with_seasonal": apart(tables, names, contract, seed) if seasonal else alone,
    }


def apart(
    tables: Sequence[pd.DataFrame], names: list[str], contract: Contract, seed: int
) -> dict[str, Any] | None:
    """ROC AUC of a classifier between two tables, and the columns that it uses most."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    days = [_days(table, contract) for table in tables]
    if not names or min(len(np.unique(codes)) for codes in days) < FOLDS:
        return None
    x = np.nan_to_num(np.concatenate(encoded([table[names] for table in tables])), nan=-1e9)
    y = np.repeat([0, 1], [len(table) for table in tables])
    score, importance = np.full(len(y), np.nan), np.zeros(len(names))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(x, y, np.concatenate(days)):
        forest = RandomForestClassifier(TREES, min_samples_leaf=20, random_state=seed)
        forest.fit(x[train], y[train])
        score[test] = forest.predict_proba(x[test])[:, 1]
        importance += forest.feature_importances_ / FOLDS
    top = np.argsort(-importance)[:TOP_COLUMNS]
    return {
        "roc_auc": float(metrics.roc_auc(y == 1, score)(np.ones((1, len(y))))[0]),
        "columns": {names[column]: float(importance[column]) for column in top},
    }


def _days(table: pd.DataFrame, contract: Contract) -> np.ndarray:
    """A code of each row's day, or of the row where there is no time."""
    if contract.time is None or contract.time not in table:
        return np.arange(len(table))
    return table[contract.time].to_numpy().astype("datetime64[D]").astype(np.int64)
