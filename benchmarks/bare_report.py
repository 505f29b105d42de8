"""The minimum that a report must compute, without the report.

Run by report.py in a generated project, with its Python: reads the test rows, scores both models,
and bootstraps all metrics of the whole table, 2,000 samples; with --slices also the headline metric
of each slice.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from machinery.pipeline.model.model_file import Model
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import bootstrap, difference

SAMPLES, SMALLEST = 2000, 100
HOW = {"samples": SAMPLES, "level": 0.95, "seed": 1}


def main() -> None:
    """Score, compare, print."""
    table = pd.read_parquet("data/features/test.parquet")
    raw = pd.read_parquet("data/test.parquet", columns=["origin", "carrier"])
    target = table["late"].to_numpy().astype(np.int64)
    models = [Model(Path(name)) for name in (sys.argv[1], "models/model.onnx")]
    scored = [model.predict(table[list(model.features)]) for model in models]
    bound = [metrics.scorers("classification", target, prediction) for prediction in scored]
    pairs = {name: difference(bound[1][name], bound[0][name]) for name in bound[0]}
    print(bootstrap(pairs, len(target), **HOW))
    for column in raw if "--slices" in sys.argv else ():
        for value, rows in raw.groupby(column).indices.items():
            if len(rows) >= SMALLEST:
                positive = target[rows] == 1
                a, b = (metrics.roc_auc(positive, prediction[rows, 1]) for prediction in scored)
                print(value, bootstrap({"roc_auc": difference(b, a)}, len(rows), **HOW))


if __name__ == "__main__":
    main()
