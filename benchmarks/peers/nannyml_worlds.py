"""NannyML with its default thresholds on the same worlds: how often does a month raise an alert?

The reference is six months, one chunk each. `CBPE` uses no outcomes, `realised` does; `univariate`
is an alert on the Jensen-Shannon distance of any column.
"""

import json
import os
import warnings
from collections import Counter
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.simplefilter("ignore")

import nannyml  # noqa: E402
import pandas as pd  # noqa: E402

ROWS = 3000
table = pd.read_parquet("worlds.parquet")
table["decision"] = (table["probability_true"] >= 0.5).astype(int)
table["target"] = table["target"].astype(int)
names = [name for name in table if name.startswith("n") and name[1:].isdigit()]
about = {
    "problem_type": "classification_binary",
    "y_pred_proba": "probability_true",
    "y_pred": "decision",
    "y_true": "target",
    "metrics": ["roc_auc"],
    "chunk_size": ROWS,
}
kinds = list(table["kind"].unique())
alarms = {f"NannyML, {name}": Counter() for name in ("CBPE", "realised", "univariate")}
for (_, kind), world in table.groupby(["world", "kind"], sort=False):
    reference, current = world[~world["now"]], world[world["now"]]
    estimated = nannyml.CBPE(**about).fit(reference).estimate(current).to_df()
    realised = nannyml.PerformanceCalculator(**about).fit(reference).calculate(current).to_df()
    drift = nannyml.UnivariateDriftCalculator(
        names, continuous_methods=["jensen_shannon"], chunk_size=ROWS
    )
    moved = drift.fit(reference).calculate(current).to_df()
    for name, frame in (("CBPE", estimated), ("realised", realised), ("univariate", moved)):
        period = next(column for column in frame if column[-1] == "period")
        last = frame[frame[period] == "analysis"].iloc[-1]
        alerts = [bool(last[column]) for column in frame if column[-1] == "alert"]
        alarms[f"NannyML, {name}"][kind] += any(alerts)
count = table["world"].nunique()
shares = {name: {kind: counts[kind] / count for kind in kinds} for name, counts in alarms.items()}
Path("nannyml.json").write_text(json.dumps(shares))
