"""train: folds that respect the split, and predictions only for rows not trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.neighbors import KNeighborsClassifier
from xgboost import XGBRegressor

from machinery.pipeline import files
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.model.building import Candidates
from machinery.pipeline.model.model_file import Kind
from machinery.pipeline.params import Train, parse
from machinery.pipeline.stages.train import (
    Fitting,
    Trained,
    folds,
    kinds_of,
    read_rows,
    score,
    train,
)
from shop.candidates import CANDIDATES


def params(**changes: Any) -> Train:
    section = {
        "feature_sets": ["few"],
        "models": ["prior", "linear"],
        "features": {"few": ["length"]},
        "hyperparameters": {"prior": {}, "linear": {"C": 1.0}},
        "folds": 3,
        "seed": 1,
        "parity": {"rows": 10, "limit": 1e-4},
    }
    return parse(Train, {"train": section | changes})


def features(rows: int = 80) -> pd.DataFrame:
    random = np.random.default_rng(1)
    late = np.arange(rows) % 4 == 3
    return pd.DataFrame(
        {
            "id": [f"row {number:02}" for number in range(rows)],
            "at": pd.date_range("2013-01-01", periods=rows),
            "colour": np.arange(rows) // 4,
            "late": late,
            "length": (late + random.normal(size=rows)).astype(np.float32),
        }
    )


def fit(
    table: pd.DataFrame,
    contract: Contract,
    name: str,
    by: str,
    candidates: Candidates = CANDIDATES,
    **changes: Any,
) -> Trained:
    kinds: dict[str, Kind] = {"length": "number"} | ({"tint": "string"} if "tint" in table else {})
    work = Fitting(table, kinds, contract, candidates, name, params(**changes), {})
    return train(work, by)


def hyper(name: str, **hyperparameters: Any) -> dict[str, Any]:
    return {"models": [name], "hyperparameters": {name: hyperparameters}}


def test_by_time_a_fold_is_later_than_the_rows_it_is_predicted_from(contract: Contract) -> None:
    for learned, held in folds(features(), contract, "time", params()):
        assert learned.max() < held.min()


def test_by_group_no_group_is_both_learned_from_and_held_out(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    table = features()
    for learned, held in folds(table, contract, "group", params()):
        assert set(table["colour"][learned]).isdisjoint(table["colour"][held])


def test_stratified_folds_hold_the_same_share_of_each_class(contract: Contract) -> None:
    table = features()
    for _, held in folds(table, contract, "stratified", params()):
        assert table["late"][held].mean() == pytest.approx(0.25, abs=0.02)


def test_scores_and_predictions_are_of_rows_not_trained_on(contract: Contract) -> None:
    trained = fit(features(), contract, "linear", "time")
    assert [score["rows"] for score in trained.scores] == [20, 20, 20]
    assert trained.out_of_fold["id"].tolist() == features()["id"].tolist()[20:]
    assert trained.out_of_fold["fold"].tolist() == sorted([0, 1, 2] * 20)
    assert "probability_true" in trained.out_of_fold


def test_each_fold_is_scored_at_the_threshold_of_the_others(contract: Contract) -> None:
    """All probabilities are below a half: at 0.5 every row would be predicted negative."""
    low = np.array([0.1, 0.2, 0.1, 0.2])
    predictions = [np.column_stack([1 - low, low])] * 3
    scores = score([np.array([0, 1, 0, 1])] * 3, predictions, contract)
    assert [fold["balanced_accuracy"] for fold in scores] == [1.0] * 3
    odd = np.array([0.3, 0.4, 0.3, 0.4])  # its own threshold would be 0.35
    predictions[0] = np.column_stack([1 - odd, odd])
    scores = score([np.array([0, 1, 0, 1])] * 3, predictions, contract)
    assert scores[0]["balanced_accuracy"] == 0.5


@pytest.mark.parametrize("name", ["linear", "forest", "boosting"])
def test_class_weights_raise_the_rarer_class(name: str, contract: Contract) -> None:
    means = [
        fit(features(), contract, name, "stratified", **hyper(name, **weights))
        .out_of_fold["probability_true"]
        .mean()
        for weights in ({}, {"class_weight": "balanced"}, {"class_weight": {0: 1, 1: 9}})
    ]
    assert means[0] < means[1] < means[2]


def test_rows_are_weighted_by_the_column_in_the_contract(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"nullable": False}
    contract = contracts.parse(document | {"weight": "size"})
    table = features().assign(size=lambda rows: 3.0 * rows["late"] + 0.5)
    pipeline = fit(table, contract, "prior", "stratified").pipeline
    weighted = 20 * 3.5 / (20 * 3.5 + 60 * 0.5)
    assert pipeline.predict_proba(table[["length"]])[0, 1] == pytest.approx(weighted)


def test_an_estimator_without_sample_weights_is_refused(document: dict[str, Any]) -> None:
    document["columns"]["size"] |= {"nullable": False}
    contract = contracts.parse(document | {"weight": "size"})
    near = {"near": lambda task: ("passthrough", "drop", KNeighborsClassifier())}
    with pytest.raises(UserError, match="near does not fit .KNeighborsClassifier takes no weights"):
        fit(features().assign(size=1.0), contract, "near", "time", near, **hyper("near"))


def test_an_error_in_a_fit_is_reported_in_one_sentence(contract: Contract) -> None:
    with pytest.raises(UserError, match=r"^linear does not fit \(Solver lbfgs .*params.yaml, or c"):
        fit(features(), contract, "linear", "time", **hyper("linear", l1_ratio=1.0))


CONSTRAINED = {
    "forest": lambda task: ("passthrough", "drop", RandomForestRegressor(20)),
    "boosting": lambda task: ("passthrough", "drop", HistGradientBoostingRegressor()),
    "lightgbm": lambda task: ("passthrough", "drop", LGBMRegressor(min_child_samples=2)),
    "xgboost": lambda task: ("passthrough", "drop", XGBRegressor(n_estimators=20)),
}


@pytest.mark.parametrize("name", CONSTRAINED)
def test_predictions_rise_and_fall_as_the_constraints_say(
    name: str, document: dict[str, Any]
) -> None:
    contract = contracts.parse(document | {"task": "regression", "target": "delay"})
    table, rising = features(200), np.linspace(-2, 3, 99, dtype=np.float32)
    table["delay"] = table["length"] + np.random.default_rng(2).normal(size=200)
    signs = {"monotonic_cst": {"length": 1, "elsewhere": -1}}
    steps = []
    for constraints in ({}, signs):
        changes = hyper(name, **constraints)
        trained = fit(table, contract, name, "stratified", CONSTRAINED, **changes)
        steps.append(np.diff(trained.pipeline.predict(pd.DataFrame({"length": rising}))).min())
    assert steps[0] < 0 <= steps[1]


@pytest.mark.parametrize(
    ("name", "feature", "fault"),
    [("linear", "length", "Regression takes no mono"), ("boosting", "tint", "tint, which is not")],
)
def test_impossible_constraints_are_refused(
    name: str, feature: str, fault: str, contract: Contract
) -> None:
    changes = hyper(name, monotonic_cst={feature: 1})
    with pytest.raises(UserError, match=rf"^{name} does not fit \(.*{fault}"):
        fit(features().assign(tint="red"), contract, name, "time", **changes)


@pytest.mark.parametrize(
    ("unusable", "fault"),
    [
        ({"length": np.float32("nan")}, "length is missing"),
        ({"late": np.arange(80) >= 40}, "late is false"),
    ],
)
def test_a_fold_with_a_missing_feature_or_a_single_class_is_refused(
    unusable: dict[str, Any], fault: str, contract: Contract
) -> None:
    with pytest.raises(UserError, match=f"{fault} in all 20 rows that fold 1 learns from"):
        fit(features().assign(**unusable), contract, "linear", "time")


@pytest.mark.parametrize(("by", "count"), [("time", 80), ("group", 21), ("stratified", 61)])
def test_more_folds_than_can_be_made_are_refused(
    by: str, count: int, document: dict[str, Any]
) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    with pytest.raises(UserError, match=rf"^params.yaml: train.folds: .*(={count}|={count + 1}) "):
        fit(features(), contract, "linear", by, folds=count)


def test_kinds_are_read_from_the_feature_table(tmp_path: Any) -> None:
    path = tmp_path / "train.parquet"
    write_table(features().assign(tint="red"), path)
    kinds = {"length": "number", "tint": "string"}
    assert kinds_of([*kinds], path, "params") == (kinds, {})


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(["width"], "names width, which features.py does not make"), (["length"] * 2, "length twice")],
)
def test_a_wrong_feature_set_is_refused(tmp_path: Any, names: list[str], sentence: str) -> None:
    path = tmp_path / "train.parquet"
    write_table(features(), path)
    with pytest.raises(UserError, match=sentence):
        kinds_of(names, path, "params.yaml: train.features.few")


def test_a_longer_table_is_sampled_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", 7)
    write_table(features(80), tmp_path / "x")
    (sample, total), (again, _), (other, _) = (
        read_rows(tmp_path / "x", ["id", "length"], 20, seed) for seed in (1, 1, 2)
    )
    assert (len(sample), total) == (20, 80)
    assert sample["id"].is_monotonic_increasing
    assert sample["id"].is_unique
    assert sample["id"].max() > "row 60" > "row 20" > sample["id"].min()
    pd.testing.assert_frame_equal(sample, again)
    assert other["id"].tolist() != sample["id"].tolist()


@pytest.mark.parametrize("limit", [None, 80, 1000])
def test_a_table_that_is_short_enough_is_read_whole(tmp_path: Path, limit: int | None) -> None:
    write_table(features(80), tmp_path / "x")
    table, total = read_rows(tmp_path / "x", ["id"], limit, seed=1)
    assert (len(table), total) == (80, 80)
