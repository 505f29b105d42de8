"""Fit the project's candidate on its training features, and pickle it for the peers.

    python train.py PROJECT PIPELINE.pkl

Runs in the peers' environment, with the project's src on PYTHONPATH. Candidate, seed,
hyperparameters and the types of the features are those of the served model. The first step computes
the features from raw rows with the peers' own features.py.
"""

import json
import pickle
import sys
from pathlib import Path

import pandas as pd
import yaml
from features import make_features
from flight_delays.candidates import CANDIDATES
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from machinery.pipeline.model.building import build

project, out = Path(sys.argv[1]), Path(sys.argv[2])
info = json.loads((project / "models/model.json").read_text())
params = yaml.safe_load((project / "params.yaml").read_text())["train"]
kinds = info["features"]
model = build(
    info["model"],
    CANDIDATES,
    task="classification",
    numeric=[name for name, kind in kinds.items() if kind == "number"],
    categorical=[name for name, kind in kinds.items() if kind == "string"],
    hyperparameters=params["hyperparameters"][info["model"]],
    seed=params["seed"],
)
table = pd.read_parquet(project / "data/features/train.parquet")
model.fit(table[[*kinds]], table[info["target"]])
pipeline = Pipeline([("features", FunctionTransformer(make_features)), *model.steps])
out.write_bytes(pickle.dumps(pipeline))
