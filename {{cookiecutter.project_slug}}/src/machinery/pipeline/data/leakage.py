"""leakage: the parts of the data in; what the training rows know that they should not, out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS
from machinery.pipeline.progress import track

from .catalogue import Catalogue
from .columns import Arrays, from_pandas
from .contract import Contract

if TYPE_CHECKING:
    import pandas as pd

# No parameters: where a probe is wrong about a column, a stated exception is the way out, not a
# limit that is from then on wider for all.
FOLDS = 5
LEAVES = 32  # of the tree that sees one column: enough for a curve, too few to learn rows by heart
DISTINCT_TEXTS = 0.9  # share of distinct values beyond which a text tells rows apart
DISTINCT_NUMBERS = 0.99  # whole numbers need more: amounts and counts differ in most rows, too
FEWEST_NUMBERS = 100  # in fewer rows, any measurement in whole units may differ in all


@dataclass(frozen=True)
class Probe:
    """One look for a leak: where, what was found (a figure and its limit), and what it means.

    A probe passes while its value is within its limit; `allowed` is the reason stated in params
    for letting the column pass all the same.
    """

    name: str
    column: str
    value: float
    limit: float
    meaning: str
    allowed: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the run may go on."""
        return self.value <= self.limit or self.allowed is not None

    def __str__(self) -> str:
        """The probe as one clause, for the sentence that stops the run."""
        return f"{self.column}: {self.meaning} ({self.value:.6g}, limit {self.limit:.6g})"


def between_parts(train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract) -> list[Probe]:
    """Rows, groups and time that the two parts share."""
    probes = [
        _shared("rows in both parts", contract.key, train[contract.key], test[contract.key]),
        _shared("same content in both parts", contract.key, *_contents(train, test, contract)),
    ]
    if contract.group is not None:
        groups = train[contract.group], test[contract.group]
        probes.append(_shared("groups in both parts", contract.group, *groups))
    if contract.time is not None:
        older = int((test[contract.time] < train[contract.time].max()).sum())
        meaning = "test rows are older than training rows"
        probes.append(Probe("time order", contract.time, older, 0, meaning))
    return probes


def require_rows(rows: "pd.DataFrame", contract: Contract) -> None:
    """Refuse to look for leaks where every feature would seem to give the target.

    Raises:
        UserError: when the rows are too few, or all of one class.
    """
    if len(rows) < FOLDS or rows[contract.target].nunique() < 2:
        found = f"{len(rows)} training rows with {contract.target} {rows[contract.target].iloc[0]}"
        remedy = "raise split.leakage.rows, or widen the data window (ingest.until)"
        raise UserError(f"{found} are too few for the leakage probes; {remedy}")


def in_features(rows: "pd.DataFrame", catalogue: Catalogue, limit: float, seed: int) -> list[Probe]:
    """Features that are the target, nearly determine it, or tell one row from all others."""
    contract = catalogue.contract
    target = contract.encode(rows[contract.target])
    probes = []
    columns = from_pandas(rows, catalogue.inputs, contract)
    values = catalogue.compute(columns)
    for name, column in track(values.items(), "look for leaks", len(values)):
        score = score_alone(column, target, contract.task, seed)
        copies = int(is_copy(column, target))
        probes += [
            Probe("copy of the target", name, copies, 0, "is a copy of the target"),
            Probe("determines the target", name, score, limit, "alone nearly gives the target"),
            _identifier(name, column, columns, catalogue),
        ]
    return probes


def allow(probes: Iterable[Probe], reasons: Mapping[str, Mapping[str, str]]) -> list[Probe]:
    """The probes, with the exceptions stated in params marked on those that need one.

    Raises:
        UserError: naming an exception that no probe needs: it would let a later leak pass unseen.
    """
    marked = [replace(probe, allowed=_reason(probe, reasons)) for probe in probes]
    needed = {(probe.name, probe.column) for probe in marked if probe.allowed}
    stated = {(name, column) for name, columns in reasons.items() for column in columns}
    for name, column in sorted(stated - needed):
        found = f"split.leakage.allow lets {column} pass the probe '{name}', which does not stop it"
        raise UserError(f"{PARAMS}: {found}; remove the exception or correct its name")
    return marked


