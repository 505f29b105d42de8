"""`monitor` judges simulated logs, whose truth the test knows, correctly."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from machinery.commands.cli import app
from machinery.monitoring.monitor import monitor
from machinery.monitoring.outcomes import EvaluatedModel, Metrics, measure
from machinery.monitoring.outcomes import violations as violated
from machinery.monitoring.output import prometheus, write
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import UserError
from monitoring.world import LOG, START, contract_of, evaluated, log, rows
from shop import features
from shop.model_folder import document
from shop.project import Shop

DAY = timedelta(days=1)
FEBRUARY, MARCH, APRIL = datetime(2026, 2, 1), datetime(2026, 3, 1), datetime(2026, 4, 1)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    yield
    contracts.load.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["monitor", *arguments], obj=Shop())


def report_of(model: EvaluatedModel, **span: Any) -> dict[str, Any]:
    return monitor(features, model, LOG, **span)


def violations(report: dict[str, Any]) -> dict[str, list[str]]:
    return {window["name"]: sorted(window["violations"]) for window in report["windows"]}


REFERENCE = rows(START - 60 * DAY, 60, 50, seed=9)


@pytest.fixture
def model() -> EvaluatedModel:
    return evaluated(contract_of(), REFERENCE)


def test_a_model_that_performs_as_evaluated_has_no_alarm(model: EvaluatedModel) -> None:
    log(rows(START, 90, 40), model.contract)
    report = report_of(model)
    assert violations(report) == {"2026-01": [], "2026-02": [], "2026-03": []}
    assert report["alarms"] == [] and not report["retrain"]["answer"]
    assert report["faults"] == {}
    first = report["windows"][0]
    assert (first["rows"], first["labelled"], first["skew"]["differ"]) == (1240, 1240, 0)
    assert first["figures"]["calibration"]["low"] < 0 < first["figures"]["calibration"]["high"]
    assert first["estimated"] == pytest.approx(first["figures"]["roc_auc"]["value"], abs=0.03)


def test_predictions_that_are_too_high_violate_calibration_alone(model: EvaluatedModel) -> None:
    log(pd.concat([rows(START, 31, 40), rows(FEBRUARY, 28, 40, 2, off=0.8)]), model.contract)
    report = report_of(model)
    assert violations(report) == {"2026-01": [], "2026-02": ["calibration"]}
    (alarm,) = report["alarms"]
    assert alarm["window"] == "2026-02" and "above what happened" in alarm["sentence"]
    assert not report["retrain"]["answer"]  # one bad window of the two that are needed
    assert "2 are needed" in report["retrain"]["why"]


def test_predictions_that_no_longer_rank_violate_headline_and_estimate(
    model: EvaluatedModel,
) -> None:
    log(rows(START, 31, 60, noise=4.0), model.contract)
    report = report_of(model)
    window = report["windows"][0]
    assert {"headline", "estimate"} <= {*window["violations"]}
    assert window["estimated"] > window["figures"]["roc_auc"]["value"] + 0.05
    assert window["figures"]["gap"]["high"] < 0


def test_two_bad_windows_of_three_retrain_unless_the_latest_is_good(model: EvaluatedModel) -> None:
    good, bad = rows(START, 31, 40), rows(FEBRUARY, 59, 40, 2, off=1.0)
    log(pd.concat([good, bad]), model.contract)
    assert report_of(model)["retrain"]["answer"]
    log(rows(APRIL, 30, 40, 3), model.contract)
    report = report_of(model)
    assert not report["retrain"]["answer"]
    assert "not the latest, 2026-04" in report["retrain"]["why"]


def test_inputs_that_move_are_drift_and_no_alarm(model: EvaluatedModel) -> None:
    table = rows(START, 59, 120)
    later = table["at"] >= FEBRUARY
    heavy = table[later & (table["weight"] > 10)]
    log(pd.concat([table[~later], heavy]), model.contract)
    report = report_of(model)
    assert [alarm["name"] for alarm in report["alarms"]] in ([], ["headline"])
    drift = report["drift"]["training"]
    drifted = {column["column"]: column["drifted"] for column in drift["columns"]}
    assert drifted["weight"] and not drifted["colour"]
    assert drift["apart"]["roc_auc"] > 0.6
    assert list(drift["apart"]["columns"])[0] == "weight"
    assert not report["retrain"]["answer"]
    assert "calibration" not in report["windows"][1]["violations"]


def test_a_regression_is_judged_by_its_bias_and_its_estimated_error() -> None:
    contract = contract_of("regression")
    model = evaluated(contract, REFERENCE)
    log(pd.concat([rows(START, 31, 40), rows(FEBRUARY, 28, 40, 2, off=0.9)]), contract)
    report = report_of(model)
    assert violations(report)["2026-01"] == []
    window = report["windows"][1]
    assert {"calibration", "headline", "estimate"} <= {*window["violations"]}
    assert window["figures"]["bias"]["value"] == pytest.approx(0.9, abs=0.1)
    assert window["estimated"] == pytest.approx(0.8, abs=0.1)  # E|N(0, 1)|: it cannot see the bias
    assert window["figures"]["gap"]["low"] > 0.1


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_window_of_few_rows_one_class_or_no_outcome_has_no_verdict(task: str) -> None:
    contract = contract_of(task)
    model = evaluated(contract, REFERENCE)
    few = rows(START, 2, 30)
    same = rows(FEBRUARY, 28, 40, 2).assign(late=True, days=2.0)
    log(few, contract)
    log(same, contract)
    log(rows(MARCH, 31, 20, 3), contract, labelled=False)
    report = report_of(model)
    first, second, third = report["windows"]
    assert not first["enough"] and not third["enough"] and third["labelled"] == 0
    assert third["violations"].keys() <= {"quality", "freshness"}
    assert "freshness" in third["violations"]  # no outcome came in for a month
    assert second["enough"] == (task == "regression" or "calibration" in second["violations"])
    assert report["latest"] == "2026-03"


def test_a_window_that_is_not_over_has_figures_but_no_verdict(model: EvaluatedModel) -> None:
    log(pd.concat([rows(START, 31, 40), rows(FEBRUARY, 12, 40, 2, off=3.0)]), model.contract)
    report = report_of(model)
    assert report["latest"] == "2026-01" and report["alarms"] == []
    running = report["windows"][1]
    assert not running["over"] and running["figures"]["calibration"]["value"] > 0.2


def test_data_quality_names_missing_new_and_few_values(model: EvaluatedModel) -> None:
    bad = rows(FEBRUARY, 28, 10, 2)
    bad.loc[bad.index[::2], "weight"] = np.nan
    bad.loc[bad.index[::3], "town"] = "Atlantis"
    log(pd.concat([rows(START, 31, 40), bad]), model.contract)
    sentence = report_of(model)["windows"][1]["violations"]["quality"]
    assert "50.0% of weight is missing, at most 1.0% in training" in sentence
    assert "of town is not in training" in sentence
    assert "10 rows a day, 40 in the window before" in sentence


def test_a_seasonal_column_may_leave_its_range_and_stands_apart_in_drift() -> None:
    contract = contract_of(weight={"seasonal": True, "allowed": None})
    model = evaluated(contract, REFERENCE)
    table = rows(START, 31, 40)
    log(table.assign(weight=table["weight"] + 20), contract)
    report = report_of(model)
    assert "quality" not in report["windows"][0]["violations"]
    assert report["windows"][0]["quality"]["weight"]["new"]["value"] > 0.3
    drift = report["drift"]["training"]
    assert drift["apart_with_seasonal"]["roc_auc"] > 0.8 > drift["apart"]["roc_auc"]


def test_features_that_the_service_computed_differently_are_skew(model: EvaluatedModel) -> None:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(mass=np.where(table.index == table.index[0], 1.0, table["mass"]))

    log(rows(START, 31, 40), model.contract, change=spoil)
    window = report_of(model)["windows"][0]
    assert window["skew"] == {"rows": 1240, "differ": 31, "features": {"mass": 31}}
    assert "31 of 1240 rows" in window["violations"]["skew"]


def test_features_of_personal_columns_are_not_compared_since_the_log_hides_them() -> None:
    contract = contract_of(town={"personal": True})
    model = evaluated(contract, REFERENCE)
    log(rows(START, 31, 40), contract)  # null, where features.py makes "missing" of null
    assert report_of(model)["windows"][0]["skew"]["differ"] == 0


def test_a_canary_is_compared_on_its_outcomes(model: EvaluatedModel) -> None:
    log(rows(START, 31, 60, 1), model.contract, version="v1")
    log(rows(START + DAY, 30, 30, 2, noise=4.0), model.contract, version="v2")
    report = report_of(model)
    canary = report["models"]
    assert (canary["older"], canary["newer"], canary["verdict"]) == ("v1", "v2", "worse")
    assert report["model_version"] == "v1" and report["windows"][0]["others"] == {"v2": 900}
    assert "monitoring_canary_worse 1" in prometheus(report)
    log(rows(START + DAY, 30, 60, 3), model.contract, version="v3")
    canary = report_of(model)["models"]
    assert (canary["newer"], canary["verdict"]) == ("v3", "no significant difference")


def test_unusable_lines_and_outcomes_are_counted(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract)
    other = contract_of(pieces={"type": "string", "allowed": None})
    log(rows(START, 1, 5, 4).assign(pieces="many"), other, version="old")
    (path, *_) = sorted(LOG.glob("*.jsonl"), key=lambda path: -path.stat().st_size)
    now = datetime.now().astimezone()
    early = (now - 9 * DAY).isoformat()
    feedback = [
        {"request_id": "nobody", "row": 0, "outcome": True},
        {"request_id": _a_request(path), "row": 0, "outcome": "perhaps"},
        {"request_id": _a_request(path), "row": 1, "outcome": True, "time": early},
    ]
    with path.open("a") as file:
        for outcome in feedback:
            file.write(json.dumps({"line": "outcome", "time": now.isoformat(), **outcome}) + "\n")
        file.write('{"line": "answers", "torn')
    report = report_of(model)
    faults = report["faults"]
    assert faults.pop("rows are of another contract") == 5
    assert faults.pop("lines cannot be read") == 1
    assert faults.pop("outcomes are of a request that the log lacks") == 1
    assert faults.pop("outcomes were given again; the newest counts") == 2
    assert faults.pop("outcomes are no value of late") == 1
    assert faults == {}
    assert report["windows"][0]["labelled"] == 1239


def _a_request(path: Path) -> str:
    with path.open() as file:
        return next(
            str(line["request_id"]) for line in map(json.loads, file) if line["line"] == "answers"
        )


def test_an_outcome_from_before_its_answer_is_counted(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract, labelled=False)
    (path,) = LOG.glob("*.jsonl")
    early = {"line": "outcome", "time": "2020-01-01T00:00:00Z", "request_id": _a_request(path)}
    with path.open("a") as file:
        file.write(json.dumps({**early, "row": 0, "outcome": True}) + "\n")
    assert report_of(model)["faults"] == {"outcomes are dated before their answer": 1}


def test_a_span_without_rows_is_refused(model: EvaluatedModel) -> None:
    log(rows(START, 3, 5), model.contract)
    with pytest.raises(UserError, match=r"in the span \(it covers 2026-01-01 .* --from"):
        report_of(model, start=APRIL)
    result = run("--log", "nowhere")
    assert result.exit_code == 2 and "nowhere is not a folder" in result.stderr


def test_the_span_cuts_windows(model: EvaluatedModel) -> None:
    log(rows(START, 59, 10), model.contract)
    report = report_of(model, start=START + 10 * DAY, end=START + 20 * DAY)
    assert [(w["name"], w["rows"]) for w in report["windows"]] == [("2026-01", 100)]
    timeless = model.contract.model_copy(update={"time": None})
    log(rows(START, 1, 5), timeless, Path("other"))
    (window,) = monitor(features, replace(model, contract=timeless), Path("other"))["windows"]
    assert window["name"] == f"{datetime.now():%Y-%m}"


@pytest.mark.parametrize(
    ("window", "names"),
    [
        ("day", ["2026-01-01", "2026-01-02", "2026-01-03"]),
        ("week", ["2025-12-29", "2026-01-05", "2026-01-12"]),  # Mondays
        ("month", ["2026-01", "2026-02", "2026-03"]),
    ],
)
def test_windows_are_days_weeks_from_monday_or_months(window: str, names: list[str]) -> None:
    contract = contract_of()
    model = evaluated(contract, REFERENCE, window=window)
    log(rows(START, 70, 5), contract)
    report = report_of(model, end=START + (3 if window == "day" else 70) * DAY)
    assert [w["name"] for w in report["windows"]][:3] == names
    assert sum(w["rows"] for w in report["windows"]) == (15 if window == "day" else 350)


def test_the_sample_is_bounded_and_the_same_when_lines_have_become_parquet() -> None:
    from machinery.serving.log_files import compact

    contract = contract_of()
    model = evaluated(contract, REFERENCE, sample_rows=100)
    log(rows(START, 31, 40), contract)
    before = report_of(model)
    assert before["windows"][0]["skew"]["rows"] == 100
    assert compact(LOG, datetime(2100, 1, 1, tzinfo=UTC)).rows == 2 * 31 * 40
    assert report_of(model) == before


def test_the_command_writes_every_file_and_fails_with_check(model: EvaluatedModel) -> None:
    log(rows(START, 59, 40, off=1.0), model.contract)
    result = run()
    assert result.exit_code == 0, result.output
    assert "Retrain: 2 of the last 2 windows violate" in " ".join(result.output.split())
    folder = Path("reports/monitoring")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("index.html", "metrics.json", "monitoring.json", "windows.json")
    ]
    report = json.loads((folder / "monitoring.json").read_text())
    assert json.loads((folder / "metrics.json").read_text())["window"] == "2026-02"
    assert len(json.loads((folder / "windows.json").read_text())) == 2
    gauges = LOG / "monitoring.prom"
    assert gauges.stat().st_mode & 0o777 == 0o600
    assert 'monitoring_violation{name="calibration"} 1.0' in gauges.read_text()
    assert "monitoring_retrain 1" in gauges.read_text()
    assert json.loads(run("--json").stdout) == report
    failed = run("--check")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("calibration: predictions are on average")


def test_the_page_loads_nothing_and_shows_the_worst_of_many_columns() -> None:
    described = contract_of()
    wide = {f"c{n}": described.columns["weight"] for n in range(500)}
    contract = described.model_copy(update={"columns": {**described.columns, **wide}})
    model = evaluated(described, REFERENCE)
    log(rows(START, 31, 40), described)
    report = report_of(model)
    one = report["drift"]["training"]["columns"][0]
    quality = report["windows"][0]["quality"]
    for name in wide:
        report["drift"]["training"]["columns"].append({**one, "column": name})
        quality[name] = {**quality["weight"], "missing": {"value": 0.5, "low": 0.4, "high": 0.6}}
    write(report, replace(model, contract=contract), "shop", LOG)
    page = Path("reports/monitoring/index.html").read_bytes()
    assert len(page) < 1_000_000
    text = page.decode()
    assert not re.search(r"(src|href)=\"(?!#|data:)", text) and "<script" not in text
    assert text.count(">c1") < 30  # 20 of 500 in each table


def test_of_several_classes_calibration_is_that_of_the_most_probable_one() -> None:
    described = contract_of(colour={"known": "after", "allowed": ["red", "blue", "green"]})
    contract = described.model_copy(update={"target": "colour"})
    model = replace(evaluated(contract_of(), REFERENCE), contract=contract)
    random = np.random.default_rng(1)
    probability = random.dirichlet([1, 1, 2], 3000)
    target = np.array([random.choice(3, p=row) for row in probability], dtype=float)
    at = pd.Series(START + np.arange(3000) % 30 * DAY).astype("datetime64[us]")
    table = pd.DataFrame(contract.spread(probability)).assign(at=at, target=target)
    right = measure(table, model)
    assert abs(right["calibration"].value) < 0.02
    assert "calibration" not in violated(right, replace(model, metrics=_as_measured(right)))
    sure = np.eye(3)[probability.argmax(axis=1)] * 0.9 + 0.1 / 3
    spoilt = measure(table.assign(**contract.spread(sure)), model)
    assert spoilt["calibration"].low > 0.2
    assert "calibration" in violated(spoilt, replace(model, metrics=_as_measured(right)))


def _as_measured(measured: Metrics) -> dict[str, Any]:
    return {name: interval.as_dict() for name, interval in measured.items()}


def test_without_new_outcomes_the_window_before_keeps_its_verdict(model: EvaluatedModel) -> None:
    log(rows(START, 59, 40, off=1.0), model.contract)
    log(rows(MARCH, 31, 40, 3), model.contract, labelled=False)
    report = report_of(model)
    assert (report["latest"], report["retrain"]["answer"]) == ("2026-03", True)
    assert {(alarm["name"], alarm["window"]) for alarm in report["alarms"]} == {
        ("calibration", "2026-02"),
        ("freshness", "2026-03"),
    }
    write(report, model, "shop", LOG)  # a window without any outcome has a page
    gauges = (LOG / "monitoring.prom").read_text()
    assert 'monitoring_violation{name="calibration"} 1.0' in gauges
    assert 'monitoring_violation{name="freshness"} 1.0' in gauges
    assert 'monitoring_value{figure="calibration"}' in gauges


def test_a_row_dated_ahead_does_not_end_the_windows_before_it(model: EvaluatedModel) -> None:
    log(pd.concat([rows(START, 12, 40), rows(datetime(2027, 3, 1), 1, 3)]), model.contract)
    assert [w["over"] for w in report_of(model)["windows"]] == [False, False]
    log(rows(START + 12 * DAY, 19, 40), model.contract)
    log(rows(datetime(9999, 12, 1), 1, 3), model.contract)
    report = report_of(model)
    assert report["latest"] == "2026-01"
    assert [w["over"] for w in report["windows"]] == [True, False]
    assert report["faults"] == {"rows are dated more than a year ahead": 3}


def test_predictions_that_are_not_finite_are_counted(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract)
    (path,) = LOG.glob("*.jsonl")
    lines = path.read_text().splitlines()
    at = next(place for place, line in enumerate(lines) if '"line":"answers"' in line)
    spoilt = json.loads(lines[at])
    spoilt["answers"]["prediction"][0] = [None, None]
    lines[at] = json.dumps(spoilt)
    path.write_text("\n".join(lines) + "\n")
    report = report_of(model)
    assert report["faults"] == {"rows have no finite prediction": 1}
    assert report["windows"][0]["rows"] == 1239


@pytest.mark.parametrize("part", ["raw", "features", "answers"])
def test_json_that_is_not_an_answer_is_counted_like_a_torn_line(part: str) -> None:
    contract = contract_of()
    model = evaluated(contract, REFERENCE)
    log(rows(START, 31, 40), contract)
    (path,) = LOG.glob("*.jsonl")
    answered = next(line for line in path.read_text().splitlines() if '"line":"answers"' in line)
    outcome = {"line": "outcome", "time": "2026-01-02T00:00:00Z", "request_id": "x", "row": 0}
    with path.open("a") as file:
        for wrong in ({}, {"weight": ["far"]}, None):
            file.write(json.dumps({**json.loads(answered), part: wrong}) + "\n")
        for wrong in ({"outcome": {}}, {"outcome": [1]}, {"outcome": True, "row": 2**40}):
            file.write(json.dumps({**outcome, **wrong}) + "\n")
    Path(LOG, "2026-01-01-folder.jsonl").mkdir()
    faults = report_of(model)["faults"]
    assert faults == {"lines cannot be read": 6}


def test_impossible_outcomes_of_a_regression_are_counted() -> None:
    contract = contract_of("regression", days={"allowed": {"min": -20, "max": 20}})
    model = evaluated(contract, REFERENCE)
    table = rows(START, 31, 40)
    table.loc[0, "days"], table.loc[1, "days"] = 1e308, 21.0
    log(table, contract)
    report = report_of(model)
    assert report["faults"] == {"outcomes are no value of days": 2}
    assert report["windows"][0]["enough"]
    write(report, model, "shop", LOG)


def test_a_day_has_an_interval_over_its_hours() -> None:
    contract = contract_of()
    model = evaluated(contract, REFERENCE, window="day", min_rows=50)
    log(rows(START, 3, 200), contract)
    report = report_of(model)
    assert all(w["enough"] for w in report["windows"])


def test_a_span_of_the_log_leaves_monitoring_json_and_the_gauges(model: EvaluatedModel) -> None:
    log(rows(START, 59, 40, off=1.0), model.contract)
    assert run().exit_code == 0
    acted_on = [Path("reports/monitoring/monitoring.json"), LOG / "monitoring.prom"]
    before = [path.read_bytes() for path in acted_on]
    assert run("--from", "2026-02-01").exit_code == 0
    assert [path.read_bytes() for path in acted_on] == before


def test_brackets_are_printed_literally(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract, version="v1 [/red] [beta]")
    assert "Model v1 [/red] [beta] in 2026-01" in run().stdout


def test_a_training_table_of_another_contract_is_not_used(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract)
    table = pd.read_parquet("data/train.parquet").drop(columns="town").assign(weight="heavy")
    table.to_parquet("data/train.parquet")
    report = report_of(model)
    assert report["faults"] == {"columns data/train.parquet lacks, or has as another type": 2}
    assert report["drift"]["training"] is None
    Path("reports/monitoring").write_text("a file")
    assert run().exit_code == 2
    Path("metrics.json").write_text("{}")
    assert "metrics.json lacks log_loss, roc_auc; run 'dvc repro'" in run().stderr


def test_a_log_of_shadows_alone_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contract = contract_of()
    model = evaluated(contract, REFERENCE)
    log(rows(START, 31, 10), contract, role="shadow")
    with pytest.raises(UserError, match="no answers of a champion"):
        report_of(model)
    monkeypatch.chdir("reports")
    assert "run the command in the folder of the project" in run().stderr


@pytest.mark.parametrize("name", ["role", "time", "target", "window", "draw", "outcome"])
def test_a_column_to_slice_by_may_have_any_name(name: str) -> None:
    described = document("classification")
    described["columns"][name] = described["columns"].pop("colour")
    contract = contracts.parse(described)
    table = rows(START, 31, 40).rename(columns={"colour": name})
    model = evaluated(contract, REFERENCE.rename(columns={"colour": name}))
    sliced = model.evaluate.model_copy(update={"slices": [name]})
    log(table, contract)
    (window,) = report_of(replace(model, evaluate=sliced))["windows"]
    assert {(part["column"], part["slice"]) for part in window["slices"]} == {
        (name, "red"),
        (name, "blue"),
    }
    assert (window["rows"], window["labelled"], window["violations"]) == (1240, 1240, {})


def test_the_group_may_be_a_slice_column_and_one_may_be_named_twice(model: EvaluatedModel) -> None:
    log(rows(START, 31, 40), model.contract)
    contract = model.contract.model_copy(update={"group": "colour"})
    sliced = model.evaluate.model_copy(update={"slices": ["colour", "colour"]})
    (window,) = report_of(replace(model, contract=contract, evaluate=sliced))["windows"]
    assert {part["column"] for part in window["slices"]} == {"colour"}


def test_a_fault_with_quotes_is_a_label_that_prometheus_reads(model: EvaluatedModel) -> None:
    log(rows(START, 31, 10), model.contract)
    report = report_of(model) | {"faults": {'outcomes are no value of "a\\b"': 1}}
    (sample,) = next(
        family.samples
        for family in text_string_to_metric_families(prometheus(report))
        if family.name == "monitoring_faults"
    )
    assert sample.labels == {"fault": 'outcomes are no value of "a\\b"'}
