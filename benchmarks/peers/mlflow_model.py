"""Save the pickled pipeline in folders for `mlflow models serve`.

    python mlflow_model.py

From pipeline.pkl, raw.json and features.json in the working directory it makes mlflow-raw, which
takes raw rows, and mlflow-features, which takes ready-made features. The signature and the call
follow MLflow's documentation; its server parses times if the signature has them.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import features
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature

TIMES = ["scheduled_departure", "weather_observed_at"]


def read(path: str) -> pd.DataFrame:
    """Read rows as in a request."""
    return pd.DataFrame(json.loads(Path(path).read_text()))


def save(pipeline: Any, rows: pd.DataFrame, folder: str) -> None:
    """Save a pipeline that takes rows like these."""
    mlflow.sklearn.save_model(
        pipeline,
        folder,
        signature=infer_signature(rows, pipeline.predict_proba(rows)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        code_paths=[features.__file__],
        pip_requirements=["scikit-learn", "pandas"],
    )


pipeline = pickle.loads(Path("pipeline.pkl").read_bytes())
raw = read("raw.json")
raw[TIMES] = raw[TIMES].apply(pd.to_datetime)
save(pipeline, raw, "mlflow-raw")
save(pipeline[1:], read("features.json"), "mlflow-features")