def score_alone(values: np.ndarray, target: np.ndarray, task: str, seed: int) -> float:
    """How well a small tree foresees the target from this column alone, on rows it has not seen.

    Returns:
        Balanced accuracy for classes, R² for numbers, of the cross-validated predictions.
    """
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kinds = {
        "classification": (DecisionTreeClassifier, balanced_accuracy_score),
        "regression": (DecisionTreeRegressor, r2_score),
    }
    tree, score = kinds[task]
    model = tree(max_leaf_nodes=LEAVES, random_state=seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return float(score(target, cross_val_predict(model, _codes(values), target, cv=folds)))


def is_copy(values: np.ndarray, target: np.ndarray) -> bool:
    """Whether column and target tell the same.

    A number does when it is a multiple of the other, up to float32; classes do when each value of
    one goes with one of the other.
    """
    if target.dtype.kind == "f":
        varies = values.dtype.kind == "f" and np.std(values) > 0
        return bool(varies and abs(np.corrcoef(values, target)[0, 1]) > 1 - 1e-9)
    column = _codes(values)[:, 0]
    pairs = np.unique(np.column_stack([column, target]), axis=0)
    distinct = len(np.unique(target))
    return distinct > 1 and len(pairs) == distinct == len(np.unique(column))


def _reason(probe: Probe, reasons: Mapping[str, Mapping[str, str]]) -> str | None:
    return None if probe.passed else reasons.get(probe.name, {}).get(probe.column)


def _identifier(name: str, values: np.ndarray, raw: Arrays, catalogue: Catalogue) -> Probe:
    """Whether a feature is made from what only names a row or a thing, or is such a name itself."""
    feature, columns = catalogue.features[name], catalogue.contract.columns
    for each in feature.columns:
        if columns[each].identifier or each == catalogue.contract.key:
            meaning = f"is made from the identifier {each}"
            return Probe("identifier", name, 1.0, DISTINCT_TEXTS, meaning)
    if feature.type == "string":
        distinct = len(set(values)) / len(values)
        return Probe("identifier", name, distinct, DISTINCT_TEXTS, "differs in nearly every row")
    shares = (_distinct_numbers(raw[each]) for each in feature.columns)
    meaning = "is made from whole numbers that differ in nearly every row"
    return Probe("identifier", name, max(shares, default=0.0), DISTINCT_NUMBERS, meaning)


def _distinct_numbers(values: np.ndarray) -> float:
    """Share of distinct values among whole numbers; 0 for all that cannot number rows.

    Looked at in the columns, since float32 makes whole and equal what is not.
    """
    if values.dtype.kind not in "iuf":
        return 0.0
    known = values[~np.isnan(values)]
    if len(known) < FEWEST_NUMBERS or not np.all(known == np.rint(known)):
        return 0.0
    return len(np.unique(known)) / len(known)


def _shared(name: str, column: str, train: "pd.Series[Any]", test: "pd.Series[Any]") -> Probe:
    import pyarrow as pa
    from pyarrow.compute import is_in  # pandas' isin takes a Python string for every row

    what = name.removesuffix(" in both parts")
    values, known = (pa.array(part, from_pandas=True) for part in (test, train))
    shared = is_in(values, value_set=known, skip_nulls=True).sum().as_py() or 0
    return Probe(name, column, shared, 0, f"{what} are in training and test")


def _contents(
    train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract
) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """A hash of each row without its key."""
    from pandas.util import hash_pandas_object

    columns = [name for name in contract.columns if name != contract.key]
    return (
        hash_pandas_object(train[columns], index=False),
        hash_pandas_object(test[columns], index=False),
    )


def _codes(values: np.ndarray) -> np.ndarray:
    """A column as one column of numbers for a tree: text becomes the number of its value."""
    if values.dtype.kind == "f":
        return values.reshape(-1, 1)
    return np.unique(values.astype(str), return_inverse=True)[1].reshape(-1, 1)
