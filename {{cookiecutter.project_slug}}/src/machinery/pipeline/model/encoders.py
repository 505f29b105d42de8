"""Encoders of texts and of categories with many values, in a form that converts to ONNX exactly.

Words are separated by spaces alone, so features.py lower-cases and splits texts; numbers that trees
compare are exact in float32.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from .building import Task

# ONNX Runtime cannot lower-case on every platform, and Python knows more blanks than ONNX.
WORDS: dict[str, Any] = {"lowercase": False, "token_pattern": "[^ ]+", "dtype": np.float32}


def word_weights(most: int) -> Any:
    """TF-IDF of the `most` frequent words, for linear models. It rounds: do not use with trees."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(**WORDS, max_features=most)


def word_counts(most: int) -> Any:
    """Counts of the `most` frequent words, for trees."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(**WORDS, max_features=most)


def target_means(task: "Task") -> "Pipeline":
    """The mean target (or class shares) of each category; of all rows for an unknown category.

    Training rows are cross-fitted by scikit-learn: no row's encoding uses its own target.
    """
    from skl2onnx.sklapi import CastTransformer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    kind = "auto" if task == "classification" else "continuous"
    encoder = TargetEncoder(target_type=kind, cv=KFold(5, shuffle=True, random_state=1))
    return make_pipeline(encoder, CastTransformer(dtype=np.float32))
