"""The paths of a project's files, relative to its folder."""

from pathlib import Path

PARAMS = Path("params.yaml")
CONTRACT = Path("contract.yaml")

SOURCE = Path("data/source")
LOGGED = Path("data/source/logged")  # rows from the prediction log, written by `retrain`
RAW = Path("data/raw.parquet")
VALID = Path("data/valid.parquet")
QUARANTINE = Path("data/quarantine.parquet")
TRAIN = Path("data/train.parquet")
TEST = Path("data/test.parquet")
TRAIN_FEATURES = Path("data/features/train.parquet")
TEST_FEATURES = Path("data/features/test.parquet")
PREDICTIONS = Path("data/predictions.parquet")

CANDIDATES = Path("models/candidates")
MODEL = Path("models/model.onnx")
MODEL_INFO = Path("models/model.json")
EXAMPLES = Path("models/examples.json")

METRICS = Path("metrics.json")
DATA_QUALITY = Path("reports/data_quality.json")
LEAKAGE = Path("reports/leakage.json")
CATALOGUE = Path("reports/features.md")
FEATURES = Path("reports/features.json")
SELECTION = Path("reports/selection.json")
SLICES = Path("reports/slices.json")
PLOTS = Path("reports/plots")
GATE = Path("reports/gate.json")
MODEL_CARD = Path("reports/model_card.md")
PAGE = Path("reports/index.html")
VERSION = Path("version.json")  # of a packed version
GAUGES = "monitoring.prom"  # in the folder of the prediction log
PLOT_CACHE = Path(".dvc/tmp/matplotlib")
