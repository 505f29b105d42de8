"""Two other real tables instead of the sample: the machinery does not depend on flights.

Neither has a time or groups, so the test adds them: one bottle is tasted per day, in random order,
and patients are in wards of eight.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import BakedProject

pytestmark = pytest.mark.slow

TABLES = Path(__file__).parent / "tables"
CHANGES: dict[str, dict[str, Any]] = {
    "wine": {
        "until": "2020-06-27",
        "split": {"by": "time", "test_days": 40},
        "features": ["strength", "flavanoid_share", "colour", "tint", "amino_acid"],
        "select": {"headline": "roc_auc", "coverage": 0.9},
        "slices": [],
        "gate": {"floor": 0.9, "quarantined": 0.03, "calibration": 0.4, "coverage_margin": 0.2},
    },
    "diabetes": {
        "until": None,
        "split": {"by": "group"},
        "features": ["years", "coded_sex", "body_mass", "blood_pressure", "triglycerides"],
        "select": {"headline": "mean_absolute_error", "coverage": 0.9},
        "slices": ["sex"],
        "gate": {"floor": 60, "worst_slice": 80},
    },
}
WRITE = """
import sys
import numpy
from sklearn import datasets
if sys.argv[1] == "wine":
    wine = datasets.load_wine(as_frame=True)
    table = wine.data.rename(columns=lambda name: name.replace("/", "_"))
    table = table.assign(bottle=range(len(table)), cultivar=wine.target_names[wine.target])
    days = numpy.random.default_rng(1).permutation(len(table)).astype("timedelta64[D]")
    table = table.assign(tasted=numpy.datetime64("2020-01-01") + days)
else:
    diabetes = datasets.load_diabetes(as_frame=True, scaled=False)
    sex = diabetes.data["sex"].astype(int).astype(str)
    table = diabetes.data.assign(sex=sex, patient=range(len(sex)), progression=diabetes.target)
    table = table.assign(ward=[f"ward {number // 8}" for number in range(len(table))])
table.to_parquet(f"data/source/{sys.argv[1]}.parquet")
"""


def put(project: BakedProject, name: str) -> None:
    """Replace the sample with another table, and remove the sample's tests."""
    shutil.rmtree(project.path / "data/source")
    (project.path / "data/source").mkdir()
    project.run("python", "-c", WRITE, name)
    project.run("dvc", "add", "--quiet", "data/source")
    shutil.copy(TABLES / name / "contract.yaml", project.path)
    for module in ("features.py", "source.py"):
        shutil.copy(TABLES / name / module, project.path / "src" / project.path.name)
    for test in ("test_source.py", "test_features.py", "test_model.py"):  # those of the sample
        (project.path / "tests" / test).unlink()
    path, changes = project.path / "params.yaml", CHANGES[name]
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["ingest"] = {"until": changes["until"], "source": {}}
    params["split"] |= changes["split"]
    params["train"]["features"] = {
        "schedule": changes["features"][:3],
        "schedule_weather": changes["features"],
    }
    params["train"]["hyperparameters"] = {
        "prior": {},
        "linear": {},
        "forest": {"n_estimators": 20},
        "boosting": {"max_iter": 20},
    }
    params["select"] |= changes["select"]
    params["evaluate"] |= {"slices": changes["slices"], "slice_min_rows": 20}
    params["gate"] |= changes["gate"]
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


# What must hold wherever rows of a group are not independent.
GROUPS = """
import json
import numpy as np
import pandas as pd
from machinery.pipeline.statistics.intervals import bootstrap
from machinery.pipeline.statistics.metrics import mean
from machinery.pipeline.params import Evaluate, load

train, test = (pd.read_parquet(f"data/{part}.parquet") for part in ("train", "test"))
assert set(train["ward"]).isdisjoint(test["ward"])
held_out = pd.read_parquet("models/candidates/schedule-linear.parquet")
assert held_out.groupby("ward")["fold"].nunique().max() == 1
assert held_out["fold"].nunique() == 4

rows = pd.read_parquet("data/predictions.parquet")
errors = (rows["prediction"] - rows["progression"]).abs()
wards = np.unique(rows["ward"], return_inverse=True)[1]
params = load(Evaluate)
intervals = [
    bootstrap(
        {"it": mean(errors)}, len(rows),
        samples=params.samples, level=params.level, seed=params.seed, groups=groups,
    )["it"]
    for groups in (wards, None)
]
found = json.load(open("metrics.json"))["mean_absolute_error"]
by_ward, by_row = (np.allclose(each, list(found.values()), rtol=1e-5) for each in intervals)
assert by_ward and not by_row, (intervals, found)
"""


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("wine", {"roc_auc", "average_precision", "log_loss", "brier_score"}),
        ("diabetes", {"mean_absolute_error", "root_mean_squared_error", "r2"}),
    ],
)
def test_another_table_goes_through_the_same_stages(
    name: str, metrics: set[str], project: BakedProject, tmp_path: Path
) -> None:
    copy = project.copy(tmp_path / project.path.name)
    put(copy, name)
    copy.run("dvc", "repro")
    measured = json.loads((copy.path / "metrics.json").read_text(encoding="utf-8"))
    gate = json.loads((copy.path / "reports/gate.json").read_text(encoding="utf-8"))
    assert metrics < set(measured)
    assert measured["gain_over_baseline"]["low"] > 0
    assert [check["name"] for check in gate["checks"] if not check["passed"]] == []
    if name == "diabetes":
        copy.run("python", "-c", GROUPS)
    assert "up to date" in copy.run("dvc", "repro").stdout
    copy.run("make", "test")
    copy.run("git", "add", ".")
    copy.run("pre-commit", "run", "--all-files")  # with all that `make check` runs
    copy.run("git", "commit", "--quiet", "--no-verify", "--message", "Another table")
    copy.run("dvc", "push")
    copy.run("make", "fresh")
    copy.run("dvc", "plots", "show", "--out", tmp_path / "plots")
    page = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    line_for_each_class = '"color": {"field": "class", "type": "nominal"}'
    assert page.count(line_for_each_class) == (2 if name == "wine" else 0)
