"""replies: answers of the model in; what the service says, as JSON, out."""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import compress
from typing import Any

import msgspec
import numpy as np

from machinery.pipeline.model.answers import Answers
from .explain import Explanation
from .served import Served


class Interval(msgspec.Struct, gc=False):
    """A value and the ends of its interval."""

    prediction: float
    interval: list[float]


class Decided(msgspec.Struct, gc=False):
    """A class, the probability of each, and those in the prediction set."""

    prediction: str
    probability: Any
    set: list[str]


def prediction(request_id: str, model: Served, answers: Answers) -> bytes:
    """The answer to `/predict`."""
    info = model.scorer.info
    return msgspec.json.encode(
        {
            "predictions": [*_rows(answers, model.scorer.contract.class_names)],
            "coverage": info["coverage"],
            "decision_threshold": info["threshold"],
            "model_version": model.version,
            "request_id": request_id,
        }
    )


def explanation(request_id: str, model: Served, of: str, found: Explanation) -> bytes:
    """The answer to `/explain`."""
    return msgspec.json.encode(
        {
            "explained": of,
            "prediction": found.output,
            "base": found.base,
            "contributions": found.contributions,
            "method": "sampled Shapley values of the features, over stored examples",
            "model_version": model.version,
            "request_id": request_id,
        }
    )


def _rows(answers: Answers, names: list[str]) -> Iterable[msgspec.Struct]:
    """An object for each row; made column by column, which takes a third of the time."""
    if answers.decision is None or answers.members is None:
        ends = np.column_stack([answers.low, answers.high]).tolist()  # type: ignore[list-item]
        return map(Interval, answers.prediction.tolist(), ends)
    members = _bytes_of(answers.members)
    sets = {each: [*compress(names, each)] for each in {*members}}
    return map(
        Decided,
        map(names.__getitem__, answers.decision.tolist()),
        map(_by_class(tuple(names)), *answers.prediction.T.tolist()),
        map(sets.__getitem__, members),
    )


def _bytes_of(members: np.ndarray) -> list[bytes]:
    """Each row's members as bytes, 1 or 0 a class, without the zeros at the end."""
    rows, classes = members.shape
    return np.ascontiguousarray(members).view(f"S{classes}").reshape(rows).tolist()  # type: ignore[no-any-return]


@cache
def _by_class(names: tuple[str, ...]) -> Callable[..., Any]:
    """What makes an object of values, one for each class."""
    fields = [(f"c{at}", float) for at in range(len(names))]
    rename = {f"c{at}": name for at, name in enumerate(names)}
    try:
        return msgspec.defstruct("ByClass", fields, rename=rename, gc=False)
    except ValueError:  # a name that JSON has to escape
        return lambda *values: dict(zip(names, values, strict=True))
