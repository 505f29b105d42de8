"""leakage: the parts of the data in; what the training rows know that they should not, out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS
from machinery.pipeline.progress import track

from . import probes
from .catalogue import Catalogue
from .columns import Arrays, from_pandas
from .contract import Contract

if TYPE_CHECKING:
    import pandas as pd

SAME = "same content in both parts"

# No parameters: where a probe is wrong about a column, a stated exception is the way out, not a
# limit that is from then on wider for all.
TOGETHER = 0.998  # limit of all features together; honest ones reach 0.99 where rows are easy
STRONG = 0.55  # skill from which a feature is held against all others together
DOMINANCE = 0.5  # largest share of that skill that the others may lack
MEAN = 0.75  # largest share that may be missing of the scatter that means have by chance
ENOUGH = 200  # rows; in fewer, features that are strong together may be so by chance
DISTINCT_TEXTS = 0.9  # share of distinct values beyond which a text tells rows apart
DISTINCT_NUMBERS = 0.99  # whole numbers need more: amounts and counts differ in most rows, too
SKEWED = 0.2  # of their range; where the median of whole numbers lies lower, they are amounts
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
    key = contract.key
    rows = _shared(test[key], train[key])
    found = [_in_both("rows in both parts", key, rows, "the same key", test, contract)]
    one, other = (_contents(part, contract) for part in (train, test))
    found.append(_in_both(SAME, key, _shared(other, one), "the same content", test, contract))
    if contract.group is not None:
        groups = _shared(test[contract.group], train[contract.group])
        what = "the same group"
        found.append(_in_both("groups in both parts", contract.group, groups, what, test, contract))
    if contract.time is not None:
        older = int((test[contract.time] < train[contract.time].max()).sum())
        meaning = "test rows are older than training rows"
        found.append(Probe("time order", contract.time, older, 0, meaning))
    return found


def require_rows(rows: "pd.DataFrame", contract: Contract) -> None:
    """Refuse to look for leaks where every feature would seem to give the target.

    Raises:
        UserError: when the rows are too few, or all of one class.
    """
    if len(rows) < probes.FOLDS or rows[contract.target].nunique() < 2:
        found = f"{len(rows)} training rows with {contract.target} {rows[contract.target].iloc[0]}"
        remedy = "raise split.leakage.rows, or widen the data window (ingest.until)"
        raise UserError(f"{found} are too few for the leakage probes; {remedy}")


def in_features(rows: "pd.DataFrame", catalogue: Catalogue, limit: float, seed: int) -> list[Probe]:
    """Features that are the target, nearly give it alone or together, or name their row."""
    contract, found = catalogue.contract, []
    target, task = contract.encode(rows[contract.target]), contract.task
    columns = from_pandas(rows, catalogue.inputs, contract)
    values = catalogue.compute(columns)
    alone = {}
    for name, column in track(values.items(), "look for leaks", len(values)):
        alone[name] = score = probes.score_alone(column, target, task, seed)
        copies = int(probes.is_copy(column, target))
        found += [
            Probe("copy of the target", name, copies, 0, "is a copy of the target"),
            Probe("determines the target", name, score, limit, "alone nearly gives the target"),
            _identifier(name, column, columns, catalogue),
        ]
    honest = {name: values[name] for name, score in alone.items() if score <= limit}
    if len(honest) > 1 and len(rows) >= ENOUGH:
        strongest = max(honest, key=alone.__getitem__)
        found.append(_together(honest, target, task, max(limit, TOGETHER), seed))
        found += _dominance(strongest, alone[strongest], honest, target, task, seed)
    return found


def of_means(train: "pd.DataFrame", test: "pd.DataFrame", catalogue: Catalogue) -> list[Probe]:
    """Numbers behind the features that are means of the target over the very rows they stand in.

    Looked at in all rows of both parts, as such a mean is taken over all of them.
    """
    contract = catalogue.contract
    target = np.concatenate([contract.encode(part[contract.target]) for part in (train, test)])
    classes = range(1, len(contract.classes)) if contract.classes else [None]
    found = []
    for name in catalogue.inputs:
        if contract.columns[name].type in ("number", "integer"):
            values = np.concatenate(
                [part[name].to_numpy(np.float64, na_value=np.nan) for part in (train, test)]
            )
            scatter = min(
                probes.scatter(values, target if code is None else target == code)
                for code in classes
            )
            meaning = f"is a mean of {contract.target} over these very rows"
            found.append(Probe("mean of the target", name, max(0.0, 1 - scatter), MEAN, meaning))
    return found


def allow(found: Iterable[Probe], reasons: Mapping[str, Mapping[str, str]]) -> list[Probe]:
    """The probes, with the exceptions stated in params marked on those that need one.

    Raises:
        UserError: naming an exception that no probe needs: it would let a later leak pass unseen.
    """
    marked = [replace(probe, allowed=_reason(probe, reasons)) for probe in found]
    needed = {(each.name, each.column) for each in marked if each.allowed or each.name == SAME}
    stated = {(name, column) for name, columns in reasons.items() for column in columns}
    for name, column in sorted(stated - needed):
        fault = f"split.leakage.allow lets {column} pass the probe '{name}', which does not stop it"
        raise UserError(f"{PARAMS}: {fault}; remove the exception or correct its name")
    return marked


def _reason(probe: Probe, reasons: Mapping[str, Mapping[str, str]]) -> str | None:
    return None if probe.passed else reasons.get(probe.name, {}).get(probe.column)


def _identifier(name: str, values: np.ndarray, raw: Arrays, catalogue: Catalogue) -> Probe:
    """Whether a feature is made from what only names a row or a thing, or is such a name itself."""
    feature, columns = catalogue.features[name], catalogue.contract.columns
    for each in feature.columns:
        if columns[each].identifier or each in (catalogue.contract.key, catalogue.contract.group):
            meaning = f"is made from {each}, which only names a row, a thing or a group"
            return Probe("identifier", name, 1.0, DISTINCT_TEXTS, meaning)
    if feature.type == "string" and feature.encode != "text":
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
    low, middle, high = np.quantile(known, [0, 0.5, 1])
    if middle - low < SKEWED * (high - low):
        return 0.0
    return len(np.unique(known)) / len(known)


def _together(columns: Arrays, target: np.ndarray, task: str, limit: float, seed: int) -> Probe:
    """All features, or as few of them as nearly give the target together."""
    score = probes.score_together(columns, target, task, seed)
    names = list(columns)
    if score > limit:
        names = probes.fewest(
            columns, lambda some: probes.score_together(some, target, task, seed) > limit
        )
    meaning = "together nearly give the target"
    return Probe("determine the target together", ", ".join(names), score, limit, meaning)


def _dominance(
    name: str, score: float, columns: Arrays, target: np.ndarray, task: str, seed: int
) -> Iterator[Probe]:
    """What is strong alone, against all other features together."""
    alone = probes.skill(score, target, task)
    if alone >= STRONG:
        without = probes.score_without(name, columns, target, task, seed)
        lacking = 1 - probes.skill(without, target, task) / alone
        meaning = "alone tells far more of the target than all other features together"
        yield Probe("dominates", name, max(0.0, lacking), DOMINANCE, meaning)


def _in_both(
    name: str, column: str, shared: np.ndarray, what: str, test: "pd.DataFrame", contract: Contract
) -> Probe:
    meaning = f"rows of training and test have {what}"
    if shared.any():
        key = contract.key
        example = f", e.g. the test row {test[key][shared].iloc[0]}"
        example = "" if contract.columns[key].personal else example
        meaning = f"{meaning}{example}; deduplicate in source.py"
    return Probe(name, column, int(shared.sum()), 0, meaning)


def _shared(values: "pd.Series[Any]", others: "pd.Series[Any]") -> np.ndarray:
    """Which of the values are among the others."""
    import pyarrow as pa
    from pyarrow.compute import is_in  # pandas' isin takes a Python string for every row

    known = pa.array(others, from_pandas=True)
    shared = is_in(pa.array(values, from_pandas=True), value_set=known, skip_nulls=True)
    return np.asarray(shared.to_numpy(zero_copy_only=False))


def _contents(rows: "pd.DataFrame", contract: Contract) -> "pd.Series[Any]":
    """A hash of each row without its key."""
    from pandas.util import hash_pandas_object

    columns = [name for name in contract.columns if name != contract.key]
    return hash_pandas_object(rows[columns], index=False)
