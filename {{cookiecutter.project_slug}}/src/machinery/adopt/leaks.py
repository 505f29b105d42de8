"""leaks: a column and the target in; why it seems to be known only after the outcome, out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data import probes
from machinery.pipeline.data.columns import combine_chunks

from .facts import PERIODS, is_text, words
from .plan import Typed
from .target import Target

ROWS = 2_000  # on which columns are tried
BINS = 64
LIKELY = 0.9  # score in bins, from which the probe of the stage `split` is asked
LIMIT = 0.97  # of that probe; honest columns of real tables reach 0.96
LIMIT_OF_TEXT = 0.99  # of texts and a number: a state or a shop has its level
ORDER = 0.999  # correlation of ranks, in this many rows at least
FEWEST = 50
EXACT = 1e-6  # share of the target's variance that a sum may leave, rounded as it may be
MOST = 100  # columns to look for a sum in
NAMED = 0.5  # skill that suffices where the name has the target's
CHANCE = 1e-6
AFTER = frozenset(
    "reason cause date at prob probability pred predicted prediction outcome result".split()
)
SEED = 1
LARGEST = np.finfo(np.float32).max  # of which trees are made


class Leaks:
    """Columns tried against the target, on some rows: as many of each class."""

    def __init__(self, name: str, target: Target) -> None:
        """Draw the rows; `name` is the target's, as given."""
        self.name, self.target = set(words(name)), target
        self.task = "classification" if target.classes else "regression"
        order = np.random.default_rng(SEED).permutation(len(target.codes))
        parts = [order]
        if target.classes:
            parts = [order[target.codes[order] == code] for code in range(len(target.classes))]
        self.rows = np.sort(np.concatenate([part[: ROWS // len(parts)] for part in parts]))
        self.outcomes = target.codes[self.rows]

    def why(self, column: Typed) -> str | None:
        """Why the column seems to be known only after the outcome, if it does."""
        if reason := self._filled_for_one(column):
            return reason
        own = set(words(column.given))
        is_named = self.name <= own and len(own) > len(self.name)
        if is_named and own & AFTER:
            return "it has the name of the target, and speaks of its outcome"
        is_regression = self.task == "regression"
        if column.type == "datetime" or is_regression and own & PERIODS:
            return None
        score = self._score(column, NAMED if is_named else LIKELY)
        if score > (LIMIT_OF_TEXT if is_regression and column.type == "string" else LIMIT):
            return "it alone nearly gives the target"
        if is_named and probes.skill(score, self.outcomes, self.task) > NAMED:
            return "it has the name of the target, and tells much of it"
        return None

    def parts(self, columns: Sequence[Typed]) -> list[str]:
        """Numbers of which the target is a weighted sum, as few as it takes."""
        if self.target.classes or not 1 < len(columns) < min(MOST, len(self.rows) / 2):
            return []
        values = {each.name: np.nan_to_num(self._values(each)) for each in columns}
        scaled = {name: each / (np.abs(each).max() or 1) for name, each in values.items()}
        outcomes = self.outcomes - self.outcomes.mean()

        def suffice(chosen: dict[str, np.ndarray]) -> bool:
            table = np.column_stack([np.ones(len(outcomes)), *chosen.values()])
            rest = outcomes - table @ np.linalg.lstsq(table, outcomes)[0]
            return bool(rest.var() < EXACT * outcomes.var())

        return probes.fewest(scaled, suffice) if suffice(scaled) else []

    def _score(self, column: Typed, likely: float) -> float:
        """What the probe of the stage `split` will say of the column, 0 if that is not much."""
        values = self._values(column)
        if self.task == "regression" and _same_order(values, self.outcomes):
            return 1.0
        if _in_bins(values, self.outcomes, self.task) < likely:
            return 0.0
        return probes.score_alone(values, self.outcomes, self.task, SEED)

    def _values(self, column: Typed) -> np.ndarray:
        taken = combine_chunks(column.values.take(pa.array(self.rows)))
        if is_text(taken):
            return np.array([str(each) for each in taken.to_pylist()])
        values = np.asarray(taken.cast(pa.float64(), safe=False))
        return np.where(np.abs(values) < LARGEST, values, np.nan)

    def _filled_for_one(self, column: Typed) -> str | None:
        """Whether values are there, or missing, or not 0, for one class alone and not by chance."""
        codes, classes = self.target.codes, self.target.classes
        if not classes:
            return None
        sizes = np.bincount(codes, minlength=len(classes))
        filled = np.asarray(column.values.is_valid())
        ways = {"is filled": filled, "is empty": ~filled}
        if column.type in ("integer", "number") and len(classes) == 2:
            ways["is not 0"] = np.asarray(pc.not_equal(column.values, 0).fill_null(False))
        for word, rows in ways.items():
            counts = np.bincount(codes[rows], minlength=len(classes))
            code = int(counts.argmax())
            share = sizes[code] / len(codes)
            least = sizes[code] / 5 if word == "is not 0" else 0
            is_alone = counts[code] == counts.sum() > least and share < LIKELY
            if is_alone and share ** counts[code] < CHANCE:
                return f"it {word} only where the target is {classes[code]}"
        return None


def _same_order(values: np.ndarray, target: np.ndarray) -> bool:
    """Whether values rise with the target, or fall, nearly everywhere: as its logarithm does."""
    one, other = (np.unique(each, return_inverse=True)[1] + 0.0 for each in (values, target))
    return bool(len(one) >= FEWEST and one.any() and abs(np.corrcoef(one, other)[0, 1]) > ORDER)


def _in_bins(values: np.ndarray, target: np.ndarray, task: str) -> float:
    """How well the target is known within bins of the values: a bound, in no time."""
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
        1 - float(np.var(each - (np.bincount(bins, each) / rows)[bins]) / np.var(each))
        for each in (target, ranks)
    )
