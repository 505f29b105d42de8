"""The service as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property, partial
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
from machinery.pipeline.model import examples
from machinery.pipeline.model.answers import Answers
from machinery.pipeline.paths import CONTRACT

from .explain import shapley
from .log import PredictionLog
from .middleware import LOGGER, RequestMiddleware, problem
from .models import ModelFolder, ServedModel
from .openapi import Endpoint, document, page
from .replies import METHOD, Accepted, Decisions, Explained, Values, predictions
from .rows import Columns, Reader, RequestError, feedback_columns, shown
from .settings import Settings
from .telemetry import Telemetry

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """The models, the prediction log, and the handlers of all endpoints."""

    def __init__(self, features: ModuleType, settings: Settings) -> None:
        """Open the models and the prediction log.

        Raises:
            UserError: if a folder has no valid model.
        """
        self.settings = settings
        path = settings.model_folder / CONTRACT
        self.contract = contract = contracts.parse(read_yaml(path), path)
        self.telemetry = telemetry = Telemetry(settings.prediction_log)
        folder = partial(ModelFolder, features, contract, settings, telemetry.models)
        self.champion = folder("champion", settings.model_folder)
        self.shadow = folder("shadow", settings.shadow_folder) if settings.shadow_folder else None
        self.log = None
        if settings.prediction_log is not None:
            secret = settings.personal_key
            key = None if secret is None else secret.get_secret_value().encode()
            self.log = PredictionLog(settings.prediction_log, contract, telemetry.logged, key)
        columns = {name: contract.columns[name] for name in contract.known_before()}
        after = contract.columns.keys() - columns.keys()
        self.rows = Reader(columns, settings.max_rows, after=after)
        feedback = feedback_columns(contract)
        self.outcomes = Reader(feedback, settings.max_rows, optional=["row"], name="Feedback")
        self._classes = contract.class_names
        self._explaining = asyncio.Semaphore(1)

    async def predict(self, request: Request) -> Response:
        """Answer one row or many; the challenger scores them after the response is sent."""
        request_id, columns = request.state.request_id, self.rows.read(await self._body(request))
        model, task = self.champion.model, None
        answers = self._score(request_id, columns, model, "champion")
        self.telemetry.rows.inc(len(answers.prediction))
        if answers.decision is not None:
            for code, count in enumerate(np.bincount(answers.decision).tolist()):
                self.telemetry.predictions.labels(self._classes[code]).inc(count)
        if self.shadow is not None:
            task = BackgroundTask(self._challenge, request_id, columns, self.shadow.model)
        return _json(predictions(request_id, model, self._classes, answers), background=task)

    async def _challenge(self, request_id: str, columns: Columns, model: ServedModel) -> None:
        try:
            self._score(request_id, columns, model, "shadow")
        except Exception:
            self.telemetry.shadow_errors.inc()
            LOGGER.exception("shadow failed", extra={"fields": {"request_id": request_id}})

    def _score(self, request_id: str, columns: Columns, model: ServedModel, role: str) -> Answers:
        """Score rows and log the answers."""
        features = model.features(columns)
        answers = model.scorer.score(features)
        if self.log is not None:
            self.log.answers(
                request_id,
                columns,
                features,
                answers,
                model_version=model.version,
                personal=model.scorer.personal,
                role=role,
            )
        return answers

    async def explain(self, request: Request) -> Response:
        """Compute the contribution of each feature to the prediction of one row."""
        columns, model = self.rows.read(await self._body(request)), self.champion.model
        if any(len(values) != 1 for values in columns.values()):
            raise RequestError(422, "Only one row can be explained at a time; send one")
        features, classes = model.features(columns), self._classes
        decision, code = model.scorer.score(features).decision, None
        if decision is not None:
            code = 1 if len(classes) == 2 else int(decision[0])

        def output(columns: Any) -> np.ndarray:
            prediction = model.scorer.model.predict(columns)
            return prediction if code is None else prediction[:, code]

        async with self._explaining:
            values = await asyncio.to_thread(shapley, output, features, model.background)
        reply = Explained(
            self.contract.target if code is None else f"probability of {classes[code]}",
            values.output,
            values.base,
            values.contributions,
            METHOD,
            model.version,
            request.state.request_id,
        )
        return _json(reply)

    async def feedback(self, request: Request) -> Response:
        """Log the true outcomes of rows answered before."""
        if self.log is None:
            raise RequestError(503, "This service has no prediction log to store feedback in")
        columns = self.outcomes.read(await self._body(request))
        rows = [*zip(*columns.values(), strict=True)]
        if not self.log.feedback([(of, row or 0, outcome) for of, row, outcome in rows]):
            raise RequestError(503, "The log cannot be written; send the feedback again later")
        return _json(Accepted(len(rows), request.state.request_id))

    async def _body(self, request: Request) -> bytes:
        """The body of a request, within the limits of size and time."""
        headers, body, settings = request.headers, bytearray(), self.settings
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if media_type != "application/json" or encoding != "identity":
            sentence = "The body must be uncompressed JSON; send 'Content-Type: application/json'"
            raise RequestError(415, sentence)
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > settings.max_body_bytes:
                        limit = f"The body is larger than {settings.max_body_bytes} bytes"
                        raise RequestError(413, f"{limit}; send fewer rows at a time")
        except TimeoutError:
            limit = f"The body did not arrive within {settings.timeout_seconds:g} seconds"
            raise RequestError(408, f"{limit}; send it faster") from None
        return bytes(body)

    async def health(self, request: Request) -> Response:
        """Answer while the process is alive."""
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Check that the model reproduces its stored examples."""
        model = self.champion.model
        try:
            examples.check(model.scorer, model.examples)
        except UserError as error:
            self.telemetry.ready.set(0)
            return _json({"status": "not ready", "error": str(error)}, 503)
        self.telemetry.ready.set(1)
        return _json({"status": "ready", "model_version": model.version})

    async def about(self, request: Request) -> Response:
        """The version, data, metrics and gate of the model."""
        model, shadow = self.champion.model, self.shadow and self.shadow.model
        versions = {"version": model.version, "shadow_version": shadow and shadow.version}
        return _json(versions | model.about)

    async def metrics(self, request: Request) -> Response:
        """The Prometheus metrics."""
        text = self.telemetry.page(self.champion.model.trained_until)
        return Response(text, media_type=PROMETHEUS)

    @cached_property
    def description(self) -> dict[str, Any]:
        """The OpenAPI document."""
        contract, keys = self.contract, bool(self.settings.api_keys)
        title, version = f"Predictions of {contract.target}", str(contract.version)
        description = document(title, version, self.endpoints(), keys=keys)
        row = self.champion.model.examples.rows[0]
        description["components"]["schemas"]["Row"]["examples"] = [row]
        return description

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document as JSON."""
        return _json(self.description)

    async def docs(self, request: Request) -> Response:
        """The OpenAPI document as a page."""
        return HTMLResponse(page(self.description))

    def endpoints(self) -> list[Endpoint]:
        """All endpoints of the service."""
        limit, row, outcome = self.settings.max_rows, self.rows.type, self.outcomes.type
        answer = Decisions if self._classes else Values
        get, post = partial(Endpoint, "GET"), partial(Endpoint, "POST")
        predict, explain = "Predict one row or a list", "Contribution of each feature to a row"
        return [
            post("/predict", self.predict, predict, row, answer, limit),
            post("/explain", self.explain, explain, row, Explained),
            post("/feedback", self.feedback, "Log true outcomes", outcome, Accepted, limit),
            get("/health", self.health, "Alive", guarded=False),
            get("/ready", self.ready, "200 when the model works, else 503", guarded=False),
            get("/model", self.about, "Version, data, metrics, gate"),
            get("/metrics", self.metrics, "For Prometheus", gives=str, guarded=False),
            get("/openapi.json", self.openapi, guarded=False),
            get("/docs", self.docs, guarded=False),
        ]

    async def poll(self) -> None:
        """Poll the model folders until cancelled."""
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            for folder in (self.champion, self.shadow):
                if folder is not None:
                    await folder.poll()


def application(service: Service) -> Starlette:
    """The application, which starts and stops the service."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        polling = asyncio.create_task(service.poll())
        yield
        polling.cancel()
        if service.log is not None:
            service.log.close()

    endpoints = service.endpoints()
    app = Starlette(
        routes=[
            Route(endpoint.path, endpoint.answer, methods=[endpoint.method])
            for endpoint in endpoints
        ],
        middleware=[Middleware(RequestMiddleware, service.settings, service.telemetry, endpoints)],
        exception_handlers={HTTPException: _refuse_path},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would repeat the Host header of the client
    return app


def _refuse_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = f"{shown(request.url.path)} does not answer {request.method}; see /openapi.json"
    refusal = RequestError(error.status_code, sentence)
    return problem(refusal, request.state.request_id, error.headers)


def _json(reply: Any, status: int = 200, background: BackgroundTask | None = None) -> Response:
    body = msgspec.json.encode(reply)
    return Response(body, status, media_type="application/json", background=background)
