"""Decide the task from the target column, its classes and the positive one."""

from shlex import quote
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.columns import combine_chunks
from machinery.pipeline.files import UserError
from machinery.versions.checking import first_names

from .facts import words
from .plan import Kind, Type, TypedColumn

TASKS = {"classification": "classes", "regression": "regression", "counts": "counts"}
FEW_NUMBERS = 10  # distinct whole numbers, up to which they are classes
MAX_CLASSES = 100
MIN_ROWS = 5  # of a class
POSITIVE = frozenset("yes true y t positive pos ja oui si sí sim 1".split())
COUNTED = frozenset("count counts cnt num n number nr visits".split())


class Target(NamedTuple):
    """The task, and the target as the contract describes it.

    `codes` has the class number of each row, or the value to predict.
    """

    kind: Kind
    type: Type
    classes: list[str]
    positive: Any
    codes: np.ndarray
    notes: list[str]
    questions: list[str]

    @property
    def chance_of_difference(self) -> float:
        """The probability that two random rows differ in the target."""
        shares = np.unique(self.codes, return_counts=True)[1] / len(self.codes)
        return 1 - float((shares**2).sum())


def target_of(column: TypedColumn, task: str | None, positive: str | None) -> Target:
    """Decide what to predict from a column without missing values.

    Raises:
        UserError: if there is nothing to learn, or the values do not fit the task.
    """
    name, values = column.header, combine_chunks(column.values)
    distinct = values.unique()
    if task not in (None, *TASKS):
        raise UserError(f"--task {task}: it is one of {', '.join(TASKS)}")
    if column.type == "datetime":
        remedy = "name another target, or turn it into a number, such as days until then"
        raise UserError(f"{name} contains dates, which these models cannot predict; {remedy}")
    if len(distinct) < 2:
        fault = f"is always {distinct[0]}" if len(distinct) else "has no value"
        raise UserError(f"{name} {fault}, so there is nothing to learn; name another target")
    if column.type not in ("integer", "number"):
        if task not in (None, "classification"):
            raise UserError(f"--task {task}: {name} is a {column.type}, not a number")
        return _classes(column, distinct, positive, [])
    numbers = np.asarray(values.cast(pa.float64(), safe=False))
    if not np.isfinite(numbers).all():
        raise UserError(f"{name} is infinite in some rows; correct them, or leave them out")
    kind, doubt = _kind(name, numbers, task)
    questions = [f"{name}: {doubt}."] if doubt else []
    if kind == "classes":
        return _classes(column, distinct, positive, questions)
    unit = "counts" if kind == "counts" else "numbers"
    note = f"is predicted as {unit}, {numbers.min():g} to {numbers.max():g}"
    return Target(kind, column.type, [], None, numbers, [note], questions)


def _kind(name: str, numbers: np.ndarray, task: str | None) -> tuple[Kind, str]:
    """What the numbers are, and in case of doubt the alternative.

    Counts are whole, start at 0 or 1, and are rarely large; few distinct whole numbers are classes.
    """
    low, is_whole = numbers.min(), bool(np.all(numbers == np.rint(numbers)))
    if task == "counts" and not (low >= 0 and is_whole):
        raise UserError(f"--task counts: {name} has negative values or fractions; try regression")
    frequencies = np.unique(numbers, return_counts=True)[1]
    if task or len(frequencies) == 2:
        return cast(Kind, TASKS[task or "classification"]), ""
    is_counted = bool(COUNTED.intersection(words(name)))
    is_small = is_counted or np.median(numbers) < MAX_CLASSES
    is_count = is_whole and low in (0, 1) and is_small and numbers.mean() < numbers.max() / 3
    kind: Kind = "counts" if is_count else "regression"
    if not is_whole or frequencies.min() < MIN_ROWS:
        return kind, ""
    values = f"its {len(frequencies)} distinct whole numbers are"
    if len(frequencies) <= FEW_NUMBERS and not is_counted:
        return "classes", f"{values} classes; --task regression predicts a number"
    noun = "counts" if is_count else "numbers"
    return kind, f"{values} predicted as {noun}; --task classification makes them classes"


def _classes(
    column: TypedColumn, distinct: pa.Array, positive: str | None, questions: list[str]
) -> Target:
    """The classes in order, as strings; 0 and 1 are a boolean."""
    name, values = column.header, combine_chunks(column.values)
    if len(distinct) > MAX_CLASSES or len(values) < MIN_ROWS * len(distinct):
        fault = f"{name} has {len(distinct)} distinct values in {len(values)} rows"
        raise UserError(f"{fault}, too many for classes; name another target, or another --task")
    ordered = distinct.sort()
    kind: Type = "boolean" if set(ordered.to_pylist()) == {False, True} else "category"
    classes = ["false", "true"] if kind == "boolean" else ordered.cast(pa.string()).to_pylist()
    codes = np.asarray(pc.index_in(values, ordered)).astype(np.int64)
    counts = dict(zip(classes, np.bincount(codes).tolist(), strict=True))
    parts = [f"{label} ({count:,})" for label, count in counts.items()]
    notes = [f"has {len(classes)} classes: {first_names(parts, 5)}"]
    if len(classes) > 2:
        return Target("classes", kind, classes, None, codes, notes, questions)
    if positive not in (None, *classes):
        raise UserError(f"--set {name}.positive={positive}: it is {' or '.join(classes)}")
    likely = [label for label in classes if label.casefold() in POSITIVE]
    if positive is None and len(likely) == 1 and classes != ["1", "2"]:
        positive = likely[0]
    if positive is None:
        positive, negative = sorted(classes, key=counts.__getitem__)
        override = quote(f"{name}.positive={negative}")
        doubt = f"{name}: {positive} is the positive class because it is rarer"
        questions = [*questions, f"{doubt}; --set {override} chooses the other."]
    label = positive == "true" if kind == "boolean" else positive
    return Target("binary", kind, classes, label, codes, notes, questions)
