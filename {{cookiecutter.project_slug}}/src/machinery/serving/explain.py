"""Explain a prediction by the contribution of each feature.

Shapley values by sampled permutations (Castro et al. 2009; Štrumbelj & Kononenko 2014): the
features of a background row are replaced one by one by those of the explained row, and each is
credited with the change of the output, averaged over all background rows and over fixed random
permutations with their reverses (antithetic sampling, Mitchell et al. 2022). It needs nothing but
predictions, so it explains any model, and the contributions add up to the prediction minus the mean
prediction of the background.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

PERMUTATIONS = 8  # and their reverses
SEED = 1

Arrays = Mapping[str, np.ndarray]


class Explanation(NamedTuple):
    """The mean output over the background, the output, and the contribution of each feature."""

    base: float
    output: float
    contributions: dict[str, float]


def shapley(
    predict: Callable[[Arrays], np.ndarray],
    row: Arrays,
    background: Arrays,
    permutations: int = PERMUTATIONS,
) -> Explanation:
    """Explain one row.

    Args:
        predict: maps features of n rows to outputs (n,).
        row: the features, arrays of one row.
        background: the features of the background, arrays of m rows.
        permutations: number of permutations; each costs 2 · m · (features + 1) predictions.
    """
    names, random = list(row), np.random.default_rng(SEED)
    ranks = np.array([random.permutation(len(names)) for _ in range(permutations)])
    ranks = np.concatenate([ranks, len(names) - 1 - ranks])  # permutations, features
    steps = np.arange(len(names) + 1)
    is_replaced = ranks[:, None, :] < steps[None, :, None]  # permutations, steps, features
    columns = {
        name: np.where(is_replaced[:, :, index, None], row[name], background[name]).reshape(-1)
        for index, name in enumerate(names)
    }
    output = predict(columns).reshape(*is_replaced.shape[:2], -1).astype(np.float64).mean(axis=2)
    gains = np.diff(output, axis=1)  # permutations, steps
    credits = np.take_along_axis(gains, ranks, axis=1).mean(axis=0)
    return Explanation(
        base=float(output[0, 0]),
        output=float(output[0, -1]),
        contributions=dict(zip(names, credits.tolist(), strict=True)),
    )
