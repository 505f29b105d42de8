"""Answers: predictions with their decisions and prediction sets or intervals, also as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from machinery.pipeline.statistics.metrics import decide

from . import conformal
from .decision import Rule

if TYPE_CHECKING:  # the service does without it
    import pyarrow as pa


@dataclass(frozen=True)
class Answers:
    """A model's answers for n rows; fields of the other task are None.

    `prediction` holds probabilities (n, classes), or values (n,). A classification has `decision`,
    the class codes (n,), and `members`, the membership in prediction sets (n, classes). A
    regression has `low` and `high` (n,), the ends of its intervals.
    """

    prediction: np.ndarray
    decision: np.ndarray | None = None
    members: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def answer(prediction: np.ndarray, rule: Rule) -> Answers:
    """Apply the rule to probabilities (n, classes) or values (n,)."""
    if prediction.ndim == 1:
        low, high = conformal.interval(prediction, rule.quantile)
        return Answers(prediction, low=low, high=high)
    return Answers(
        prediction,
        decision=decide(prediction, rule.threshold),
        members=conformal.sets(prediction, rule.quantile),
    )


def answer_columns(answers: Answers, classes: Sequence[str]) -> "dict[str, pa.Array]":
    """Answers as columns, named as in data/predictions.parquet.

    A classification has `probability_*` for each class, `prediction` and `in_set_*`; a regression
    has `prediction`, `low` and `high`.
    """
    import pyarrow as pa

    if answers.decision is None or answers.members is None:
        ends = {"low": pa.array(answers.low), "high": pa.array(answers.high)}
        return {"prediction": pa.array(answers.prediction), **ends}

    def by_class(prefix: str, values: np.ndarray) -> dict[str, pa.Array]:
        columns = zip(classes, values.T, strict=True)
        return {f"{prefix}_{name}": pa.array(np.ascontiguousarray(part)) for name, part in columns}

    codes = pa.array(answers.decision.astype(np.int32))
    return {
        **by_class("probability", answers.prediction),
        "prediction": pa.array(classes, pa.string()).take(codes),
        **by_class("in_set", answers.members),
    }
