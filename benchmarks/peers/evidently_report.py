"""Evidently's report of the month beside the reference: drift, summary, a classifier's quality."""

import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset

TABLES = [pd.read_parquet(f"{name}.parquet") for name in ("now", "reference")]
NAMES = [name for name in TABLES[0] if name[0] in "nt"]
definition = DataDefinition(
    numerical_columns=[name for name in NAMES if name[0] == "n"],
    categorical_columns=[name for name in NAMES if name[0] == "t"] + ["y"],
    classification=[BinaryClassification(target="y", prediction_probas="p", pos_label=1)],
)
for table in TABLES:
    table["y"] = table["y"].astype(int)
now, reference = (Dataset.from_pandas(each, data_definition=definition) for each in TABLES)
report = Report([DataDriftPreset(), DataSummaryPreset(), ClassificationPreset()])
report.run(now, reference).save_html("evidently.html")
