"""Candidates: each takes missing and unknown values; wrong hyperparameters are one sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from machinery.pipeline.files import UserError
from machinery.pipeline.model.building import Candidates, Parts, Task, build
from shop.candidates import CANDIDATES

TASKS: list[Task] = ["classification", "regression"]
TABLE = pd.DataFrame(
    {
        "distance": np.array([1, 2, 3, 4, np.nan, 6, 7, 8], dtype="float32"),
        "gust": np.full(8, np.nan, dtype="float32"),
        "carrier": ["AA", "UA", "AA", "UA", "DL", "DL", "AA", "UA"],
    }
)
NEW = pd.DataFrame({"distance": [np.nan], "gust": [9], "carrier": ["never seen"]})
TARGET = np.array([0, 0, 0, 0, 0, 0, 1, 1])


def built(
    name: str,
    task: Task = "classification",
    encode: Mapping[str, str] = {},  # noqa: B006
    candidates: Candidates = CANDIDATES,
    **hyperparameters: Any,
) -> Any:
    numeric = ["distance"] if name == "boosting" else ["distance", "gust"]
    return build(
        name,
        candidates,
        task=task,
        numeric=numeric,
        categorical=["carrier", *encode],
        hyperparameters=hyperparameters,
        seed=1,
        encode=encode,
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_answers_a_row_of_missing_and_unknown_values(name: str, task: Task) -> None:
    answer = built(name, task).fit(TABLE, TARGET).predict(NEW)
    assert np.isfinite(answer).all()


def test_the_prior_answers_with_the_shares_of_the_classes() -> None:
    shares = built("prior").fit(TABLE, TARGET).predict_proba(TABLE)
    assert shares == pytest.approx(np.tile([0.75, 0.25], (8, 1)))


def test_the_prior_of_a_regression_answers_with_the_mean() -> None:
    assert built("prior", "regression").fit(TABLE, TARGET).predict(TABLE) == pytest.approx(0.25)


@pytest.mark.parametrize("feature", ["distance", "carrier"])
def test_features_of_a_single_kind_are_enough(feature: str) -> None:
    numeric = [name for name in [feature] if name == "distance"]
    categorical = [name for name in [feature] if name == "carrier"]
    pipeline = build(
        "linear",
        CANDIDATES,
        task="classification",
        numeric=numeric,
        categorical=categorical,
        hyperparameters={},
        seed=1,
    )
    assert pipeline.fit(TABLE[[feature]], TARGET).predict_proba(NEW[[feature]]).shape == (1, 2)


def test_strings_go_through_the_encoders_named_by_their_tags() -> None:
    pipeline = built("linear", encode={"note": "text", "town": "target", "more": "text"})
    parts = {name: columns for name, _, columns in pipeline[0].transformers}
    assert parts == {
        "numeric": ["distance", "gust"],
        "category": ["carrier"],
        "text 0": "note",
        "text 1": "more",
        "target": ["town"],
    }
    texts = [part for name, part, _ in pipeline[0].transformers if name.startswith("text")]
    assert texts[0] is not texts[1]


def test_a_candidate_without_an_encoder_for_a_feature_is_refused() -> None:
    def plain(task: Task) -> Parts:
        return "passthrough", "drop", LogisticRegression()

    with pytest.raises(UserError, match=r"plain has no encoder for note, .* 'text'; .*drop"):
        built("plain", encode={"note": "text"}, candidates={"plain": plain})


def test_hyperparameters_and_the_seed_reach_the_estimator() -> None:
    settings = built("forest", n_estimators=7)[-1].get_params()
    assert (settings["n_estimators"], settings["random_state"]) == (7, 1)


def test_an_unknown_candidate_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"train\.models has 'xgboost'.*prior, linear, forest, boo"):
        built("xgboost")


@pytest.mark.parametrize("name", ["depth", "random_state", "n_jobs"])
def test_an_unknown_or_reserved_hyperparameter_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=rf"hyperparameters\.forest has '{name}'.*known.*max_depth"):
        built("forest", "classification", **{name: 3})


@pytest.mark.parametrize("value", [-1.0, "1e-3"])  # YAML reads 1e-3 as text
def test_an_invalid_value_is_refused_before_the_real_fit(value: Any) -> None:
    with pytest.raises(UserError, match=rf"hyperparameters\.linear: The 'C' .* Got '?{value}"):
        built("linear", C=value)
