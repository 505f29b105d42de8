"""columns: the contract's types and answers of the model in; Arrow types and columns out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from machinery.pipeline.model.answers import Answers

TYPES = {  # in which values of a column are kept
    "string": pa.string(),
    "category": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
}


def answer_columns(answers: Answers, classes: Sequence[str]) -> dict[str, pa.Array]:
    """Answers as columns, named as in data/predictions.parquet.

    Of a classification `probability_*` of each class, `prediction` and `in_set_*`; of a regression
    `prediction`, `low` and `high`.
    """
    if answers.decision is None or answers.members is None:
        return {"prediction": pa.array(answers.prediction), **_ends(answers)}
    codes = pa.array(answers.decision.astype(np.int32))
    return {
        **_by_class("probability", answers.prediction, classes),
        "prediction": pa.array(classes, pa.string()).take(codes),
        **_by_class("in_set", answers.members, classes),
    }


def _by_class(name: str, values: np.ndarray, classes: Sequence[str]) -> dict[str, pa.Array]:
    columns = zip(classes, values.T, strict=True)
    return {f"{name}_{of}": pa.array(np.ascontiguousarray(part)) for of, part in columns}


def _ends(answers: Answers) -> dict[str, pa.Array]:
    return {"low": pa.array(answers.low), "high": pa.array(answers.high)}
