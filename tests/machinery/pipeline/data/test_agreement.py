"""All params are checked against the contract before any stage runs."""

from typing import Any

import pytest

from machinery.pipeline.data import agreement
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError


def params(**changes: dict[str, Any]) -> dict[str, Any]:
    """A valid document with changes in some sections; it has a section of the user's own."""
    parity, importance = {"rows": 10, "limit": 0.1}, {"rows": 10, "repeats": 1}
    limits = ("floor", "calibration", "coverage_margin", "worst_slice", "parity")
    limits += ("model_megabytes", "quarantined", "missing_rise", "share_shift", "max_age_days")
    sections: dict[str, dict[str, Any]] = {
        "explore": {"mine": True},
        "ingest": {"until": None, "source": {}},
        "validate": {"quarantine_limit": 0.1, "window_days": 7, "level": 0.9},
        "split": {"by": "time", "test_days": 7, "test_share": 0.2, "seed": 1}
        | {"leakage": {"limit": 0.95, "rows": 100, "allow": {}}},
        "featurize": {"batch_rows": 10},
        "train": {"feature_sets": ["all"], "models": ["prior"], "features": {"all": ["size"]}}
        | {"hyperparameters": {"prior": {}}, "folds": 2, "seed": 1, "parity": parity},
        "select": {"headline": "roc_auc", "coverage": 0.9}
        | {"threshold": {"rule": "balanced_accuracy", "value": None}},
        "evaluate": {"level": 0.9, "samples": 100, "seed": 1, "slices": ["colour"]}
        | {"slice_min_rows": 10, "bins": 5, "importance": importance},
        "gate": dict.fromkeys(limits, 0.5) | {"leakage_exceptions": 0},
        "card": {"intended_use": "tests", "out_of_scope": "", "limits": []},
        "report": {"relevant": 0.0, "level": 0.9, "samples": 100, "seed": 1},
    }
    return {name: section | changes.get(name, {}) for name, section in sections.items()}


def test_params_that_fit_the_contract_are_fine(contract: Contract) -> None:
    agreement.require(params(), contract)


def test_every_fault_is_named_at_once(contract: Contract) -> None:
    wrong = params(
        validate={"level": 2},
        split={"by": "group"},
        select={"headline": "neg_log_loss"},
        evaluate={"slices": ["shape"]},
    )
    with pytest.raises(UserError) as caught:
        agreement.require(wrong, contract)
    sentence = str(caught.value)
    assert sentence.startswith("params.yaml: validate.level is 2; ")
    assert "split.by is group, but contract.yaml names no group column" in sentence
    assert "select.headline is neg_log_loss" in sentence
    assert "evaluate.slices names shape, which contract.yaml does not describe" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("signs", "fault"),
    [
        ({"shape": 1}, "monotonic_cst names shape, which is in no feature set"),
        ({"size": "up"}, "monotonic_cst.size is up; 1 is for rising, -1 for falling"),
    ],
)
def test_monotonic_constraints_are_of_features_and_rise_or_fall(
    signs: dict[str, Any], fault: str, contract: Contract
) -> None:
    agreement.require(constrained({"size": -1}), contract)
    with pytest.raises(UserError, match=rf"train.hyperparameters.prior.{fault}"):
        agreement.require(constrained(signs), contract)


def constrained(signs: dict[str, Any]) -> dict[str, Any]:
    return params(train={"hyperparameters": {"prior": {"monotonic_cst": signs}}})


def test_slices_by_a_personal_column_are_refused(document: dict[str, Any]) -> None:
    document["columns"]["colour"]["personal"] = True
    with pytest.raises(UserError, match="evaluate.slices names colour, a personal column"):
        agreement.require(params(), contracts.parse(document))
