"""Evidently's report on the month and the reference: drift, summary, classification quality."""

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
current, reference = (Dataset.from_pandas(table, data_definition=definition) for table in TABLES)
report = Report([DataDriftPreset(), DataSummaryPreset(), ClassificationPreset()])
report.run(current, reference).save_html("evidently.html")
