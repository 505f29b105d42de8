"""Simulate months of each kind, and count the alarms of `monitor` and of KS tests.

Rows of one day are correlated: each day has random effects on inputs and outcomes. Each world has a
reference of six months, and the model is a logistic regression fitted to it.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression

from machinery.monitoring import outcomes
from machinery.monitoring.outcomes import EvaluatedModel
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.params import Evaluate, Monitor, Select
from machinery.pipeline.statistics import metrics

COLUMNS, DAYS, A_DAY, MONTHS = 10, 30, 100, 6
NAMES = [f"n{place}" for place in range(COLUMNS)]
KINDS = {
    "as before": {},
    "inputs move": {"moved": 0.7},
    "outcomes rarer": {"shift": -0.7},
    "signal lost": {"slope": 0.3},
}
PARAMS = yaml.safe_load(
    next(Path(__file__).parents[1].glob("*cookiecutter*/params.yaml")).read_text()
)


def month(
    random: np.random.Generator,
    days: int,
    moved: float = 0.0,
    shift: float = 0.0,
    slope: float = 1.0,
) -> pd.DataFrame:
    """Rows with random effects by day."""
    day = np.repeat(np.arange(days), A_DAY)
    inputs = random.normal(size=(days * A_DAY, COLUMNS))
    inputs += 0.3 * random.normal(size=(days, COLUMNS))[day]
    inputs[:, 0] += moved
    effect = 0.3 * random.normal(size=days)[day]
    logit = slope * (1.2 * inputs[:, 0] + 0.6 * inputs[:, 1]) - 1 + shift + effect
    table = pd.DataFrame(inputs, columns=NAMES)
    table["at"] = np.datetime64("2026-01-01", "us") + day.astype("timedelta64[D]")
    return table.assign(target=(random.random(len(table)) < 1 / (1 + np.exp(-logit))).astype(float))


def evaluated(reference: pd.DataFrame) -> EvaluatedModel:
    """The model as evaluate would measure it on the reference."""
    plain = {"unit": None, "allowed": None, "nullable": False, "known": "before"}
    about = {**plain, "description": "simulated", "owner": "benchmark"}
    columns = {"id": {"type": "string"}, "at": {"type": "datetime"}}
    columns["y"] = {"type": "boolean", "known": "after"}
    document = {"version": 1, "task": "classification", "target": "y", "key": "id", "time": "at"}
    specs = {name: {**about, **properties} for name, properties in columns.items()}
    contract = contracts.parse({**document, "group": None, "columns": specs})
    prediction = reference[["probability_false", "probability_true"]].to_numpy()
    values = metrics.score("classification", reference["target"].to_numpy(dtype=int), prediction)
    figures = {name: {"value": value} for name, value in values.items()}
    miss = np.where(reference["target"] == 1, prediction[:, 0], prediction[:, 1])
    info = {"threshold": 0.5, "conformal_quantile": float(np.quantile(miss, 0.9))}
    sections = (
        kind.model_validate(PARAMS[kind.__name__.lower()]) for kind in (Select, Evaluate, Monitor)
    )
    return EvaluatedModel(contract, info, figures, *sections)  # type: ignore[arg-type]


def main(count: int) -> None:
    """Write `ours.json`, and the same worlds for NannyML."""
    alarms: dict[str, Counter[str]] = {name: Counter() for name in ("monitor", "any KS below 0.05")}
    tables: list[Any] = []
    for world in range(count):
        for number, (kind, change) in enumerate(KINDS.items()):
            random = np.random.default_rng([world, number])
            reference, current = month(random, DAYS * MONTHS), month(random, DAYS, **change)
            model = LogisticRegression().fit(reference[NAMES], reference["target"])
            for table in (reference, current):
                p = model.predict_proba(table[NAMES])
                table["probability_false"], table["probability_true"] = p.T
            evaluation = evaluated(reference)
            measured = outcomes.measure(current, evaluation)
            violated = outcomes.violations(measured, evaluation).keys() & {
                *evaluation.monitor.retrain.counts
            }
            alarms["monitor"][kind] += bool(violated)
            drifted = (kstest(reference[name], current[name]).pvalue < 0.05 for name in NAMES)
            alarms["any KS below 0.05"][kind] += any(drifted)
            tables += [
                table.assign(world=world, kind=kind, now=table is current)
                for table in (reference, current)
            ]
    shares = {
        name: {kind: counts[kind] / count for kind in KINDS} for name, counts in alarms.items()
    }
    Path("ours.json").write_text(json.dumps(shares))
    pd.concat(tables, ignore_index=True).drop(columns="at").to_parquet("worlds.parquet")


if __name__ == "__main__":
    main(int(sys.argv[1]))
