"""decision: model.json in; what turns its model's predictions into decisions and sets, out."""

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """From which probability on the last of two classes is decided for, and how wide the sets are.

    `quantile` is the conformal one; infinite, where too few rows were held out to promise anything
    less than every class or every number.
    """

    threshold: float
    quantile: float


def rule(info: Mapping[str, Any]) -> Rule:
    """The rule in model.json, where JSON has null for what is infinite, or of another task."""
    threshold, quantile = info["threshold"], info["conformal_quantile"]
    return Rule(
        threshold=0.5 if threshold is None else float(threshold),
        quantile=inf if quantile is None else float(quantile),
    )
