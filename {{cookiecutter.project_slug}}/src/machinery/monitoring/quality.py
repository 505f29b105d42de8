"""quality: a window's sample, and what training had, in; what is wrong with the data, out."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import from_pandas
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Limits
from machinery.pipeline.statistics.intervals import wilson

from .encoding import compared
from .rows import Window

if TYPE_CHECKING:
    import pandas as pd

MAX_DISTINCT = 0.1  # of the rows: a text with more distinct values is free text
DAY = timedelta(days=1)


def columns(
    now: "pd.DataFrame",
    train: "pd.DataFrame | None",
    learned: Mapping[str, Any],
    contract: Contract,
    level: float,
) -> dict[str, dict[str, Any]]:
    """Of each column the share of missing values, and of those that training never had.

    Args:
        now: the raw columns of a sample of the window.
        train: the training table, for the values that it has; None where it is not here.
        learned: `columns` of data_quality.json, for the missing values that validate found.
        contract: the contract of the data.
        level: of the intervals.
    """
    found = {}
    for name in compared(contract):
        values = now[name]
        before = learned.get(name, {}).get("missing", {})
        found[name] = {
            "missing": wilson(int(values.isna().sum()), len(values), level).as_dict(),
            "learned": before.get("newest", before.get("reference")),
            "new": None,
            "seasonal": contract.columns[name].seasonal,
        }
        if train is not None:
            new = unknown(values, train[name].dropna())
            if new is not None:
                found[name]["new"] = wilson(int(new.sum()), len(values), level).as_dict()
    return found


def other(train: "pd.DataFrame", contract: Contract) -> int:
    """How many columns of the contract the training table lacks, or has as another type."""
    import pandas as pd

    numbers = ("integer", "number", "boolean")
    return sum(
        name not in train
        or pd.api.types.is_numeric_dtype(train[name]) != (contract.columns[name].type in numbers)
        for name in compared(contract)
    )


def unknown(values: "pd.Series[Any]", known: "pd.Series[Any]") -> np.ndarray | None:
    """Which values lie beyond all known numbers, or are none of the known texts.

    None for free text, which is always new.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(known):
        return None
    if pd.api.types.is_numeric_dtype(known):
        beyond = (values < known.min()) | (values > known.max())
        return np.asarray(beyond.fillna(False), dtype=np.bool_)
    distinct = known.unique()
    if len(distinct) > MAX_DISTINCT * len(known):
        return None
    return np.asarray(values.notna() & ~values.isin(distinct), dtype=np.bool_)


def outside(now: "pd.DataFrame", train: "pd.DataFrame", contract: Contract) -> float:
    """The share of rows with a number or text that training had not: there no estimate holds."""
    beyond = np.zeros(len(now), dtype=np.bool_)
    for name in compared(contract):
        new = unknown(now[name], train[name].dropna())
        beyond |= False if new is None else new
    return float(beyond.mean()) if len(now) else float("nan")


def faults(found: Mapping[str, Mapping[str, Any]], limit: float) -> list[str]:
    """A clause for each column beyond the limit; what is seasonal may leave the range."""
    clauses = []
    for name, each in found.items():
        before = (each["learned"] or {}).get("high") or 0.0
        if each["missing"]["low"] > before + limit:
            share = f"{each['missing']['value']:.1%} of {name} is missing"
            clauses.append(f"{share}, at most {before:.1%} in training")
        if each["new"] and each["new"]["low"] > limit and not each["seasonal"]:
            clauses.append(f"{each['new']['value']:.1%} of {name} is not in training")
    return clauses


def volume(window: Window, before: Window | None, limit: float) -> list[str]:
    """A clause if there are too few rows a day, beside the window before."""
    if before is None:
        return []
    now, then = (len(each.rows) / ((each.end - each.start) / DAY) for each in (window, before))
    fewer = now < limit * then
    return [f"{now:.3g} rows a day, {then:.3g} in the window before"] if fewer else []


def skew(sample: "pd.DataFrame", features: ModuleType, contract: Contract) -> dict[str, Any] | None:
    """How many rows have features other than those that features.py makes of their raw columns.

    Features of personal columns are not compared: the log does not have them as they were. None
    where the log and features.py have no feature in common.
    """
    logged = [of.removeprefix("feature_") for of in map(str, sample) if of.startswith("feature_")]
    every = Catalogue(contract, features)
    names = [name for name in logged if name in every.features and name not in every.personal]
    if not names:
        return None
    catalogue = Catalogue(contract, features, names)
    made = catalogue(from_pandas(raw(sample), catalogue.inputs, contract))
    differs = {name: _differ(sample[f"feature_{name}"], made[name]) for name in names}
    wrong = np.any([*differs.values()], axis=0)
    return {
        "rows": len(sample),
        "differ": int(wrong.sum()),
        "features": {name: int(each.sum()) for name, each in differs.items() if each.any()},
    }


def differences(skew: Mapping[str, Any] | None, limit: float) -> list[str]:
    """A clause if more rows than the limit, a share, have features of other values."""
    if skew is None or skew["differ"] <= limit * skew["rows"]:
        return []
    what = f"features.py makes other features of {skew['differ']} of {skew['rows']} rows"
    return [f"{what} than the service logged: {', '.join(skew['features'])}"]


def raw(sample: "pd.DataFrame") -> "pd.DataFrame":
    """The raw columns of a sample, by their names in the contract."""
    names = [name for name in map(str, sample) if name.startswith("raw_")]
    return sample[names].rename(columns=lambda name: name.removeprefix("raw_"))


def freshness(
    end: datetime, trained_until: datetime | None, labelled: datetime | None, limits: Limits
) -> tuple[dict[str, float | None], list[str]]:
    """The age of the model and of the newest outcome, in days of data time, and what is too old."""
    ages = {
        "model_age_days": None if trained_until is None else (end - trained_until) / DAY,
        "data_age_days": None if labelled is None else (end - labelled) / DAY,
    }
    clauses = []
    if (ages["model_age_days"] or 0) > limits.model_age_days:
        clauses.append(
            f"the model learned from no row of the last {ages['model_age_days']:.0f} days"
        )
    if labelled is None or (ages["data_age_days"] or 0) > limits.data_age_days:
        since = "" if labelled is None else f" since {labelled:%Y-%m-%d}"
        clauses.append(f"no outcome came in{since}")
    return ages, clauses


def _differ(logged: "pd.Series[Any]", made: np.ndarray) -> np.ndarray:
    if made.dtype.kind == "f":
        numbers = logged.to_numpy(dtype=np.float32, na_value=np.nan)
        return np.asarray((numbers != made) & ~(np.isnan(numbers) & np.isnan(made)))
    texts = logged.to_numpy(dtype=object)
    both_missing = logged.isna().to_numpy() & (made != made)
    return np.asarray((texts != made) & ~both_missing, dtype=np.bool_)
