"""A whole run of the shop's pipeline in the current folder."""

import re
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from machinery.pipeline import paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import read_json

from .model_folder import a_table, document
from .project import Shop

PARAMS = next(Path(__file__).parents[3].glob("*/params.yaml"))
ROWS = 400
CHANGES: dict[str, dict[str, Any]] = {
    "ingest": {"until": "2026-01-28", "source": {}},
    "validate": {"window_days": 5, "quarantine_limit": 0.5},
    "split": {"by": "time", "test_days": 6, "leakage": {"limit": 1, "rows": 1000, "allow": {}}},
    "train": {
        "feature_sets": ["all"],
        "models": ["prior", "linear"],
        "features": {"all": ["mass", "hour", "place"]},
        "hyperparameters": {"prior": {}, "linear": {}},
        "folds": 3,
    },
    "evaluate": {
        "samples": 100,
        "slices": ["colour"],
        "slice_min_rows": 10,
        "importance": {"rows": 100, "repeats": 1},
    },
    "gate": {"calibration": 0.3, "coverage_margin": 0.2, "share_shift": 0.3},
}
BEFORE = "ingest", "validate", "split", "featurize"
AFTER = "select", "evaluate", "gate", "card"


class Run:
    """A project in the current folder, with `params`, `contract` and `table` to change."""

    def __init__(self, task: str = "classification") -> None:
        self.params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
        for section, changes in deepcopy(CHANGES).items():
            self.params[section] |= changes
        self.params["search"] = {}
        if task == "regression":
            self.params["select"]["headline"] = "mean_absolute_error"
            self.params["gate"] |= {"floor": 0.8, "worst_slice": 0.8}
        self.contract = document(task)
        self.table = a_table(ROWS)
        noise = np.random.default_rng(2).normal(scale=4, size=ROWS)
        self.effort = self.table["weight"] + 15 * (self.table["town"] == "Aa") + noise
        self.table["late"], self.table["days"] = self.effort > 22, self.effort / 10
        absent = "days" if task == "classification" else "late"
        del self.table[absent], self.contract["columns"][absent]
        self.tested = self.table["at"] >= "2026-01-22"

    def __call__(self, project: Shop) -> dict[str, Any]:
        """Run every stage and return the gate's report."""
        paths.SOURCE.parent.mkdir(exist_ok=True)
        self.table.to_parquet(paths.SOURCE)
        for name, content in ((paths.PARAMS, self.params), (paths.CONTRACT, self.contract)):
            name.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        contracts.load.cache_clear()
        trained = [f"train all {name}" for name in self.params["train"]["models"]]
        for words in [*BEFORE, *trained, *AFTER]:
            stage, *arguments = words.split()
            import_module(f"machinery.pipeline.stages.{stage}").main(project, *arguments)
        page, card = (p.read_text(encoding="utf-8") for p in (paths.PAGE, paths.MODEL_CARD))
        assert page.endswith("</html>\n")
        assert "## Gate" in card
        for text in (page, card):
            assert not re.search(r"\b(nan|NaN|None(?! of|:))\b", text)
        return dict(read_json(paths.GATE))
