"""answers: what a model says of rows, as arrays, and as the columns of a table."""

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
    """What the model says of n rows; what does not go with its task is None.

    `prediction` holds probabilities (n, classes), or values (n,). Of a classification, `decision`
    are the codes of the classes decided for (n,), and `members` says which classes are in each
    prediction set (n, classes). Of a regression, `low` and `high` (n,) end the intervals.
    """

    prediction: np.ndarray
    decision: np.ndarray | None = None
    members: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def part(self, rows: slice) -> "Answers":
        """Those of some rows."""
        columns = (self.prediction, self.decision, self.members, self.low, self.high)
        return Answers(*(each if each is None else each[rows] for each in columns))  # type: ignore[arg-type]


def answer(prediction: np.ndarray, rule: Rule) -> Answers:
    """Probabilities (n, classes) or values (n,), with what the rule makes of them."""
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

    Of a classification `probability_*` of each class, `prediction` and `in_set_*`; of a regression
    `prediction`, `low` and `high`.
    """
    import pyarrow as pa

    if answers.decision is None or answers.members is None:
        ends = {"low": pa.array(answers.low), "high": pa.array(answers.high)}
        return {"prediction": pa.array(answers.prediction), **ends}
    codes = pa.array(answers.decision.astype(np.int32))
    return {
        **_by_class("probability", answers.prediction, classes),
        "prediction": pa.array(classes, pa.string()).take(codes),
        **_by_class("in_set", answers.members, classes),
    }


def _by_class(name: str, values: np.ndarray, classes: Sequence[str]) -> "dict[str, pa.Array]":
    import pyarrow as pa

    columns = zip(classes, values.T, strict=True)
    return {f"{name}_{of}": pa.array(np.ascontiguousarray(part)) for of, part in columns}
