"""candidates: the models that compete, simplest first.

To add a candidate, write a function that returns its parts, enter it in CANDIDATES, and name it in
params.yaml under train.models and train.hyperparameters.

Missing numbers come as NaN, and categories come that training never saw: the encoders here answer
for both, and convert to ONNX faithfully. A candidate that does not is refused in the train stage.
All run on one thread (boosting by OMP_NUM_THREADS=1): who fits the folds owns the others.
"""

import sys
from typing import Any

from machinery.pipeline.model.building import Candidates, Parts, Task


def prior(task: Task) -> Parts:
    """The baseline: the shares of the classes, or the mean, whatever the features say.

    A tree that may not split, since scikit-learn's dummies have no ONNX converter.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return "passthrough", _ordinal(), tree(min_samples_split=sys.maxsize)


def linear(task: Task) -> Parts:
    """Logistic or ridge regression on scaled numbers and one column for each category."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    estimator = LogisticRegression() if task == "classification" else Ridge()
    return make_pipeline(_median(), StandardScaler()), one_hot, estimator


def forest(task: Task) -> Parts:
    """A random forest; its numbers are imputed, for a converted forest misroutes missing ones."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    estimator = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return _median(), _ordinal(), estimator()


def boosting(task: Task) -> Parts:
    """Histogram gradient boosting, which learns on which side of a split a missing number goes.

    It splits halfway between two values, which ONNX can do unless they are neighbours in float32:
    give whole numbers beyond 16 million in larger units.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classification = task == "classification"
    estimator = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    return "passthrough", _ordinal(), estimator()


CANDIDATES: Candidates = {
    "prior": prior,
    "linear": linear,
    "forest": forest,
    "boosting": boosting,
}


def _median() -> Any:
    """The median for a missing number; a feature without any number stays, as zeros."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", keep_empty_features=True)


def _ordinal() -> Any:
    """Each category as its place in the alphabet, an unknown one as -1: all that trees need."""
    import numpy as np
    from sklearn.preprocessing import OrdinalEncoder

    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    return OrdinalEncoder(**unknown, dtype=np.float32)
