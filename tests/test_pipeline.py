"""The pipeline of the baked project, run with real DVC as in its README."""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import BakedProject

pytestmark = pytest.mark.slow

REPORTS = (
    "data_quality.json features.json features.md gate.json index.html leakage.json model_card.md "
    "selection.json slices.json"
).split()


COVERAGE = """
import json
import pandas as pd
from machinery.pipeline.statistics import intervals, metrics
table = pd.read_parquet("data/predictions.parquet")
late, held = table["late"], (table["in_set_false"], table["in_set_true"])
scorer = metrics.mean(held[1].where(late, held[0]).to_numpy())
days = pd.factorize(table["scheduled_departure"].dt.date)[0]
def ends(groups):
    draw = dict(samples=1000, level=0.95, seed=1, groups=groups)
    return intervals.bootstrap({"coverage": scorer}, len(table), **draw)["coverage"][1:]
recorded = json.load(open("metrics.json"))["coverage"]
recorded = recorded["low"], recorded["high"]
print(json.dumps({"days": ends(days), "rows": ends(None), "recorded": recorded}))
"""


def read(project: BakedProject, name: str) -> Any:
    return json.loads((project.path / name).read_text(encoding="utf-8"))


def lock(project: BakedProject) -> str:
    return (project.path / "dvc.lock").read_text(encoding="utf-8")


def test_the_default_model_passes_its_gate(reproduced: BakedProject) -> None:
    assert read(reproduced, "reports/gate.json")["passed"]
    shown = reproduced.run("flight-delays", "show").stdout
    assert "The gate passed" in shown
    assert "roc_auc" in shown


def test_intervals_resample_whole_days_with_a_split_by_time(reproduced: BakedProject) -> None:
    coverage = json.loads(reproduced.run("python", "-c", COVERAGE).stdout)
    assert coverage["days"] == pytest.approx(coverage["recorded"], abs=1e-5)
    assert coverage["rows"] != pytest.approx(coverage["recorded"], abs=1e-3)


def test_a_second_run_does_nothing(reproduced: BakedProject) -> None:
    assert "Data and pipelines are up to date" in reproduced.run("dvc", "repro").stdout


def test_a_run_leaves_in_git_only_what_is_meant_to_be_committed(reproduced: BakedProject) -> None:
    assert reproduced.run("git", "status", "--porcelain").stdout == ""
    added = reproduced.run("git", "diff", "--name-only", "HEAD~1").stdout.split()
    reports = {f"reports/{name}" for name in REPORTS}
    plots = {name for name in added if name.startswith("reports/plots/")}
    models = {"models/model.json", "models/examples.json"}
    assert set(added) - plots == {"dvc.lock", "metrics.json"} | models | reports


