"""replies: answers of the model in; what the service says, as JSON, out."""

from collections.abc import Iterator
from itertools import compress
from typing import Any

import msgspec
import numpy as np

from ..scoring import Answers
from .explain import Explanation
from .served import Served


def prediction(request_id: str, model: Served, answers: Answers) -> bytes:
    """The answer to `/predict`."""
    info = model.scorer.info
    return msgspec.json.encode(
        {
            "predictions": list(_rows(answers, model.scorer.contract.class_names)),
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


def _rows(answers: Answers, names: list[str]) -> Iterator[dict[str, Any]]:
    values = answers.prediction.tolist()
    if answers.decision is None or answers.members is None:
        ends = np.column_stack([answers.low, answers.high]).tolist()  # type: ignore[list-item]
        for value, interval in zip(values, ends, strict=True):
            yield {"prediction": value, "interval": interval}
        return
    decided, members = answers.decision.tolist(), answers.members.tolist()
    for code, probability, member in zip(decided, values, members, strict=True):
        yield {
            "prediction": names[code],
            "probability": dict(zip(names, probability, strict=True)),
            "set": list(compress(names, member)),
        }
