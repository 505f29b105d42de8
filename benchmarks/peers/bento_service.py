"""A service as in BentoML's documentation: one API, from a table to an array.

`python bento_service.py PIPELINE.pkl` saves the pipeline to BentoML's model store.
"""

import pickle
import sys
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd


@bentoml.service(workers=1, traffic={"timeout": 30})
class Delays:
    """The pipeline from the model store."""

    model = bentoml.models.BentoModel("delays:latest")

    def __init__(self) -> None:
        self.pipeline = bentoml.sklearn.load_model(self.model)

    @bentoml.api
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the probability of each class."""
        return self.pipeline.predict_proba(rows)


if __name__ == "__main__":
    bentoml.sklearn.save_model("delays", pickle.loads(Path(sys.argv[1]).read_bytes()))
