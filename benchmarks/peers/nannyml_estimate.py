"""NannyML's CBPE for the month as one chunk."""

import json
import os
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml  # noqa: E402
import pandas as pd  # noqa: E402

reference, current = (pd.read_parquet(f"{name}.parquet") for name in ("reference", "now"))
for table in (reference, current):
    table["y"] = table["y"].astype(int)
    table["decision"] = (table["p"] >= 0.5).astype(int)
estimator = nannyml.CBPE(
    problem_type="classification_binary",
    y_pred_proba="p",
    y_pred="decision",
    y_true="y",
    metrics=["roc_auc"],
    chunk_size=len(current),
)
estimates = estimator.fit(reference).estimate(current).filter(period="analysis").to_df()
value = float(estimates[("roc_auc", "value")].iloc[0])
Path("nannyml.json").write_text(json.dumps({"estimated": value}))
