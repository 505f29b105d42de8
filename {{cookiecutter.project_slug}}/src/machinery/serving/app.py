"""app: settings in; the service as an ASGI application, its model open and its log running, out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.model.answers import Answers
from machinery.pipeline.data.contract import Column, Contract
from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CONTRACT
from . import replies
from .batch import Batcher
from .explain import shapley
from .faults import RequestError, shown
from .gate import FAILED, Gate, problem
from .log import Limits, PredictionLog
from .model_files import Kept
from .openapi import document
from .rows import Reader
from .served import Place, Served
from machinery.pipeline.project import Project
from .settings import Settings
from .telemetry import Telemetry

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """What stands behind the paths: the model's places, the readers of bodies, the log."""

    def __init__(
        self, features: ModuleType, settings: Settings, kept: Path | None = None
    ) -> None:
        """Open the model. In `kept`, workers share copies of the models that they have accepted.

        Raises:
            UserError: when there is none in the folder.
        """
        self.settings, self._features = settings, features
        accepted, challenging = Kept(kept, "champion"), Kept(kept, "shadow")
        path = (accepted.model or settings.model_folder) / CONTRACT
        self.contract = contracts.parse(read_yaml(path), path)
        self.champion = self._place(settings.model_folder, accepted)
        self.champion.open()
        self.shadow: Place | None = None
        if settings.shadow_folder is not None:
            self.shadow = self._place(settings.shadow_folder, challenging)
            self.shadow.open()
        self.telemetry = Telemetry()  # only now: a worker that finds no model leaves no files of it
        self.log = _log(settings, self.contract)
        columns, known = self.contract.columns, self.contract.known_before()
        self._rows = Reader(
            {name: columns[name] for name in known}, settings.max_rows, columns.keys() - {*known}
        )
        self.batcher = Batcher(self._rows, self.champion, self.shadow, self.log, self._count)
        self._feedback = Reader(feedback_columns(self.contract), settings.max_rows)
        self._explaining = asyncio.Semaphore(1)

    def _place(self, folder: Path, kept: Kept) -> Place:
        settings, commit = self.settings, self.settings.commit
        return Place(
            self._features, folder, settings.version, settings.threads, self.contract, commit, kept
        )

    def model(self) -> Served:
        """The model that answers now.

        Raises:
            RequestError: while there is none.
        """
        if self.champion.model is None:
            raise RequestError(503, f"No model is ready: {self.champion.fault}")
        return self.champion.model

    async def predict(self, request_id: str, body: bytes) -> bytes:
        """Answer one row or many."""
        self.model()
        rows = self._rows.read(body)
        model, answers = await self.batcher.score(request_id, rows)
        return replies.prediction(request_id, model, answers)

    def _count(self, model: Served, answers: Answers) -> None:
        self.telemetry.rows.inc(len(answers.prediction))
        if answers.decision is not None:
            names = model.scorer.contract.class_names
            for code, count in enumerate(np.bincount(answers.decision).tolist()):
                if count:
                    self.telemetry.predicted(names[code], count)

    async def explain(self, request_id: str, body: bytes) -> bytes:
        """Say what each feature contributes to the answer to one row."""
        model, rows = self.model(), self._rows.read(body)
        if len(rows) != 1:
            raise RequestError(422, "Only one row is explained at a time; give one")
        scorer = model.scorer
        features = scorer.features(scorer.arrays(self._rows.columns(rows)))
        answers = scorer.score(features)
        names, code = scorer.contract.class_names, None
        if answers.decision is not None:
            code = 1 if len(names) == 2 else int(answers.decision[0])

        def output(columns: Any) -> np.ndarray:
            found = scorer.model.predict(columns)
            return found if code is None else found[:, code]

        try:
            async with asyncio.timeout(self.settings.timeout_seconds), self._explaining:
                found = await asyncio.to_thread(shapley, output, features, model.background)
        except TimeoutError:
            raise RequestError(503, "Explanations take too long just now; try again") from None
        of = scorer.contract.target if code is None else f"probability of {names[code]}"
        return replies.explanation(request_id, model, of, found)

    async def feedback(self, request_id: str, body: bytes) -> bytes:
        """Take the true outcomes of rows answered before."""
        if self.log is None:
            raise RequestError(503, "No prediction log is kept here, so feedback has no place")
        rows = self._feedback.read(body)
        given = self._feedback.columns(rows)
        for of, row, outcome in zip(
            given["request_id"], given["row"], given["outcome"], strict=True
        ):
            if not self.log.feedback(of, row or 0, outcome):
                raise RequestError(503, "The log's queue is full; send the feedback again later")
        return msgspec.json.encode({"accepted": len(rows), "request_id": request_id})

    def example(self) -> dict[str, Any] | None:
        """A row that a request may hold."""
        return None if self.champion.model is None else self.champion.model.examples.rows[0]

    def look(self) -> None:
        """Bring the metrics up to date, and the log to what it could not do before."""
        self.telemetry.look(self.champion.model)
        self.telemetry.take_over("shadow_errors", self.batcher.shadow_errors)
        for role, place in (("champion", self.champion), ("shadow", self.shadow)):
            for outcome, count in ({} if place is None else place.outcomes).items():
                self.telemetry.take_over("models", count, role, outcome)
        if self.log is not None:
            self.log.look()
            self.telemetry.look_at_log(self.log.counters())

    async def watch(self) -> None:
        """Look for new models for ever."""
        while True:
            self.look()
            await asyncio.sleep(self.settings.poll_seconds)
            for place in (self.champion, self.shadow):
                if place is not None:
                    await place.look()

    def close(self) -> None:
        """Write what the log still holds."""
        if self.log is not None:
            self.log.close()
        self.look()


