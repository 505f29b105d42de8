"""encoders: what turns texts, and categories of which there are many, into numbers.

In the one form that converts to ONNX faithfully: words are what stands between spaces, so a text is
lower-cased and split by its feature, and what trees compare is exact in float32.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from .building import Task

# ONNX has no lower case everywhere, and to Python more is blank than to ONNX.
WORDS: dict[str, Any] = {"lowercase": False, "token_pattern": "[^ ]+", "dtype": np.float32}


def word_weights(most: int) -> Any:
    """TF-IDF of the `most` frequent words, for models that add up. It rounds: not for trees."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(**WORDS, max_features=most)


def word_counts(most: int) -> Any:
    """How often each of the `most` frequent words occurs, for trees."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(**WORDS, max_features=most)


def target_means(task: "Task") -> "Pipeline":
    """The mean target of each category, or its share of each class; of an unknown one that of all.

    What it gives to learn from is cross-fitted: no row sees its own target (scikit-learn).
    """
    from skl2onnx.sklapi import CastTransformer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    kind = "auto" if task == "classification" else "continuous"
    encoder = TargetEncoder(target_type=kind, cv=KFold(5, shuffle=True, random_state=1))
    return make_pipeline(encoder, CastTransformer(dtype=np.float32))
