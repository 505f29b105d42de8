"""app: the service as an ASGI application."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.model.answers import Answers
from machinery.pipeline.paths import CONTRACT
from machinery.pipeline.project import Project

from . import replies
from .explain import shapley
from .log import PredictionLog
from .middleware import LOGGER, Gate, problem
from .openapi import Endpoint, document, page
from .rows import Columns, Reader, RequestError, feedback_columns, shown
from .served import Place, Served
from .settings import Settings
from .telemetry import Telemetry

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
GC_THRESHOLD = 10_000  # objects; the rows of a request are many, and not in cycles


class Service:
    """The models, the readers of bodies and the log, and what answers each path."""

    def __init__(self, features: ModuleType, settings: Settings) -> None:
        """Open the model and the prediction log.

        Raises:
            UserError: when there is no model in the folder.
        """
        self.settings = settings
        path = settings.model_folder / CONTRACT
        self.contract = contract = contracts.parse(read_yaml(path), path)
        self.telemetry = Telemetry()
        models = features, contract, settings, self.telemetry.models
        self.champion = Place("champion", settings.model_folder, *models)
        folder = settings.shadow_folder
        self.shadow = None if folder is None else Place("shadow", folder, *models)
        folder = settings.prediction_log
        count = self.telemetry.logged
        self.log = None if folder is None else PredictionLog(folder, contract, count)
        columns = {name: contract.columns[name] for name in contract.known_before()}
        self.rows = Reader(columns, settings.max_rows, contract.columns.keys() - columns.keys())
        self.outcomes = Reader(feedback_columns(contract), settings.max_rows, name="Feedback")
        self._replies = replies.Replies(contract)
        self._explaining = asyncio.Semaphore(1)

    async def predict(self, request: Request) -> Response:
        """Answer one row or many; a challenger scores them after the answer is sent."""
        request_id = request.state.request_id
        columns = self.rows.read(await request.body())
        model = self.champion.model
        answers = self._score(request_id, columns, model, "champion")
        self._count(answers)
        reply = self._replies.prediction(request_id, model, answers)
        task = None
        if self.shadow is not None:
            task = BackgroundTask(self._challenge, request_id, columns, self.shadow.model)
        return Response(reply, media_type="application/json", background=task)

    async def _challenge(self, request_id: str, columns: Columns, model: Served) -> None:
        try:
            self._score(request_id, columns, model, "shadow")
        except Exception:
            self.telemetry.shadow_errors.inc()
            LOGGER.exception("shadow failed", extra={"fields": {"request_id": request_id}})

    def _score(self, request_id: str, columns: Columns, model: Served, role: str) -> Answers:
        """Score rows and log them, before the answer is sent."""
        scorer = model.scorer
        raw = scorer.arrays({name: columns[name] for name in scorer.columns})
        with np.errstate(all="ignore"):  # a number too large is infinite, as in training
            features = scorer.features(raw)
            answers = scorer.score(features)
        if self.log is not None:
            self.log.answers(
                request_id, columns, features, answers, model_version=model.version, role=role
            )
        return answers

    def _count(self, answers: Answers) -> None:
        self.telemetry.rows.inc(len(answers.prediction))
        if answers.decision is not None:
            for code, count in enumerate(np.bincount(answers.decision).tolist()):
                if count:
                    name = self.contract.class_names[code]
                    self.telemetry.predictions.labels(name).inc(count)

    async def explain(self, request: Request) -> Response:
        """Say what each feature contributes to the answer to one row."""
        columns, model = self.rows.read(await request.body()), self.champion.model
        if any(len(values) != 1 for values in columns.values()):
            raise RequestError(422, "Only one row is explained at a time; give one")
        scorer = model.scorer
        features = scorer.features(scorer.arrays({name: columns[name] for name in scorer.columns}))
        decision, names, code = scorer.score(features).decision, self.contract.class_names, None
        if decision is not None:
            code = 1 if len(names) == 2 else int(decision[0])

        def output(columns: Any) -> np.ndarray:
            prediction = scorer.model.predict(columns)
            return prediction if code is None else prediction[:, code]

        try:
            async with asyncio.timeout(self.settings.timeout_seconds), self._explaining:
                values = await asyncio.to_thread(shapley, output, features, model.background)
        except TimeoutError:
            raise RequestError(503, "Explanations take too long at the moment; try again") from None
        of = self.contract.target if code is None else f"probability of {names[code]}"
        return _json(replies.explanation(request.state.request_id, model, of, values))

    async def feedback(self, request: Request) -> Response:
        """Log the true outcomes of rows answered before."""
        if self.log is None:
            raise RequestError(503, "No prediction log is kept here, so feedback cannot be stored")
        columns = self.outcomes.read(await request.body())
        rows = [*zip(*columns.values(), strict=True)]
        if not self.log.feedback([(of, row or 0, outcome) for of, row, outcome in rows]):
            raise RequestError(503, "The log cannot be written; send the feedback again later")
        return _json(replies.Accepted(len(rows), request.state.request_id))

    async def health(self, request: Request) -> Response:
        """Answer while the process is alive."""
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Say whether the model reproduces its stored examples."""
        model = self.champion.model
        try:
            model.check()
        except UserError as error:
            self.telemetry.ready.set(0)
            return _json({"status": "not ready", "error": str(error)}, 503)
        self.telemetry.ready.set(1)
        return _json({"status": "ready", "model_version": model.version})

    async def about(self, request: Request) -> Response:
        """Answer with version, data, metrics and gate of the model."""
        model, shadow = self.champion.model, self.shadow and self.shadow.model
        versions = {"version": model.version, "shadow_version": shadow and shadow.version}
        return _json(versions | model.about)

    async def metrics(self, request: Request) -> Response:
        """Answer with Prometheus's page."""
        page = self.telemetry.page(self.champion.model.trained_until)
        return Response(page, media_type=PROMETHEUS)

    def endpoints(self) -> list[Endpoint]:
        """What the service answers, but for the paths that describe this."""
        most, row, outcome = self.settings.max_rows, self.rows.type, self.outcomes.type
        predictions, get = self._replies.type, partial(Endpoint, "GET")
        post = partial(Endpoint, "POST")
        about = "What each feature contributes to one answer"
        return [
            post("/predict", self.predict, "Predict one row or a list", row, predictions, most),
            post("/explain", self.explain, about, row, replies.Explained),
            post("/feedback", self.feedback, "Log true outcomes", outcome, replies.Accepted, most),
            get("/health", self.health, "Alive", guarded=False),
            get("/ready", self.ready, "200 when the model works, else 503", guarded=False),
            get("/model", self.about, "Version, data, metrics, gate"),
            get("/metrics", self.metrics, "For Prometheus", gives="text/plain", guarded=False),
        ]

    async def watch(self) -> None:
        """Look for new models until cancelled."""
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            for place in (self.champion, self.shadow):
                if place is not None:
                    await place.look()

    def close(self) -> None:
        """Close the log, which reports what it lost."""
        if self.log is not None:
            self.log.close()


