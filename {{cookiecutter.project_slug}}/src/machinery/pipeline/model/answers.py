"""answers: what a model says of rows, as arrays."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answers:
    """What the model says of n rows; what does not go with its task is None.

    `prediction` holds probabilities (n, classes), or values (n,). Of a classification, `decision`
    are the codes of the classes decided for (n,), and `members` says which classes stand in each
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
