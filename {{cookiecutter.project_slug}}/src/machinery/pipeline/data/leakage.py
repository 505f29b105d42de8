"""Find what the training rows reveal that they should not: shared rows, and features that leak."""

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

# Constants, not parameters: where a probe is wrong about a column, the remedy is an exception with
# a reason, not a wider limit for all columns.
TOGETHER = 0.998  # limit of all features together; honest ones reach 0.99 where rows are easy
STRONG = 0.55  # skill from which a feature is compared with all others together
DOMINANCE = 0.5  # largest share of that skill that the others may lack
MEAN = 0.75  # largest share of the chance scatter that may be missing
MIN_ROWS = 200  # in fewer, features may be strong together by chance
DISTINCT_TEXTS = 0.9  # share of distinct values above which strings identify rows
DISTINCT_NUMBERS = 0.99  # more for integers, since amounts and counts differ in most rows, too
SKEWED = 0.2  # of their range; integers with a lower median are amounts
MIN_NUMBERS = 100  # in fewer rows, any measurement in whole units may differ in all


@dataclass(frozen=True)
class Probe:
    """A probe of one column: its value, the limit, and the meaning of a value above it.

    `allowed` is the reason, stated in params, why the column may pass all the same.
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
        """The probe as a clause of the error that stops the run."""
        return f"{self.column}: {self.meaning} ({self.value:.6g}, limit {self.limit:.6g})"


def between_parts(train: "pd.DataFrame", test: "pd.DataFrame", contract: Contract) -> list[Probe]:
    """Probe for rows, groups and time that the two parts share."""
    key, group, time = contract.key, contract.group, contract.time
    shared = {
        ("rows in both parts", key, "key"): _is_in(test[key], train[key]),
        (SAME, key, "content"): _is_in(_content(test, contract), _content(train, contract)),
    }
    if group is not None:
        shared["groups in both parts", group, "group"] = _is_in(test[group], train[group])
    results = []
    for (name, column, noun), rows in shared.items():
        meaning = f"rows of training and test have the same {noun}"
        if rows.any():
            example = f", e.g. the test row {test[key][rows].iloc[0]}"
            hidden = contract.columns[key].personal
            meaning += f"{'' if hidden else example}; deduplicate in source.py"
        results.append(Probe(name, column, int(rows.sum()), 0, meaning))
    if time is not None:
        older = int((test[time] < train[time].max()).sum())
        meaning = "test rows are older than training rows"
        results.append(Probe("time order", time, older, 0, meaning))
    return results


def require_rows(rows: "pd.DataFrame", contract: Contract) -> None:
    """Raise UserError if the rows are too few, or all of one class, for a probe to tell a leak."""
    if len(rows) < probes.FOLDS or rows[contract.target].nunique() < 2:
        fault = f"{len(rows)} training rows with {contract.target} {rows[contract.target].iloc[0]}"
        remedy = "raise split.leakage.rows, or widen the data window (ingest.until)"
        raise UserError(f"{fault} are too few for the leakage probes; {remedy}")


def in_features(rows: "pd.DataFrame", catalogue: Catalogue, limit: float, seed: int) -> list[Probe]:
    """Probe for features that are or nearly give the target, or identify their row."""
    contract = catalogue.contract
    target, task = contract.encode(rows[contract.target]), contract.task
    columns = from_pandas(rows, catalogue.inputs, contract)
    features = catalogue.compute(columns)
    scores: dict[str, float] = {}
    results: list[Probe] = []
    for name, values in track(features.items(), "look for leaks", len(features)):
        scores[name] = score = probes.score_alone(values, target, task, seed)
        copies = int(probes.is_copy(values, target))
        results += [
            Probe("copy of the target", name, copies, 0, "is a copy of the target"),
            Probe("determines the target", name, score, limit, "alone nearly gives the target"),
            _identifier(name, values, columns, catalogue),
        ]
    honest = {name: features[name] for name, score in scores.items() if score <= limit}
    if len(honest) > 1 and len(rows) >= MIN_ROWS:
        results += _combined(honest, scores, target, task, max(limit, TOGETHER), seed)
    return results


def of_means(train: "pd.DataFrame", test: "pd.DataFrame", catalogue: Catalogue) -> list[Probe]:
    """Probe for numbers that are means of the target over the very rows of both parts."""
    contract = catalogue.contract
    target = np.concatenate([contract.encode(part[contract.target]) for part in (train, test)])
    targets = [target == code for code in range(1, len(contract.classes))] or [target]
    meaning = f"is a mean of {contract.target} over these very rows"
    results = []
    for name in catalogue.inputs:
        if contract.columns[name].type in ("number", "integer"):
            values = np.concatenate(
                [part[name].to_numpy(np.float64, na_value=np.nan) for part in (train, test)]
            )
            missing = max(0.0, 1 - min(probes.scatter(values, target) for target in targets))
            results.append(Probe("mean of the target", name, missing, MEAN, meaning))
    return results


def allow(results: Iterable[Probe], reasons: Mapping[str, Mapping[str, str]]) -> list[Probe]:
    """Mark the probes that exceptions in params let pass.

    Raises UserError for an exception that no probe needs, since it would hide a later leak.
    """
    marked = []
    for probe in results:
        reason = reasons.get(probe.name, {}).get(probe.column)
        marked.append(probe if probe.passed else replace(probe, allowed=reason))
    needed = {(probe.name, probe.column) for probe in marked if probe.allowed or probe.name == SAME}
    stated = {(name, column) for name, columns in reasons.items() for column in columns}
    for name, column in sorted(stated - needed):
        fault = f"split.leakage.allow lets {column} pass the probe '{name}', which does not stop it"
        raise UserError(f"{PARAMS}: {fault}; remove the exception or correct its name")
    return marked


def _identifier(name: str, values: np.ndarray, raw: Arrays, catalogue: Catalogue) -> Probe:
    """Whether a feature identifies its row, or is made from a column that does."""
    feature, contract = catalogue.features[name], catalogue.contract
    for column in feature.columns:
        if contract.columns[column].identifier or column in (contract.key, contract.group):
            meaning = f"is made from {column}, which only names a row, a thing or a group"
            return Probe("identifier", name, 1.0, DISTINCT_TEXTS, meaning)
    if feature.type == "string" and feature.encode != "text":
        distinct = len(set(values)) / len(values)
        return Probe("identifier", name, distinct, DISTINCT_TEXTS, "differs in nearly every row")
    distinct = max((_distinct_integers(raw[column]) for column in feature.columns), default=0.0)
    meaning = "is made from whole numbers that differ in nearly every row"
    return Probe("identifier", name, distinct, DISTINCT_NUMBERS, meaning)


def _distinct_integers(values: np.ndarray) -> float:
    """The share of distinct integers in a raw column, or 0 if they cannot number rows.

    Features are float32, which would round them.
    """
    if values.dtype.kind not in "iuf":
        return 0.0
    present = values[~np.isnan(values)]
    if len(present) < MIN_NUMBERS or not np.all(present == np.rint(present)):
        return 0.0
    low, median, high = np.quantile(present, [0, 0.5, 1])
    return 0.0 if median - low < SKEWED * (high - low) else len(np.unique(present)) / len(present)


def _combined(
    columns: Arrays,
    scores: Mapping[str, float],
    target: np.ndarray,
    task: str,
    limit: float,
    seed: int,
) -> Iterator[Probe]:
    """Whether features give the target together, and whether one does so far better than others."""

    def together(subset: Arrays) -> float:
        return probes.score_together(subset, target, task, seed)

    score, names = together(columns), list(columns)
    if score > limit:
        names = probes.fewest(columns, lambda subset: together(subset) > limit)
    meaning = "together nearly give the target"
    yield Probe("determine the target together", ", ".join(names), score, limit, meaning)
    strongest = max(columns, key=scores.__getitem__)
    skill = probes.skill(scores[strongest], target, task)
    if skill >= STRONG:
        without = probes.score_without(strongest, columns, target, task, seed)
        lacking = max(0.0, 1 - probes.skill(without, target, task) / skill)
        meaning = "alone predicts the target far better than all other features together"
        yield Probe("dominates", strongest, lacking, DOMINANCE, meaning)


def _is_in(values: "pd.Series[Any]", others: "pd.Series[Any]") -> np.ndarray:
    """A mask of the values that are among the others."""
    import pyarrow as pa
    from pyarrow.compute import is_in  # pandas' isin makes a Python string for every row

    value_set = pa.array(others, from_pandas=True)
    mask = is_in(pa.array(values, from_pandas=True), value_set=value_set, skip_nulls=True)
    return np.asarray(mask.to_numpy(zero_copy_only=False))


def _content(rows: "pd.DataFrame", contract: Contract) -> "pd.Series[Any]":
    """A hash of each row without its key."""
    from pandas.util import hash_pandas_object

    columns = [name for name in contract.columns if name != contract.key]
    return hash_pandas_object(rows[columns], index=False)
