"""params.yaml: every fault is one sentence that names the parameter."""

from typing import Any

import pytest

from machinery.pipeline import params
from machinery.pipeline.files import UserError


def train_section(**changes: Any) -> dict[str, Any]:
    section = {
        "feature_sets": ["few", "all"],
        "models": ["prior", "linear"],
        "features": {"few": ["a"], "all": ["a", "b"]},
        "hyperparameters": {"prior": {}, "linear": {"C": 1.0}},
        "folds": 2,
        "seed": 1,
        "parity": {"rows": 10, "limit": 1e-4},
    }
    return {"train": section | changes}


def test_candidates_are_listed_simplest_model_first() -> None:
    names = params.parse(params.Train, train_section()).candidates()
    assert names == ["few-prior", "all-prior", "few-linear", "all-linear"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"featurise": {}}, "section 'train' is missing"),
        ({}, "section 'train' is missing"),
        (train_section(folds=1), "train.folds is 1; input should be greater than or equal to 2"),
        (train_section(fold=1), "train.fold is not a known parameter"),
        (train_section(models=["oracle"]), "models names oracle, which train.hyperparameters"),
        (train_section(feature_sets=["best"]), "feature_sets names best, which train.features"),
        (train_section(parity={"rows": 10}), "train.parity.limit is missing; add it"),
    ],
)
def test_a_fault_is_one_sentence(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        params.parse(params.Train, document)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_data_window_with_a_time_zone_is_refused() -> None:
    section = {"until": "2013-08-01T00:00+02:00", "source": {}}
    with pytest.raises(UserError, match="ingest.until is 2013-08-01T00:00.02:00; remove the time "):
        params.parse(params.Ingest, {"ingest": section})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rows": 1}, "split.leakage.rows is 1; input should be greater than or equal to 100"),
        ({"allow": {"identifier": {"tail": ""}}}, "split.leakage.allow.identifier.tail is ''"),
        ({"allow": {"tail": "it is fixed"}}, "split.leakage.allow.tail is 'it is fixed'; input sh"),
    ],
    ids=["too few rows", "no reason", "no probe"],
)
def test_leakage_probes_need_rows_and_exceptions_a_reason(
    change: dict[str, Any], sentence: str
) -> None:
    leakage = {"limit": 0.95, "rows": 100, "allow": {}} | change
    section = {"by": "time", "test_days": 2, "test_share": 0.2, "seed": 1, "leakage": leakage}
    with pytest.raises(UserError) as caught:
        params.parse(params.Split, {"split": section})
    assert sentence in str(caught.value)


def test_an_empty_section_names_all_that_is_missing() -> None:
    with pytest.raises(UserError, match=r"select\.headline is missing; add it; select\.threshold"):
        params.parse(params.Select, {"select": None})


@pytest.mark.parametrize(
    ("kind", "section", "sentence"),
    [
        (params.Ingest, {"until": "0001-01-01", "source": {}}, "ingest.until is '0001-01-01'"),
        (params.Validate, {"window_days": 9e29}, "validate.window_days is 9e+29"),
        (params.Validate, {"level": float("nan")}, "validate.level is nan"),
        (params.Report, {"seed": -1}, "report.seed is -1"),
        (params.Report, {"seed": 2**40}, "report.seed is 1099511627776"),
        (params.Evaluate, {"bins": 10**9}, "evaluate.bins is 1000000000"),
        (params.Gate, {"floor": float("nan")}, "gate.floor is nan; input should be a finite"),
        (params.Gate, {"parity": float("inf")}, "gate.parity is inf; input should be a finite"),
    ],
)
def test_every_parameter_has_a_range(
    kind: type[params.Section], section: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        params.parse(kind, {kind.__name__.lower(): section})
    assert sentence in str(caught.value)


def test_sections_of_the_users_own_are_allowed() -> None:
    assert params.parse(params.Train, train_section() | {"explore": {"bins": 5}}).folds == 2


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [
        ({"rule": "recall", "value": None}, "value is None; set it for cost_ratio and recall"),
        ({"rule": "balanced_accuracy", "value": 2}, "value is 2.0; set it for cost_ratio and"),
        ({"rule": "recall", "value": 1.5}, "value is 1.5; a recall is at most 1"),
        ({"rule": "luck", "value": 1}, "select.threshold.rule is 'luck'"),
    ],
)
def test_the_value_of_a_threshold_fits_its_rule(threshold: dict[str, Any], sentence: str) -> None:
    section = {"headline": "roc_auc", "coverage": 0.9, "threshold": threshold}
    with pytest.raises(UserError) as caught:
        params.parse(params.Select, {"select": section})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"low": "few", "high": 2}, "search.linear.C.low: 'few' is not a number"),
        ({"low": True, "high": 2}, "search.linear.C.low: True is not a number"),
        ({"low": 0, "high": 2, "log": True}, "search.linear.C: 0 to 2 is not a range of logar"),
        ({"low": 2, "high": 2}, "search.linear.C: 2 to 2 is not a range"),
        ({"low": 2}, "search.linear.C.high is missing; add it"),
        ([1], "search.linear.C is [1]; list should have at least 2 items"),
        (3, "search.linear.C is 3; "),
    ],
)
def test_a_range_to_search_is_checked(values: object, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        params.parse(params.Search, {"search": {"linear": {"C": values}}})
    assert sentence in str(caught.value)
