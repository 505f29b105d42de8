"""What `show` prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from machinery.commands.cli import app
from machinery.pipeline.files import write_json
from machinery.pipeline.paths import GATE, METRICS, MODEL_INFO, SELECTION
from shop.project import Shop


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json({"candidate": "few-linear"}, MODEL_INFO)
    write_json({"why": "few-linear is the best"}, SELECTION)
    write_json({"roc_auc": {"value": 0.7, "low": 0.68, "high": None}}, METRICS)


def write_gate(*, passed: bool) -> None:
    check = {"name": "floor", "value": 0.7, "limit": 0.65, "passed": passed, "why": "a reason"}
    write_json({"passed": passed, "checks": [check]}, GATE)


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize(("passed", "verdict"), [(True, "passed"), (False, "failed")])
def test_show_prints_the_model_its_metrics_and_the_gate(passed: bool, verdict: str) -> None:
    write_gate(passed=passed)
    result = CliRunner().invoke(app, ["show"], obj=Shop())
    assert result.exit_code == (0 if passed else 1)
    for text in ("few-linear is the best", "roc_auc", "0.68", f"The gate {verdict}"):
        assert text in result.output


@pytest.mark.usefixtures("reports")
def test_show_json_is_one_document() -> None:
    write_gate(passed=True)
    result = CliRunner().invoke(app, ["show", "--json"], obj=Shop())
    assert json.loads(result.output)["metrics"]["roc_auc"]["value"] == 0.7


def test_show_before_the_first_run_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["show"], obj=Shop())
    assert result.exit_code == 2
    assert "run 'dvc repro' to make it" in result.output
