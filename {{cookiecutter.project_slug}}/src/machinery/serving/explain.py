"""explain: a row's features and a background in; the contribution of each feature out.

Shapley values by sampled orders (Castro et al. 2009; Štrumbelj & Kononenko 2014): features are
exchanged one after another for the row's, and each is credited with what its exchange changes, over
the same random orders and their reverses (Mitchell et al. 2022) every time, and over all background
rows. It asks the model for predictions alone, so it explains any model file, and the contributions
add up to the prediction minus the mean prediction of the background, whatever the orders.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

ORDERS = 8  # and their reverses
SEED = 1

Arrays = Mapping[str, np.ndarray]


class Explanation(NamedTuple):
    """The mean output over the background, and what each feature adds to it for this row."""

    base: float
    output: float
    contributions: dict[str, float]


def shapley(
    predict: Callable[[Arrays], np.ndarray], row: Arrays, background: Arrays, orders: int = ORDERS
) -> Explanation:
    """Explain one row.

    Args:
        predict: features (n rows) in, one number a row (n,) out.
        row: the features, arrays of one row.
        background: the features of the rows that stand for all others, arrays of m rows.
        orders: how many random orders; each costs 2 · m · (features + 1) predictions.
    """
    names = list(row)
    ranks = _ranks(len(names), orders)
    steps = np.arange(len(names) + 1)
    taken = ranks[:, None, :] < steps[None, :, None]  # orders, steps, features
    columns = {
        name: np.where(taken[:, :, at, None], row[name], background[name]).reshape(-1)
        for at, name in enumerate(names)
    }
    output = predict(columns).reshape(*taken.shape[:2], -1).astype(np.float64).mean(axis=2)
    gains = np.diff(output, axis=1)  # orders, steps
    credited = np.take_along_axis(gains, ranks, axis=1).mean(axis=0)
    return Explanation(
        base=float(output[0, 0]),
        output=float(output[0, -1]),
        contributions=dict(zip(names, credited.tolist(), strict=True)),
    )


def _ranks(features: int, orders: int) -> np.ndarray:
    """When each feature is exchanged, in each order and its reverse: (2 · orders, features)."""
    random = np.random.default_rng(SEED)
    ranks = np.array([random.permutation(features) for _ in range(orders)])
    return np.concatenate([ranks, features - 1 - ranks])
