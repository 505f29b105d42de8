"""Each candidate fits, and predicts for missing numbers and unknown categories."""

import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.model.building import Task, build

from {{cookiecutter.project_slug}}.candidates import CANDIDATES

TABLE = pd.DataFrame(
    {
        "size": np.array([1, 2, 3, 4, np.nan, 6, 7, 8], dtype="float32"),
        "extra": np.full(8, np.nan, dtype="float32"),
        "colour": ["red", "blue", "red", "blue", "green", "green", "red", "blue"],
    }
)
NEW = pd.DataFrame({"size": [np.nan], "extra": [9], "colour": ["never seen"]})
TARGET = np.array([0, 0, 0, 0, 0, 0, 1, 1])


def fitted(name: str, task: Task) -> Any:
    numeric = ["size"] if name == "boosting" else ["size", "extra"]
    pipeline = build(
        name,
        CANDIDATES,
        task=task,
        numeric=numeric,
        categorical=["colour"],
        hyperparameters={},
        seed=1,
    )
    return pipeline.fit(TABLE, TARGET)


def test_the_baseline_comes_first() -> None:
    assert next(iter(CANDIDATES)) == "prior"


@pytest.mark.parametrize("task", get_args(Task))
@pytest.mark.parametrize("name", CANDIDATES)
def test_missing_and_unknown_values_get_a_prediction(name: str, task: Task) -> None:
    assert np.isfinite(fitted(name, task).predict(NEW)).all()


def test_the_prior_predicts_the_class_frequencies_or_the_mean() -> None:
    shares = fitted("prior", "classification").predict_proba(TABLE)
    assert shares == pytest.approx(np.tile([0.75, 0.25], (8, 1)))
    assert fitted("prior", "regression").predict(TABLE) == pytest.approx(0.25)


def test_importing_the_candidates_does_not_import_scikit_learn() -> None:
    code = f"import sys, {CANDIDATES['prior'].__module__}; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
