"""Candidates of each kind that the machinery must convert faithfully."""

import sys
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from machinery.pipeline.model.building import Candidates, Parts, Task
from machinery.pipeline.model.encoders import target_means, word_counts, word_weights


def prior(task: Task) -> Parts:
    tree = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return "passthrough", _for_trees(task), tree(min_samples_split=sys.maxsize)


def linear(task: Task) -> Parts:
    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    estimator = LogisticRegression() if task == "classification" else Ridge()
    means = make_pipeline(target_means(task), StandardScaler())
    strings = {"category": one_hot, "text": word_weights(1000), "target": means}
    return make_pipeline(_median(), StandardScaler()), strings, estimator


def forest(task: Task) -> Parts:
    estimator = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return _median(), _for_trees(task), estimator()


def boosting(task: Task) -> Parts:
    classification = task == "classification"
    estimator = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    return "passthrough", _for_trees(task), estimator()


CANDIDATES: Candidates = {
    "prior": prior,
    "linear": linear,
    "forest": forest,
    "boosting": boosting,
}


def _median() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _for_trees(task: Task) -> dict[str, Any]:
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    ordinal = OrdinalEncoder(**unknown, dtype=np.float32)
    return {"category": ordinal, "text": word_counts(50), "target": target_means(task)}
