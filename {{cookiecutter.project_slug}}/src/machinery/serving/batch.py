"""batch: the rows of the requests of one moment in; the answers of each, scored together, out.

The model takes hardly longer for sixteen rows than for one. So requests wait for the others that
the event loop has at hand: it looks once more after each that it found, and when a look finds none,
those at hand are scored. A look takes microseconds, so that a request which comes alone waits for
no other. Many rows are scored in turns, between which the loop does what else there is: `/health`
need not wait long.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import structlog

from machinery.pipeline.model.answers import Answers
from machinery.pipeline.data.columns import Arrays
from .log import PredictionLog
from .rows import Reader, Row
from .served import Place, Served

TURN_ROWS = 1000  # that are scored together, unless one request has more


class Scored(NamedTuple):
    """What a request gets: the model that answered it, and its answers."""

    model: Served
    answers: Answers


class Waiting(NamedTuple):
    """A request and where its answer goes."""

    request_id: str
    rows: list[Row]
    answer: "asyncio.Future[Scored]"


class Batcher:
    """Scores and logs; a challenger scores the same rows into the log, after they are answered."""

    def __init__(
        self,
        reader: Reader,
        champion: Place,
        shadow: Place | None,
        log: PredictionLog | None,
        count: Callable[[Served, Answers], None],
    ) -> None:
        """`count` is told of the answers of each batch."""
        self._reader, self._count = reader, count
        self._champion, self._shadow, self._log = champion, shadow, log
        self._waiting: deque[Waiting] = deque()
        self.shadow_errors = 0

    def score(self, request_id: str, rows: list[Row]) -> "asyncio.Future[Scored]":
        """The answers to a request's rows, soon; the champion's, whichever it is by then."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Scored] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._look, 0)
        self._waiting.append(Waiting(request_id, rows, answer))
        return answer

    def _look(self, found: int) -> None:
        """Let the loop look for more requests for as long as it finds some."""
        if found < len(self._waiting) < TURN_ROWS:
            asyncio.get_running_loop().call_soon(self._look, len(self._waiting))
        else:
            self._take_turn()

    def _take_turn(self) -> None:
        batch = self._next()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_turn)
        if batch:
            self._answer(batch)

    def _next(self) -> list[Waiting]:
        """The requests that waited longest, as many as a turn holds; some may have gone."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].rows) <= TURN_ROWS):
            one = self._waiting.popleft()
            if not one.answer.done():
                batch.append(one)
                rows += len(one.rows)
        return batch

    def _answer(self, batch: Sequence[Waiting]) -> None:
        model = self._champion.model
        assert model is not None  # requests are refused before
        try:
            self._score(batch, model)
        except Exception as error:
            if len(batch) > 1:
                for one in batch:  # so that a row that nothing can be made of fails alone
                    self._answer([one])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
        else:
            if self._shadow is not None and self._shadow.model is not None:
                asyncio.get_running_loop().call_soon(self._score_shadow, batch, self._shadow.model)

    def _score(self, batch: Sequence[Waiting], model: Served) -> None:
        raw, features, answers = self._scored(batch, model)
        self._keep(batch, raw, features, answers, model, "champion")  # before anybody is answered
        self._count(model, answers)
        start = 0
        for one in batch:
            rows = slice(start, start + len(one.rows))
            start = rows.stop
            own = answers if len(batch) == 1 else answers.part(rows)
            one.answer.set_result(Scored(model, own))

    def _score_shadow(self, batch: Sequence[Waiting], model: Served) -> None:
        try:
            raw, features, answers = self._scored(batch, model)
        except Exception as error:
            self.shadow_errors += 1
            structlog.get_logger().error("shadow failed", reason=str(error))
            return
        self._keep(batch, raw, features, answers, model, "shadow")

    def _scored(self, batch: Sequence[Waiting], model: Served) -> tuple[Arrays, Arrays, Answers]:
        rows = chain.from_iterable(one.rows for one in batch)
        raw = model.scorer.arrays(self._reader.columns(rows))
        with np.errstate(all="ignore"):  # a number too large is infinite, as in training
            features = model.scorer.features(raw)
            return raw, features, model.scorer.score(features)

    def _keep(
        self,
        batch: Sequence[Waiting],
        raw: Arrays,
        features: Arrays,
        answers: Answers,
        model: Served,
        role: str,
    ) -> None:
        if self._log is not None:
            self._log.answers(
                [one.request_id for one in batch],
                [len(one.rows) for one in batch],
                raw,
                features,
                answers,
                model_version=model.version,
                role=role,
            )
