"""mlflow_model: the pickled pipeline in; a folder for `mlflow models serve` out.

    python mlflow_model.py PIPELINE.pkl ROWS.json FOLDER

The signature and the call are those of MLflow's documentation.
"""

import json
import pickle
import sys
from pathlib import Path

import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature

pipeline = pickle.loads(Path(sys.argv[1]).read_bytes())
rows = pd.DataFrame(json.loads(Path(sys.argv[2]).read_text()))
mlflow.sklearn.save_model(
    pipeline,
    sys.argv[3],
    signature=infer_signature(rows, pipeline.predict_proba(rows)),
    pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
    pip_requirements=["scikit-learn"],
)
