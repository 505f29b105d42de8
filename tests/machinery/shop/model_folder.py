"""Model folders of a shop that predicts late parcels, ready to be served."""

import json
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import yaml

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import from_pandas
from machinery.pipeline.model import examples
from machinery.pipeline.model.building import build
from machinery.pipeline.model.model_file import save
from machinery.pipeline.model.scoring import Scorer

from . import features
from .candidates import CANDIDATES


def column(kind: str, **changes: Any) -> dict[str, Any]:
    plain = {"unit": None, "allowed": None, "nullable": False, "known": "before"}
    return {"type": kind, "description": "what it is", "owner": "shop", **plain, **changes}


def document(task: str) -> dict[str, Any]:
    kinds = {"late": column("boolean", known="after"), "days": column("number", known="after")}
    return {
        "version": 1,
        "task": task,
        "target": "late" if task == "classification" else "days",
        "key": "id",
        "time": "at",
        "group": None,
        "columns": {
            "id": column("string", identifier=True),
            "at": column("datetime"),
            "weight": column("number", allowed={"min": 0, "max": 30}, nullable=True, unit="kg"),
            "colour": column("category", allowed=["red", "blue"]),
            "town": column("string"),
            "pieces": column("integer", allowed={"min": 1, "max": 9}, nullable=True),
            "gift": column("boolean", nullable=True),
            "seen": column("datetime", nullable=True),
            **kinds,
        },
    }


def a_table(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(1)
    weight = random.uniform(0, 30, rows).round(2)
    return pd.DataFrame(
        {
            "id": [f"parcel:{row}" for row in range(rows)],
            "at": pd.date_range("2026-01-01 06:30", periods=rows, freq="97min").as_unit("us"),
            "weight": weight,
            "colour": random.choice(["red", "blue"], rows),
            "town": random.choice(["Aa", "Ulm: south"], rows),
            "pieces": pd.array(random.integers(1, 9, rows), dtype="Int64"),
            "gift": pd.array(random.random(rows) < 0.5, dtype="boolean"),
            "seen": pd.NaT,
            "late": weight > 15,
            "days": weight / 10,
        }
    )


def write_model(folder: Path, task: str = "classification", strength: float = 1.0) -> Path:
    """Write the shop's model; `strength` distinguishes models."""
    return write_folder(folder, document(task), features, a_table(), strength)


def write_folder(
    folder: Path,
    contract: dict[str, Any],
    module: ModuleType,
    table: pd.DataFrame,
    strength: float = 1.0,
) -> Path:
    """Write a complete model folder: a linear model on the module's features of the table."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    parsed, target, task = contracts.parse(contract), contract["target"], contract["task"]
    catalogue = Catalogue(parsed, module)
    inputs = pd.DataFrame(catalogue(from_pandas(table, catalogue.inputs, parsed)))
    numeric = [name for name in inputs if inputs[name].dtype == np.float32]
    kinds = {name: "number" if name in numeric else "string" for name in inputs}
    parameters = (
        {"C": strength, "max_iter": 500} if task == "classification" else {"alpha": strength}
    )
    pipeline = build(
        "linear",
        CANDIDATES,
        task=task,
        numeric=numeric,
        categorical=[name for name in inputs if name not in numeric],
        hyperparameters=parameters,
        seed=1,
    ).fit(inputs, table[target])
    path = folder / "models/model.onnx"
    save(pipeline, kinds, path)  # type: ignore[arg-type]
    info = {
        "candidate": "all-linear",
        "features": kinds,
        "contract_version": 1,
        "task": task,
        "target": target,
        "classes": parsed.class_names,
        "trained_on": {"rows": len(table), "until": "2026-01-05 00:00:00"},
        "threshold": 0.4 if task == "classification" else None,
        "coverage": 0.9,
        "conformal_quantile": 0.6,
        "sha256": sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "models/model.json").write_text(json.dumps(info), encoding="utf-8")
    scorer = Scorer(module, folder)
    prediction = scorer.model.predict({name: inputs[name].to_numpy() for name in inputs})
    stored = examples.make(table, prediction, scorer)
    (folder / "models/examples.json").write_text(json.dumps(stored), encoding="utf-8")
    return folder
