"""Make a project with a month of logged predictions, or run `monitor` on it."""

import json
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from machinery.monitoring import monitor, output
from machinery.pipeline.data.tags import tag

NUMBERS, TEXTS, DAYS = 15, 5, 31
START = datetime(2026, 1, 1)
HERE = Path(__file__).parent
FIGURES = ("roc_auc", "log_loss", "coverage")


def features() -> ModuleType:
    """A module with one feature per column, equal to the column."""
    module = ModuleType("features")
    for name in columns():
        text = name.startswith("t")
        code = f"def f_{name}({name}):\n    'As it is.'\n    return {name}" + (
            "" if text else ".astype('float32')"
        )
        scope: dict[str, Any] = {}
        exec(code, scope)
        function = scope[f"f_{name}"]
        function.__module__ = "features"
        setattr(module, f"f_{name}", tag(owner="benchmark", unit="")(function))
    return module


def columns() -> list[str]:
    """Names of the columns."""
    return [*(f"n{place}" for place in range(NUMBERS)), *(f"t{place}" for place in range(TEXTS))]


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    """`count` rows of columns, probability and outcome."""
    random = np.random.default_rng(seed)
    table: dict[str, np.ndarray] = {
        f"n{place}": random.normal(size=count) for place in range(NUMBERS)
    }
    for place in range(TEXTS):
        table[f"t{place}"] = random.choice([f"level {n}" for n in range(10)], count)
    p = 1 / (1 + np.exp(1 - table["n0"] - 0.5 * table["n1"]))
    return {**table, "p": p.astype(np.float32), "y": random.random(count) < p}


def make(count: int) -> None:
    """Write the project, a month of its log, and the same tables for Evidently and NannyML."""
    described = {
        "id": {"type": "string", "identifier": True},
        "at": {"type": "datetime"},
        **{name: {"type": "string" if name[0] == "t" else "number"} for name in columns()},
        "y": {"type": "boolean", "known": "after"},
    }
    plain = {"unit": None, "allowed": None, "nullable": False, "known": "before"}
    about = {"description": "simulated", "owner": "benchmark"}
    contract = {"version": 1, "task": "classification", "target": "y", "key": "id", "time": "at"}
    specs = {name: {**plain, **about, **properties} for name, properties in described.items()}
    Path("contract.yaml").write_text(yaml.safe_dump({**contract, "group": None, "columns": specs}))
    params = yaml.safe_load(next(HERE.parent.glob("*cookiecutter*/params.yaml")).read_text())
    params["evaluate"]["slices"] = ["t0"]
    Path("params.yaml").write_text(yaml.safe_dump(params))
    reference = rows(count // 4, 1)
    _documents(reference)
    log = Path("logs/predictions")
    shutil.rmtree(log, ignore_errors=True)
    parts = []
    for day in range(DAYS):
        table = rows(count // DAYS, 100 + day)
        parts.append(table)
        _write(log, table, START + timedelta(days=day))
    current = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name, table in (("reference", reference), ("now", current)):
        pq.write_table(pa.table(table), f"{name}.parquet")


def _documents(reference: dict[str, np.ndarray]) -> None:
    for folder in ("models", "reports", "data"):
        Path(folder).mkdir(exist_ok=True)
    kinds = {f"f_{name}": "string" if name[0] == "t" else "number" for name in columns()}
    info = {"features": kinds, "trained_on": {"until": str(START - timedelta(days=1))}}
    info |= {"threshold": 0.5, "conformal_quantile": 0.8, "task": "classification"}
    Path("models/model.json").write_text(json.dumps(info))
    Path("metrics.json").write_text(json.dumps({name: {"value": 0.7} for name in FIGURES}))
    Path("reports/data_quality.json").write_text(json.dumps({"columns": {}}))
    train = pa.table({name: reference[name] for name in columns()})
    count = len(train)
    train = train.append_column(
        "at", pa.array([START - timedelta(hours=n % 700) for n in range(count)])
    )
    pq.write_table(train, "data/train.parquet")


def _write(log: Path, table: dict[str, np.ndarray], day: datetime) -> None:
    """Write the Parquet files of a day as `log compact` does."""
    count, p = len(table["p"]), table["p"]
    seconds = (np.arange(count) * 86_400 // count).astype("timedelta64[s]")
    at = np.datetime64(day, "us") + seconds
    key = {
        "request_id": [f"{day:%d}-{n}" for n in range(count)],
        "row": pa.array(np.zeros(count), pa.int32()),
        "time": pa.array(at, pa.timestamp("us", tz="UTC")),
    }
    answers = {
        **key,
        "role": ["champion"] * count,
        "model_version": ["v1"] * count,
        "raw_id": key["request_id"],
        "raw_at": pa.array(at),
        **{f"raw_{name}": table[name] for name in columns()},
        **{
            f"feature_f_{name}": table[name] if name[0] == "t" else table[name].astype(np.float32)
            for name in columns()
        },
        "probability_false": 1 - p,
        "probability_true": p,
    }
    for kind, content in (("answers", answers), ("feedback", {**key, "outcome": table["y"]})):
        folder = log / kind / f"day={day:%Y-%m-%d}"
        folder.mkdir(parents=True)
        pq.write_table(
            pa.table(content), folder / f"{day:%Y-%m-%d}-1.0.parquet", compression="zstd"
        )


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(int(sys.argv[2]))
    else:
        model = monitor.evaluated_model()
        log = Path("logs/predictions")
        output.write(monitor.monitor(features(), model, log), model, "benchmark", log)
