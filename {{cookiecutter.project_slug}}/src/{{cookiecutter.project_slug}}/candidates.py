"""The models that compete, simplest first.

To add a candidate, write a function that returns a transformer for numbers, transformers for
strings by encoding ("category", or the encoding in the feature's tag) and the estimator. Add it to
CANDIDATES, and its name to train.models and train.hyperparameters in params.yaml.

Missing numbers are NaN, and the service gets categories that are not in the training table: these
encoders handle both, and convert to ONNX faithfully. `train` refuses a candidate that does not.
Each estimator runs on one thread, since the folds are fitted in parallel.
"""

import sys
from typing import Any

from machinery.pipeline.model.building import Candidates, Parts, Task
from machinery.pipeline.model.encoders import target_means, word_counts, word_weights


def prior(task: Task) -> Parts:
    """The baseline: the class frequencies, or the mean, independent of the features.

    A decision tree without splits, since scikit-learn's dummy estimators have no ONNX converter.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return "passthrough", _for_trees(task), tree(min_samples_split=sys.maxsize)


def linear(task: Task) -> Parts:
    """Logistic or ridge regression on scaled numbers and one-hot encoded categories."""
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
    """A random forest; numbers are imputed, since converted forests misroute missing values."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    estimator = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return _median(), _for_trees(task), estimator()


def boosting(task: Task) -> Parts:
    """Histogram gradient boosting, which learns to which side of a split missing values go.

    ONNX compares in float32: rescale integers above 16 million.
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
    """Replaces missing numbers with the median; a feature without any number becomes zeros."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", keep_empty_features=True)


def _for_trees(task: Task) -> dict[str, Any]:
    """Ordinal encoding of categories, -1 for unknown ones, which is enough for trees."""
    import numpy as np
    from sklearn.preprocessing import OrdinalEncoder

    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    ordinal = OrdinalEncoder(**unknown, dtype=np.float32)
    return {"category": ordinal, "text": word_counts(200), "target": target_means(task)}
