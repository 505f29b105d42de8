"""Find columns that seem to be known only after the outcome."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data import probes
from machinery.pipeline.data.columns import combine_chunks

from .facts import PERIODS, words
from .plan import TypedColumn
from .target import Target

ROWS = 2_000  # on which columns are probed
BINS = 64
LIKELY = 0.9  # score in bins from which a column is probed; a probe of each column takes 20 ms
LIMIT = 0.97  # score of a single column; honest columns of real tables reach 0.96
LIMIT_OF_TEXT = 0.99  # of texts and a number: a state or a shop has its own level
RANKS = 0.999  # rank correlation with a number, in at least so many rows
MIN_ROWS = 50
EXACT = 1e-6  # share of the target's variance that a rounded sum may leave
MAX_SUMMANDS = 100  # columns among which a sum is searched
NAMED = 0.5  # sufficient skill if the column is named after the target
CHANCE = 1e-6
AFTER = frozenset(
    "reason cause date at prob probability pred predicted prediction outcome result".split()
)
SEED = 1
MAX_FLOAT = np.finfo(np.float32).max  # what trees can split


class Leaks:
    """Probes columns against the target, on a sample with as many rows of each class."""

    def __init__(self, header: str, target: Target) -> None:
        """Draw the sample; `header` is the target's."""
        self.name, self.target = set(words(header)), target
        self.task = "classification" if target.classes else "regression"
        order = np.random.default_rng(SEED).permutation(len(target.codes))
        parts = [order]
        if target.classes:
            parts = [order[target.codes[order] == code] for code in range(len(target.classes))]
        self.rows = np.sort(np.concatenate([part[: ROWS // len(parts)] for part in parts]))
        self.outcomes = target.codes[self.rows]

    def reason(self, column: TypedColumn) -> str | None:
        """Why the column seems to be known only after the outcome, if it does."""
        if reason := self._filled_for_one_class(column):
            return reason
        name = set(words(column.header))
        is_named = self.name < name
        if is_named and name & AFTER:
            return "it is named after the target and its outcome"
        is_regression = self.task == "regression"
        if column.type == "datetime" or is_regression and name & PERIODS:
            return None
        score = self._score(column, NAMED if is_named else LIKELY)
        if score > (LIMIT_OF_TEXT if is_regression and column.type == "string" else LIMIT):
            return "it alone nearly determines the target"
        if is_named and probes.skill(score, self.outcomes, self.task) > NAMED:
            return "it is named after the target and predicts much of it"
        return None

    def summands(self, columns: Sequence[TypedColumn]) -> list[str]:
        """The smallest set of numbers of which the target is a weighted sum."""
        if self.target.classes or not 1 < len(columns) < min(MAX_SUMMANDS, len(self.rows) / 2):
            return []
        from sklearn.linear_model import LinearRegression
        from sklearn.preprocessing import maxabs_scale

        def suffice(subset: dict[str, np.ndarray]) -> bool:
            table = np.column_stack([*subset.values()])
            model = LinearRegression().fit(table, self.outcomes)
            return bool(model.score(table, self.outcomes) > 1 - EXACT)

        values = {
            column.name: maxabs_scale(np.nan_to_num(self._values(column))) for column in columns
        }
        return probes.fewest(values, suffice) if suffice(values) else []

    def _score(self, column: TypedColumn, likely: float) -> float:
        """The score of the probe in the stage `split`; 1 for a column that ranks rows alike.

        0 for a complete column whose score in bins, which is fast to compute, is below `likely`.
        """
        values = self._values(column)
        if self.task == "regression" and _same_order(values, self.outcomes):
            return 1.0
        is_complete = bool(np.all(values == values))
        if is_complete and _score_in_bins(values, self.outcomes, self.task) < likely:
            return 0.0
        return probes.score_alone(values, self.outcomes, self.task, SEED)

    def _values(self, column: TypedColumn) -> np.ndarray:
        sample = combine_chunks(column.values.take(pa.array(self.rows)))
        if sample.type == pa.string():
            return np.array([str(text) for text in sample.to_pylist()])
        values = np.asarray(sample.cast(pa.float64(), safe=False))
        return np.where(np.abs(values) < MAX_FLOAT, values, np.nan)

    def _filled_for_one_class(self, column: TypedColumn) -> str | None:
        """Whether values are filled, missing or not 0 in one class only, and not by chance."""
        codes, classes = self.target.codes, self.target.classes
        if not classes:
            return None
        sizes = np.bincount(codes, minlength=len(classes))
        filled = np.asarray(column.values.is_valid())
        conditions = {"is filled": filled, "is empty": ~filled}
        if column.type in ("integer", "number") and len(classes) == 2:
            conditions["is not 0"] = np.asarray(pc.not_equal(column.values, 0).fill_null(False))
        for condition, rows in conditions.items():
            counts = np.bincount(codes[rows], minlength=len(classes))
            code = int(counts.argmax())
            share = sizes[code] / len(codes)
            least = sizes[code] / 5 if condition == "is not 0" else 0
            is_alone = counts[code] == counts.sum() > least and share < 0.9
            if is_alone and share ** counts[code] < CHANCE:
                return f"it {condition} only where the target is {classes[code]}"
        return None


def _same_order(values: np.ndarray, target: np.ndarray) -> bool:
    """Whether the values rise or fall with the target nearly everywhere, e.g. as its logarithm."""
    ranks = [np.unique(numbers, return_inverse=True)[1] for numbers in (values, target)]
    enough = len(values) >= MIN_ROWS and ranks[0].any()
    return bool(enough and abs(np.corrcoef(ranks[0], ranks[1])[0, 1]) > RANKS)


def _score_in_bins(values: np.ndarray, target: np.ndarray, task: str) -> float:
    """The in-sample balanced accuracy or R² of the best prediction for each bin of the values."""
    codes = np.unique(values, return_inverse=True)[1]
    distinct = int(codes.max()) + 1
    bins = codes if distinct <= BINS else codes * BINS // distinct
    if task == "classification":
        classes = int(target.max()) + 1
        counts = np.bincount(bins * classes + target, minlength=(bins.max() + 1) * classes)
        recalls = counts.reshape(-1, classes) / np.bincount(target, minlength=classes)
        return float(recalls.max(axis=1).sum() / classes)
    ranks = np.unique(target, return_inverse=True)[1].astype(np.float64)
    rows = np.maximum(np.bincount(bins), 1)
    return max(
        1 - float(np.var(scale - (np.bincount(bins, scale) / rows)[bins]) / np.var(scale))
        for scale in (target, ranks)
    )
