"""bare_report: a champion's model file in; what a report must at least compute, and no report, out.

Run by report.py in a generated project, with its Python: reads the test rows, scores both models,
and bootstraps all metrics of the whole, 2,000 samples; with --slices the headline metric of each
slice, too.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.intervals import bootstrap, difference
from machinery.pipeline.model.model_file import Model
from machinery.comparison.rows import array

SAMPLES, SMALLEST = 2000, 100
HOW = {"samples": SAMPLES, "level": 0.95, "seed": 1}


def main() -> None:
    """Score, compare, print."""
    table = pq.ParquetFile("data/features/test.parquet").read()
    raw = pq.ParquetFile("data/test.parquet").read(["origin", "carrier"])
    target = array(table["late"]).astype(np.int64)
    scored = [_score(Path(name), table) for name in (sys.argv[1], "models/model.onnx")]
    bound = [metrics.scorers("classification", target, each) for each in scored]
    pairs = {name: difference(bound[1][name], bound[0][name]) for name in bound[0]}
    print(bootstrap(pairs, len(target), **HOW))
    for column in raw.column_names if "--slices" in sys.argv else ():
        values = array(raw[column])
        for value in np.unique(values):
            rows = np.flatnonzero(values == value)
            if len(rows) >= SMALLEST:
                positive = target[rows] == 1
                a, b = (metrics.roc_auc(positive, each[rows, 1]) for each in scored)
                print(value, bootstrap({"roc_auc": difference(b, a)}, len(rows), **HOW))


def _score(path: Path, table: object) -> np.ndarray:
    model = Model(path)
    return model.predict({name: array(table[name]) for name in model.features})


if __name__ == "__main__":
    main()
