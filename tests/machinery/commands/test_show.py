"""The command line: what it shows, and how it exits."""

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
    write_gate(passed=True)


def write_gate(*, passed: bool) -> None:
    check = {"name": "floor", "value": 0.7, "limit": 0.65, "passed": passed, "why": "a reason"}
    write_json({"passed": passed, "checks": [check]}, GATE)


@pytest.mark.usefixtures("reports")
def test_show_prints_the_model_its_metrics_and_the_gate() -> None:
    result = CliRunner().invoke(app, ["show"], obj=Shop())
    assert result.exit_code == 0
    for text in ("few-linear is the best", "roc_auc", "0.68", "The gate passed"):
        assert text in result.output


@pytest.mark.usefixtures("reports")
def test_show_exits_with_1_when_the_gate_failed() -> None:
    write_gate(passed=False)
    result = CliRunner().invoke(app, ["show"], obj=Shop())
    assert result.exit_code == 1
    assert "The gate failed" in result.output


@pytest.mark.usefixtures("reports")
def test_show_json_is_one_document() -> None:
    result = CliRunner().invoke(app, ["show", "--json"], obj=Shop())
    assert json.loads(result.output)["metrics"]["roc_auc"]["value"] == 0.7


def test_show_before_any_run_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["show"], obj=Shop())
    assert result.exit_code == 2
    assert "run 'dvc repro' to make it" in result.output
