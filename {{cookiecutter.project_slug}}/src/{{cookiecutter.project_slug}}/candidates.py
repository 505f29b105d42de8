"""candidates: the models that compete, simplest first.

To add a candidate, write a function that returns what numbers go through, what strings go through
by their encoding ("category", or what the feature's tag says) and the estimator; enter it in
CANDIDATES, and name it in params.yaml under train.models and train.hyperparameters.

Missing numbers arrive as NaN, and the service sees categories that training never saw: the encoders
here handle both, and convert to ONNX faithfully. `train` refuses a candidate that does not. Each
estimator runs on one thread, since the folds are fitted in parallel.
"""

import sys
from typing import Any

from machinery.pipeline.model.building import Candidates, Parts, Task
from machinery.pipeline.model.encoders import target_means, word_counts, word_weights


def prior(task: Task) -> Parts:
    """The baseline: the shares of the classes, or the mean, whatever the features say.

    A tree that may not split, since scikit-learn's dummy estimators have no ONNX converter.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return "passthrough", _for_trees(task), tree(min_samples_split=sys.maxsize)


def linear(task: Task) -> Parts:
    """Logistic or ridge regression on scaled numbers and one column for each category."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    means = make_pipeline(target_means(task), StandardScaler())
    strings = {"category": one_hot, "text": word_weights(10_000), "target": means}
    estimator = LogisticRegression() if task == "classification" else Ridge()
    return make_pipeline(_median(), StandardScaler()), strings, estimator


def forest(task: Task) -> Parts:
    """A random forest; numbers are imputed, since a converted forest misroutes missing ones."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    estimator = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return _median(), _for_trees(task), estimator()


def boosting(task: Task) -> Parts:
    """Histogram gradient boosting, which learns on which side of a split a missing number goes.

    ONNX compares in float32: rescale whole numbers beyond 16 million.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classification = task == "classification"
    estimator = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    return "passthrough", _for_trees(task), estimator()


CANDIDATES: Candidates = {
    "prior": prior,
    "linear": linear,
    "forest": forest,
    "boosting": boosting,
}


def _median() -> Any:
    """The median for a missing number; a feature without any number becomes zeros."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", keep_empty_features=True)


def _for_trees(task: Task) -> dict[str, Any]:
    """Each category as its place in the alphabet, an unknown one as -1, which is all trees need."""
    import numpy as np
    from sklearn.preprocessing import OrdinalEncoder

    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    ordinal = OrdinalEncoder(**unknown, dtype=np.float32)
    return {"category": ordinal, "text": word_counts(200), "target": target_means(task)}
