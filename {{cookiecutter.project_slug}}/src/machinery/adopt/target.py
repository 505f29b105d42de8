"""target: the column to predict in; the task, its classes and the positive one out."""

from shlex import quote
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from machinery.pipeline.data.columns import combine_chunks
from machinery.pipeline.files import UserError

from .facts import listed, words
from .plan import Type, Typed

Kind = Literal["binary", "classes", "regression", "counts"]

TASKS = "classification", "regression", "counts"
FEW_NUMBERS = 10  # different whole numbers, up to which they are classes
MANY_CLASSES = 100  # beyond which values are no classes
FEW_ROWS = 5  # of a class, below which it is none
POSITIVE = frozenset("yes true y t positive pos ja oui si sí sim 1".split())
COUNTED = frozenset("count counts cnt num n number nr visits".split())


class Target(NamedTuple):
    """The task, and the target as the contract describes it.

    `codes` has the number of each row's class, or what is predicted of the row.
    """

    kind: Kind
    type: Type
    classes: list[str]
    positive: Any
    codes: np.ndarray
    notes: list[str]
    questions: list[str]

    @property
    def unlike(self) -> float:
        """How often two rows differ in the target by chance."""
        shares = np.unique(self.codes, return_counts=True)[1] / len(self.codes)
        return 1 - float((shares**2).sum())


def target_of(column: Typed, task: str | None, positive: str | None) -> Target:
    """What there is to predict, from values none of which is missing.

    Raises:
        UserError: when nothing can be learned, or the values do not fit the task.
    """
    name, values = column.given, combine_chunks(column.values)
    distinct = values.unique()
    if task not in (None, *TASKS):
        raise UserError(f"--task {task}: it is one of {', '.join(TASKS)}")
    if column.type == "datetime":
        remedy = "name another target, or make a number of it, such as days until then"
        raise UserError(f"{name} holds dates, which no model here predicts; {remedy}")
    if len(distinct) < 2:
        fault = f"is always {distinct[0]}" if len(distinct) else "has no value"
        raise UserError(f"{name} {fault}, so there is nothing to learn; name another target")
    if column.type in ("integer", "number"):
        numbers = np.asarray(values.cast(pa.float64(), safe=False))
        if not np.isfinite(numbers).all():
            raise UserError(f"{name} is infinite in some rows; correct them, or leave them out")
        kind, doubt = _kind(name, numbers, len(distinct), task)
        questions = [f"{name}: {doubt}."] if doubt and not task else []
        if kind != "classes":
            said = "counts" if kind == "counts" else "numbers"
            note = f"is predicted as {said}, {numbers.min():g} to {numbers.max():g}"
            return Target(kind, column.type, [], None, numbers, [note], questions)
        return _classes(column, distinct, positive, questions)
    if task not in (None, "classification"):
        raise UserError(f"--task {task}: {name} is a {column.type}, and no number")
    return _classes(column, distinct, positive, [])


def _kind(name: str, numbers: np.ndarray, distinct: int, task: str | None) -> tuple[Kind, str]:
    """What numbers are, and where it is doubtful, what else they may be.

    Counts are whole, start at 0 or 1, and large ones are rare; few whole numbers are classes.
    """
    low, is_whole = numbers.min(), bool(np.all(numbers == np.rint(numbers)))
    if task == "counts" and not (low >= 0 and is_whole):
        raise UserError(f"--task counts: {name} has values below 0 or fractions; try regression")
    if task or distinct == 2:
        return cast(Kind, {None: "classes", "classification": "classes"}.get(task, task)), ""
    is_counted = bool(COUNTED.intersection(words(name)))
    is_small = is_counted or np.median(numbers) < MANY_CLASSES
    is_count = is_whole and low in (0, 1) and is_small and numbers.mean() < numbers.max() / 3
    kind: Kind = "counts" if is_count else "regression"
    if not is_whole or np.unique(numbers, return_counts=True)[1].min() < FEW_ROWS:
        return kind, ""
    said = f"its {distinct} different whole numbers are"
    if distinct <= FEW_NUMBERS and not is_counted:
        return "classes", f"{said} classes; --task regression predicts a number"
    taken = "counts" if is_count else "numbers"
    return kind, f"{said} predicted as {taken}; --task classification takes them for classes"


def _classes(
    column: Typed, distinct: pa.Array, positive: str | None, questions: list[str]
) -> Target:
    """The classes in order, as strings but for a boolean."""
    name, values = column.given, combine_chunks(column.values)
    if len(distinct) > MANY_CLASSES or len(values) < FEW_ROWS * len(distinct):
        fault = f"{name} has {len(distinct)} different values in {len(values)} rows"
        raise UserError(f"{fault}, too many for classes; name another target, or another --task")
    ordered = distinct.sort()
    kind: Type = "boolean" if set(ordered.to_pylist()) == {False, True} else "category"  # 0, 1, too
    classes = ["false", "true"] if kind == "boolean" else ordered.cast(pa.string()).to_pylist()
    codes = np.asarray(pc.index_in(values, ordered)).astype(np.int64)
    counts = np.bincount(codes).tolist()
    parts = [f"{each} ({count:,})" for each, count in zip(classes, counts, strict=True)]
    notes = [f"has {len(classes)} classes: {listed(parts)}"]
    if len(classes) > 2:
        return Target("classes", kind, classes, None, codes, notes, questions)
    if positive not in (None, *classes):
        raise UserError(f"--set {name}.positive={positive}: it is {' or '.join(classes)}")
    likely = [each for each in classes if each.casefold() in POSITIVE]
    if positive is None and len(likely) == 1 and classes != ["1", "2"]:
        positive = likely[0]
    if positive is None:
        positive, other = sorted(classes, key=lambda each: counts[classes.index(each)])
        doubt = f"{name}: {positive} is the positive class, for it is the rarer"
        way_out = quote(f"{name}.positive={other}")
        questions = [*questions, f"{doubt}; --set {way_out} takes the other."]
    chosen = positive == "true" if kind == "boolean" else positive
    return Target("binary", kind, classes, chosen, codes, notes, questions)
