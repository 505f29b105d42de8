"""Train and score the candidates, and select one."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import TimeSeriesSplit, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

Settings = dict[str, Any]
Table = pd.DataFrame

NUMBERS, TEXTS = (
    make_column_selector(dtype_include="number"),
    make_column_selector(dtype_exclude="number"),
)
MODELS = {
    "prior": (DummyClassifier, "passthrough", "ordinal"),
    "linear": (LogisticRegression, "scale", "one_hot"),
    "forest": (RandomForestClassifier, "impute", "ordinal"),
    "boosting": (HistGradientBoostingClassifier, "passthrough", "ordinal"),
}


def build(model: str, hyperparameters: Settings, seed: int) -> Pipeline:
    """The unfitted pipeline of one candidate."""
    steps = {
        "passthrough": "passthrough",
        "impute": SimpleImputer(strategy="median"),
        "scale": make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        "one_hot": OneHotEncoder(handle_unknown="ignore"),
    }
    estimator, numbers, texts = MODELS[model]
    columns = make_column_transformer((steps[numbers], NUMBERS), (steps[texts], TEXTS))
    return make_pipeline(columns, estimator(random_state=seed, **hyperparameters))


def calibration_error(target: Any, probability: Any, bins: int = 10) -> float:
    """Root mean square gap between probability and frequency, over bins of equal count."""
    observed, predicted = calibration_curve(target, probability, n_bins=bins, strategy="quantile")
    return float(np.sqrt(np.mean((observed - predicted) ** 2)))


SCORING = {
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
    "log_loss": "neg_log_loss",
    "brier_score": "neg_brier_score",
    "balanced_accuracy": "balanced_accuracy",
    "calibration_error": make_scorer(
        calibration_error, response_method="predict_proba", greater_is_better=False
    ),
}


def train(features: str, model: str, table: Table, train: Settings) -> tuple[Pipeline, Settings]:
    """One candidate fitted on all rows, and the scores of its folds."""
    rows, target = table[train["features"][features]], table["late"]
    pipeline = build(model, train["hyperparameters"][model], train["seed"])
    folds = TimeSeriesSplit(train["folds"])
    scores = cross_validate(pipeline, rows, target, cv=folds, scoring=SCORING)
    fold_scores = {name: scores[f"test_{name}"].tolist() for name in SCORING}
    return pipeline.fit(rows, target), fold_scores


def select(candidates: list[str], select: Settings, *parts: Any) -> tuple[Settings, Pipeline]:
    """The simplest candidate within one standard error of the best; scores come before models."""
    scores = np.array([part[select["headline"]] for part in parts[: len(candidates)]])
    mean, error = scores.mean(axis=1), scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    best = mean.argmax()
    chosen = int(np.argmax(mean >= mean[best] - error[best]))
    selection = {
        "candidate": candidates[chosen],
        "means": dict(zip(candidates, mean.tolist(), strict=True)),
    }
    return selection, parts[len(candidates) + chosen]