def make(project: Project, settings: Settings) -> Starlette:
    """The application of a project.

    Raises:
        UserError: when there is no model in the folder.
    """
    return application(Service(project.features(), settings))


def application(service: Service) -> Starlette:
    """The application, which starts and stops the service."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gc.collect()
        gc.freeze()  # objects that exist by now stay: the collector can skip them
        gc.set_threshold(GC_THRESHOLD)
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        service.close()

    endpoints = [*service.endpoints(), *_descriptions(service)]
    app = Starlette(
        routes=[Route(each.path, each.answer, methods=[each.method]) for each in endpoints],
        middleware=[Middleware(Gate, service.settings, service.telemetry, endpoints)],
        exception_handlers={HTTPException: _refuse_path},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host was sent
    return app


def _descriptions(service: Service) -> list[Endpoint]:
    """The OpenAPI document of the service, and its page."""
    contract, keys = service.contract, bool(service.settings.api_keys)
    title, version = f"Predictions of {contract.target}", str(contract.version)
    described = document(title, version, service.endpoints(), replies.Problem, keys=keys)
    example = service.champion.model.examples.rows[0]
    described["components"]["schemas"]["Row"]["examples"] = [example]
    text, html = msgspec.json.encode(described), page(described)

    async def openapi(request: Request) -> Response:
        return _json(text)

    async def docs(request: Request) -> Response:
        return HTMLResponse(html)

    return [
        Endpoint("GET", "/openapi.json", openapi, "This document", guarded=False),
        Endpoint("GET", "/docs", docs, "A page of it", guarded=False),
    ]


def _refuse_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = shown(request.url.path)
    sentence = (
        f"{path} does not answer {request.method}"
        if error.status_code == 405
        else f"{path} is not a path of this service; see /openapi.json"
    )
    refusal = RequestError(error.status_code, sentence)
    return problem(refusal, request.state.request_id, error.headers)


def _json(reply: Any, status: int = 200) -> Response:
    body = reply if isinstance(reply, bytes) else msgspec.json.encode(reply)
    return Response(body, status, media_type="application/json")
