"""A shop whose service has answered for months: its log, its outcomes, and its model."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from machinery.monitoring.outcomes import EvaluatedModel
from machinery.pipeline import paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import from_pandas
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import write_json, write_table
from machinery.pipeline.model.answers import answer
from machinery.pipeline.model.decision import rule
from machinery.pipeline.params import Evaluate, Monitor, Select
from machinery.pipeline.statistics import metrics
from machinery.serving.log import PredictionLog
from shop import features
from shop.model_folder import document

PARAMS = next(Path(__file__).parents[3].glob("*/params.yaml"))
START = datetime(2026, 1, 1)
LOG = Path("logs/predictions")
SCALE = 5.0  # kg for a unit of the logit

Change = Callable[[pd.DataFrame], pd.DataFrame]


def contract_of(task: str = "classification", **columns: Mapping[str, Any]) -> Contract:
    described = document(task)
    for name, changes in columns.items():
        described["columns"][name] = {**described["columns"][name], **changes}
    return contracts.parse(described)


def rows(
    first: datetime, days: int, a_day: int, seed: int = 1, *, off: float = 0.0, noise: float = 0.0
) -> pd.DataFrame:
    """Rows of the shop with what its model predicts, which is `off` by so many units of the logit.

    `noise` spoils the order of the predictions; `seen` and `gift` are always missing.
    """
    random = np.random.default_rng(seed)
    count = days * a_day
    weight = random.uniform(0, 30, count)
    truth = (weight - 15) / SCALE
    guess = truth + off + noise * random.normal(size=count)
    minutes = np.repeat(np.arange(days) * 1440, a_day) + random.integers(0, 1440, count)
    return pd.DataFrame(
        {
            "id": [f"{first:%m%d}-{seed}-{row}" for row in range(count)],
            "at": pd.Series(first + minutes * timedelta(minutes=1)).astype("datetime64[us]"),
            "weight": weight,
            "colour": random.choice(["red", "blue"], count),
            "town": random.choice(["Aa", "Ulm"], count),
            "pieces": random.integers(1, 9, count),
            "gift": None,
            "seen": pd.NaT,
            "late": random.random(count) < 1 / (1 + np.exp(-truth)),
            "days": weight / 10 + random.normal(size=count),
            "probability": 1 / (1 + np.exp(-guess)),
            "value": weight / 10 + off,
        }
    ).sort_values("at", ignore_index=True)


def predicted(table: pd.DataFrame, task: str) -> np.ndarray:
    if task == "regression":
        return table["value"].to_numpy(dtype=np.float32)
    return np.column_stack([1 - table["probability"], table["probability"]]).astype(np.float32)


def info(task: str) -> dict[str, Any]:
    is_class = task == "classification"
    return {
        "candidate": "all-linear",
        "features": {"mass": "number", "hour": "number", "place": "string"},
        "contract_version": 1,
        "task": task,
        "target": "late" if is_class else "days",
        "classes": ["false", "true"] if is_class else [],
        "trained_on": {"rows": 100, "until": (START - timedelta(days=1)).isoformat(" ")},
        "threshold": 0.5 if is_class else None,
        "coverage": 0.9,
        "conformal_quantile": 0.7 if is_class else 1.7,
        "sha256": "0" * 64,
    }


def log(
    table: pd.DataFrame,
    contract: Contract,
    folder: Path = LOG,
    *,
    version: str = "v1",
    role: str = "champion",
    labelled: bool = True,
    change: Change = lambda features: features,
) -> None:
    """Answer a request a day, and hear the outcomes; `change` spoils the logged features."""
    catalogue = Catalogue(contract, features)
    names = contract.known_before()
    written = PredictionLog(folder, contract, lambda *_: None)
    for number, (_, part) in enumerate(table.groupby(table["at"].dt.date)):
        plain = part[names].astype(object).where(part[names].notna(), None)
        raw = {name: plain[name].tolist() for name in names}
        for name in ("at", "seen"):
            raw[name] = [time and pd.Timestamp(time).to_pydatetime() for time in raw[name]]
        computed = change(pd.DataFrame(catalogue(from_pandas(part, catalogue.inputs, contract))))
        answers = answer(predicted(part, contract.task), rule(info(contract.task)))
        of = f"{version}-{role}-{part['id'].iloc[0]}-{number}"
        arrays = {name: computed[name].to_numpy() for name in computed}
        about = {"model_version": version, "personal": catalogue.personal, "role": role}
        assert written.answers(of, raw, arrays, answers, **about)
        if labelled:
            outcomes = part[contract.target].tolist()
            assert written.feedback([(of, row, outcome) for row, outcome in enumerate(outcomes)])
    written.close()


def evaluated(contract: Contract, reference: pd.DataFrame, **changes: Any) -> EvaluatedModel:
    """The model as measured on the reference rows; `changes` are to `monitor` in params.yaml."""
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params["monitor"].update({"min_rows": 100, **changes})
    params["evaluate"].update({"slices": ["colour"], "slice_min_rows": 50})
    if contract.task == "regression":
        params["select"]["headline"] = "mean_absolute_error"
    params["split"]["by"] = "time"
    target = contract.encode(reference[contract.target])
    values = metrics.score(contract.task, target, predicted(reference, contract.task))  # type: ignore[arg-type]
    figures = {name: {"value": v, "low": v, "high": v} for name, v in values.items()}
    paths.PARAMS.write_text(yaml.safe_dump(params), encoding="utf-8")
    write_json(figures, paths.METRICS)
    write_json(info(contract.task), paths.MODEL_INFO)
    nothing = {"missing": {"reference": {"value": 0.0, "low": 0.0, "high": 0.01}}}
    always = {"missing": {"reference": {"value": 1.0, "low": 1.0, "high": 1.0}}}
    quality = {name: always if name in ("gift", "seen") else nothing for name in contract.columns}
    write_json({"columns": quality}, paths.DATA_QUALITY)
    described = json.loads(contract.model_dump_json())
    paths.CONTRACT.write_text(yaml.safe_dump(described), encoding="utf-8")
    contracts.load.cache_clear()
    table = reference[list(contract.columns)].astype({"gift": "boolean"})
    write_table(table, paths.TRAIN)
    return EvaluatedModel(
        contract,
        info(contract.task),
        figures,
        Select.model_validate(params["select"]),
        Evaluate.model_validate(params["evaluate"]),
        Monitor.model_validate(params["monitor"]),
    )
