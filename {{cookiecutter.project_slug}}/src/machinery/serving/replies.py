"""replies: what the model says, as JSON; and the types that describe it in the OpenAPI document."""

from collections.abc import Iterable
from itertools import compress
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model.answers import Answers

from .explain import Explanation
from .served import Served


class Explained(msgspec.Struct):
    """What each feature contributes to the answer to one row."""

    explained: Annotated[str, Meta(description="The output that is explained")]
    prediction: Annotated[float, Meta(description="base plus all contributions")]
    base: Annotated[float, Meta(description="Mean output over the stored examples")]
    contributions: dict[str, float]
    method: str
    model_version: str
    request_id: str


class Accepted(msgspec.Struct):
    """How many outcomes were logged."""

    accepted: int
    request_id: str


class Problem(msgspec.Struct):
    """Why a request was refused."""

    error: Annotated[str, Meta(description="One sentence, naming the field")]
    field: str | None
    row: Annotated[int | None, Meta(description="Place in the list, from 0")]
    request_id: str


class Interval(msgspec.Struct, gc=False):
    """A value and the ends of its interval."""

    prediction: float
    interval: list[float]


class Replies:
    """Makes the answers to /predict for the contract's task and classes."""

    def __init__(self, contract: Contract) -> None:
        self._names = contract.class_names
        row: Any = Interval
        if contract.task == "classification":
            kind: Any = Literal[tuple(self._names)]
            self._decided = row = msgspec.defstruct(
                "Decided",
                [
                    ("prediction", kind),
                    ("probability", dict[str, float]),
                    ("set", Annotated[list[kind], Meta(description="Prediction set")]),
                ],
                gc=False,
            )
        coverage = "Nominal coverage of the prediction sets or intervals"
        self.type = msgspec.defstruct(
            "Predictions",
            [
                ("predictions", list[row]),
                ("coverage", Annotated[float, Meta(description=coverage)]),
                (
                    "decision_threshold",
                    Annotated[float | None, Meta(description="Of the last class")],
                ),
                ("model_version", str),
                ("request_id", str),
            ],
        )

    def prediction(self, request_id: str, model: Served, answers: Answers) -> bytes:
        """The answer to `/predict`."""
        info = model.scorer.info
        reply = self.type(
            [*self._rows(answers)], info["coverage"], info["threshold"], model.version, request_id
        )
        return msgspec.json.encode(reply)

    def _rows(self, answers: Answers) -> Iterable[msgspec.Struct]:
        """An object for each row."""
        if answers.decision is None or answers.members is None:
            ends = np.column_stack([answers.low, answers.high]).tolist()  # type: ignore[list-item]
            return map(Interval, answers.prediction.tolist(), ends)
        members = [*map(tuple, answers.members.tolist())]
        sets = {each: [*compress(self._names, each)] for each in {*members}}
        return map(
            self._decided,
            map(self._names.__getitem__, answers.decision.tolist()),
            (dict(zip(self._names, row, strict=True)) for row in answers.prediction.tolist()),
            map(sets.__getitem__, members),
        )


def explanation(request_id: str, model: Served, of: str, values: Explanation) -> bytes:
    """The answer to `/explain`."""
    method = "sampled Shapley values of the features, over stored examples"
    contributions = values.contributions
    return msgspec.json.encode(
        Explained(of, values.output, values.base, contributions, method, model.version, request_id)
    )