def test_a_fresh_clone_makes_the_same_bytes_whatever_its_shell_sets(
    reproduced: BakedProject,
) -> None:
    reproduced.run("dvc", "push", "data/source.dvc")
    clone = reproduced.clone(reproduced.path.parent / "other_shell")
    clone.run("dvc", "pull", "data/source.dvc")
    (clone.path / "dvc.lock").unlink()
    clone.run("dvc", "repro", PYTHONHASHSEED="7", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert lock(clone) == lock(reproduced)
    models = ("models/model.json", "models/examples.json")
    for name in ("metrics.json", *models, *(f"reports/{report}" for report in REPORTS)):
        assert (clone.path / name).read_bytes() == (reproduced.path / name).read_bytes()


def test_a_stage_run_by_hand_makes_the_bytes_that_a_fork_made_for_dvc(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / "copy")
    for words in ("split", "train schedule_weather boosting", "select", "evaluate", "card"):
        copy.run("python", "-m", "flight_delays", *words.split())
    assert "up to date" in copy.run("dvc", "status").stdout


@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels of x86-64 are compared")
def test_another_processor_computes_the_same_metrics(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    """The kernels of OpenBLAS for processors without AVX stand in for another processor."""
    copy = reproduced.copy(tmp_path / "copy")
    for words in ("train schedule_weather linear", "select", "evaluate"):
        copy.run("python", "-m", "flight_delays", *words.split(), OPENBLAS_CORETYPE="PRESCOTT")
    held_out = "models/candidates/schedule_weather-linear.parquet"
    assert (copy.path / held_out).read_bytes() != (reproduced.path / held_out).read_bytes()
    there, here = (read(project, "metrics.json") for project in (copy, reproduced))
    for name, estimate in here.items():
        assert there[name] == pytest.approx(estimate, abs=0.001), name


def test_a_teammate_gets_the_bytes_without_running_anything(
    reproduced: BakedProject,
) -> None:
    reproduced.run("dvc", "push")
    clone = reproduced.clone(reproduced.path.parent / "teammate")
    clone.run("dvc", "pull")
    assert "up to date" in clone.run("dvc", "status").stdout
    model = (clone.path / "models/model.onnx").read_bytes()
    assert hashlib.sha256(model).hexdigest() == read(clone, "models/model.json")["sha256"]


def test_the_declared_plots_are_drawn(reproduced: BakedProject, tmp_path: Path) -> None:
    reproduced.run("dvc", "plots", "show", "--out", tmp_path / "plots")
    page = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    titles = ("ROC curve", "Precision-recall curve", "Calibration", "Confusion matrix")
    for title in (*titles, "Permutation importance"):
        assert title in page


def test_the_catalogue_names_every_feature_that_is_used(reproduced: BakedProject) -> None:
    page = (reproduced.path / "reports/features.md").read_text(encoding="utf-8")
    params = yaml.safe_load((reproduced.path / "params.yaml").read_text(encoding="utf-8"))
    for features in params["train"]["features"].values():
        assert all(f"| {name} |" in page for name in features)


def test_one_candidates_parameter_retrains_only_that_candidate(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / "copy")
    copy.edit("params.yaml", train__hyperparameters__linear__C=0.5)
    changed = copy.run("dvc", "status", "--json").stdout
    stages = set(json.loads(changed))
    assert stages == {"train@schedule-linear", "train@schedule_weather-linear"}


def test_the_infrastructure_runs_without_the_ml(project: BakedProject, tmp_path: Path) -> None:
    """With the prior as the only candidate, the gate fails and all reports are written."""
    copy = project.copy(tmp_path / "copy")
    copy.edit("params.yaml", train__models=["prior"], train__feature_sets=["schedule"])
    copy.run("dvc", "repro")
    refused = [check for check in read(copy, "reports/gate.json")["checks"] if not check["passed"]]
    assert "better_than_baseline" in [check["name"] for check in refused]
    assert all(copy.has_file(f"reports/{name}") for name in REPORTS)
    assert copy.run("flight-delays", "show", check=False).returncode == 1


def test_the_gate_refuses_the_metrics_of_a_real_run_beyond_its_limits(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / "copy")
    copy.edit("params.yaml", gate__floor=0.99, gate__worst_slice=0.99)
    copy.edit("params.yaml", gate__calibration=0, gate__parity=0, gate__model_megabytes=0)
    copy.edit("params.yaml", gate__quarantined=0, gate__missing_rise=0, gate__share_shift=0)
    copy.edit("params.yaml", gate__max_age_days=0)
    copy.run("dvc", "repro", "gate")
    passed = {
        check["name"] for check in read(copy, "reports/gate.json")["checks"] if check["passed"]
    }
    assert passed == {"better_than_baseline", "coverage", "leakage"}


def test_a_candidate_taken_out_leaves_nothing_behind(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / "copy")
    copy.edit("params.yaml", train__models=["prior", "linear"])
    copy.run("dvc", "repro", "select")
    names = {path.stem for path in (copy.path / "models/candidates").glob("*.onnx")}
    assert names == {
        f"{features}-{model}"
        for features in ("schedule", "schedule_weather")
        for model in ("prior", "linear")
    }
