"""The JSON documents that the service answers with; their types generate the OpenAPI schemas."""

from collections.abc import Sequence
from itertools import compress
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from machinery.pipeline.model.answers import Answers

from .models import ServedModel

METHOD = "sampled Shapley values of the features, over stored examples"


class Decision(Struct, gc=False):
    """A class, the probability of each class, and the classes of the prediction set."""

    prediction: str
    probability: dict[str, float]
    set: list[str]


class Value(Struct, gc=False):
    """A value and the ends of its interval."""

    prediction: float
    interval: list[float]


class Predictions(Struct):
    """The answer to the rows of a request, in their order."""

    predictions: list[Any]
    coverage: Annotated[float, Meta(description="Nominal coverage of the sets or intervals")]
    decision_threshold: Annotated[float | None, Meta(description="Of the positive class")]
    model_version: str
    request_id: str


class Decisions(Predictions):
    """The answer of a classification."""

    predictions: list[Decision]


class Values(Predictions):
    """The answer of a regression."""

    predictions: list[Value]


class Explained(Struct):
    """The contribution of each feature to the prediction of one row."""

    explained: Annotated[str, Meta(description="The output that is explained")]
    prediction: Annotated[float, Meta(description="base plus all contributions")]
    base: Annotated[float, Meta(description="Mean output over the stored examples")]
    contributions: dict[str, float]
    method: str
    model_version: str
    request_id: str


class Accepted(Struct):
    """How many outcomes were logged."""

    accepted: int
    request_id: str


class Problem(Struct):
    """Why a request was refused."""

    error: Annotated[str, Meta(description="One sentence that names the field")]
    field: str | None
    row: Annotated[int | None, Meta(description="Position in the list, from 0")]
    request_id: str


def predictions(
    request_id: str, model: ServedModel, names: Sequence[str], answers: Answers
) -> Predictions:
    """The answer to `/predict`; `names` are those of the classes."""
    info = model.scorer.info
    rows: list[Decision] | list[Value]
    if answers.decision is None or answers.members is None:
        ends = np.column_stack([answers.low, answers.high])  # type: ignore[list-item]
        rows = [*map(Value, answers.prediction.tolist(), ends.tolist())]
    else:
        parts = (answers.decision, answers.prediction, answers.members)
        rows = [
            Decision(names[code], dict(zip(names, row, strict=True)), [*compress(names, members)])
            for code, row, members in zip(*(part.tolist() for part in parts), strict=True)
        ]
    return Predictions(rows, info["coverage"], info["threshold"], model.version, request_id)