def feedback_columns(contract: Contract) -> dict[str, Column]:
    """The fields of feedback, described as columns are."""
    request_id = {"type": "string", "description": "The request_id of the answer"}
    row = {"type": "integer", "description": "The row's place in the request, from 0"}
    plain = {"unit": None, "owner": "service", "known": "after"}
    positions = {"min": 0, "max": 2**31 - 1}
    return {
        "request_id": Column.model_validate(
            plain | request_id | {"allowed": None, "nullable": False}
        ),
        "row": Column.model_validate(plain | row | {"allowed": positions, "nullable": True}),
        "outcome": contract.columns[contract.target],
    }


def make(project: Project, settings: Settings, kept: Path | None = None) -> Gate:
    """The application of a service of its own; see Service for `kept`.

    Raises:
        UserError: when there is no model in the folder.
    """
    return application(Service(project.features(), settings, kept))


def application(service: Service) -> Gate:
    """The application, whose start and end are the service's."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.to_thread(service.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    found = document(
        service.contract, feedback_columns(service.contract), service.settings, service.example()
    )
    described = msgspec.json.encode(found)
    _add_paths(app, service, described)
    posts = {
        "/predict": service.predict,
        "/explain": service.explain,
        "/feedback": service.feedback,
    }
    return Gate(app, posts, service.settings, service.telemetry, guarded=["/model"])


def _add_paths(app: FastAPI, service: Service, described: bytes) -> None:
    @app.get("/health")
    async def health() -> Response:
        return _json({"status": "alive"})

    @app.get("/ready")
    async def ready() -> Response:
        try:
            model = service.model()
            model.check()
        except (RequestError, UserError) as error:
            return _json({"status": "not ready", "error": str(error)}, 503)
        return _json({"status": "ready", "model_version": model.version})

    @app.get("/model")
    async def model(request: Request) -> Response:
        try:
            served = service.model()
        except RequestError as error:
            body = problem(error, request.scope["request_id"])
            return Response(body, 503, media_type="application/json")
        shadow = service.shadow.model if service.shadow is not None else None
        versions = {"version": served.version, "shadow_version": shadow and shadow.version}
        return _json(versions | served.about)

    @app.get("/metrics")
    async def metrics() -> Response:
        service.look()
        return Response(service.telemetry.page(), media_type=PROMETHEUS)

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return Response(described, media_type="application/json")

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        body = problem(RequestError(500, FAILED), request.scope["request_id"])
        return Response(body, 500, media_type="application/json")

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        sentence = (
            f"{path} does not answer {request.method}"
            if error.status_code == 405
            else f"{shown(path)} is no path of this service; see /openapi.json"
        )
        body = problem(RequestError(error.status_code, sentence), request.scope["request_id"])
        return Response(body, error.status_code, error.headers, "application/json")


def _json(found: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(found), status, media_type="application/json")


def _log(settings: Settings, contract: Contract) -> PredictionLog | None:
    if settings.prediction_log is None:
        return None
    limits = Limits(
        queue_rows=settings.log_queue_rows,
        flush_seconds=settings.log_flush_seconds,
        file_bytes=settings.log_file_bytes,
    )
    return PredictionLog(settings.prediction_log, contract, limits)
