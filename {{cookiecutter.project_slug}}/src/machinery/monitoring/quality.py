"""Data quality: what is wrong with the data of a window, compared with the training table."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import from_pandas
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Limits
from machinery.pipeline.statistics.intervals import wilson

from .drift import compared
from .rows import Window

MAX_DISTINCT = 0.1  # of the rows: a string column with more distinct values is free text
DAY = timedelta(days=1)


def columns(
    table: pd.DataFrame,
    train: pd.DataFrame | None,
    learned: Mapping[str, Any],
    contract: Contract,
    level: float,
) -> tuple[dict[str, dict[str, Any]], float | None]:
    """For each column the shares of missing values and of values that are not in training.

    The window's `table` and the training table `train` (None where it is not here) have the raw
    columns; `learned` is `columns` of data_quality.json. Returned with the columns is the share of
    rows outside of the training region, with a value that is not in training.
    """
    entries, outside = {}, np.zeros(len(table), dtype=np.bool_)
    for name in compared(contract):
        values = table[name]
        missing = learned.get(name, {}).get("missing", {})
        new = None if train is None else unknown(values, train[name].dropna())
        if new is not None:
            outside |= new
        entries[name] = {
            "missing": wilson(int(values.isna().sum()), len(values), level).as_dict(),
            "learned": missing.get("newest", missing.get("reference")),
            "new": None if new is None else wilson(int(new.sum()), len(new), level).as_dict(),
            "seasonal": contract.columns[name].seasonal,
        }
    return entries, None if train is None else float(outside.mean())


def mismatched(train: pd.DataFrame, contract: Contract) -> int:
    """How many columns of the contract the training table lacks, or has as another type."""
    numbers = ("integer", "number", "boolean")
    return sum(
        name not in train
        or pd.api.types.is_numeric_dtype(train[name]) != (contract.columns[name].type in numbers)
        for name in compared(contract)
    )


def unknown(values: "pd.Series[Any]", train: "pd.Series[Any]") -> np.ndarray | None:
    """Which values are outside the range of the training numbers, or not among the strings.

    None for booleans, and for free text, which is always new.
    """
    if pd.api.types.is_bool_dtype(train):
        return None
    if pd.api.types.is_numeric_dtype(train):
        beyond = (values < train.min()) | (values > train.max())
        return np.asarray(beyond.fillna(False), dtype=np.bool_)
    distinct = train.unique()
    if len(distinct) > MAX_DISTINCT * len(train):
        return None
    return np.asarray(values.notna() & ~values.isin(distinct), dtype=np.bool_)


def skew(sample: pd.DataFrame, features: ModuleType, contract: Contract) -> dict[str, Any] | None:
    """How many rows have features other than those that features.py makes of their raw columns.

    Features of personal columns are not compared: the log does not have them as they were. None
    where the log and features.py have no feature in common.
    """
    logged = {str(name).removeprefix("feature_") for name in sample.filter(regex="^feature_")}
    catalogue = Catalogue(contract, features)
    names = sorted(logged & catalogue.features.keys() - catalogue.personal)
    if not names:
        return None
    catalogue = Catalogue(contract, features, names)
    expected = catalogue(from_pandas(raw(sample), catalogue.inputs, contract))
    differs = {name: _differ(sample[f"feature_{name}"], expected[name]) for name in names}
    return {
        "rows": len(sample),
        "differ": int(np.any([*differs.values()], axis=0).sum()),
        "features": {name: int(rows.sum()) for name, rows in differs.items() if rows.any()},
    }


def raw(sample: pd.DataFrame) -> pd.DataFrame:
    """The raw columns of a sample, by their names in the contract."""
    return sample.filter(regex="^raw_").rename(columns=lambda name: name.removeprefix("raw_"))


def violations(
    data: Mapping[str, Any], window: Window, previous: Window | None, limits: Limits
) -> dict[str, str]:
    """A sentence for each limit that the `data` of a window's entry violates, by name."""
    skew, (model_age, data_age) = data["skew"], data["freshness"].values()
    clauses = {"quality": [*_flaws(data["quality"], limits.quality)], "skew": [], "freshness": []}
    if previous is not None:
        rate, usual = (len(w.rows) / ((w.end - w.start) / DAY) for w in (window, previous))
        if rate < limits.volume * usual:
            clauses["quality"].append(f"{rate:.3g} rows a day, {usual:.3g} in the window before")
    if skew is not None and skew["differ"] > limits.skew * skew["rows"]:
        rows, names = f"{skew['differ']} of {skew['rows']} rows", ", ".join(skew["features"])
        fault = f"recomputed features differ from the logged ones in {rows}: {names}"
        clauses["skew"].append(fault)
    if model_age is not None and model_age > limits.model_age_days:
        clauses["freshness"].append(f"the newest training row is {model_age:.0f} days old")
    if data_age is None:
        clauses["freshness"].append("no row has an outcome")
    elif data_age > limits.data_age_days:
        clauses["freshness"].append(f"the newest row with an outcome is {data_age:.0f} days old")
    return {name: "; ".join(faults) for name, faults in clauses.items() if faults}


def _flaws(columns: Mapping[str, Mapping[str, Any]], limit: float) -> Iterator[str]:
    """A clause for each column beyond the limit; seasonal ones may leave the training range."""
    for name, column in columns.items():
        learned = (column["learned"] or {}).get("high") or 0.0
        if column["missing"]["low"] > learned + limit:
            share = f"{column['missing']['value']:.1%} of {name} is missing"
            yield f"{share}, at most {learned:.1%} in training"
        if column["new"] and column["new"]["low"] > limit and not column["seasonal"]:
            yield f"{column['new']['value']:.1%} of {name} is not in training"


def _differ(logged: "pd.Series[Any]", expected: np.ndarray) -> np.ndarray:
    if expected.dtype.kind == "f":
        numbers = logged.to_numpy(dtype=np.float32, na_value=np.nan)
        return np.asarray((numbers != expected) & ~(np.isnan(numbers) & np.isnan(expected)))
    both_missing = logged.isna().to_numpy() & (expected != expected)
    return np.asarray((logged.to_numpy(dtype=object) != expected) & ~both_missing, dtype=np.bool_)
