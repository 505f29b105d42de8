"""The decision rule that model.json records: threshold and conformal quantile."""

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """The decision threshold of two classes, and the conformal quantile of prediction sets.

    The quantile is infinite if too few rows were held out: sets and intervals then hold everything.
    """

    threshold: float
    quantile: float


def rule(info: Mapping[str, Any]) -> Rule:
    """The rule in model.json, in which an infinite quantile and an unused threshold are null."""
    threshold, quantile = info["threshold"], info["conformal_quantile"]
    return Rule(
        threshold=0.5 if threshold is None else float(threshold),
        quantile=inf if quantile is None else float(quantile),
    )
