"""app: settings in; the service as an ASGI application, its model open and its log at hand, out."""

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
from machinery.pipeline.files import UserError, first_line, read_yaml
from machinery.pipeline.model.answers import Answers
from machinery.pipeline.paths import CONTRACT
from machinery.pipeline.project import Project

from . import replies
from .explain import shapley
from .log import Columns, PredictionLog
from .middleware import LOGGER, Gate, problem
from .openapi import Path, document, page
from .rows import Reader, RequestError, feedback_columns, shown
from .served import Place, Served
from .settings import Settings
from .telemetry import Telemetry

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
GC_THRESHOLD = 10_000  # objects; the rows of requests are many and hardly ever in cycles


class Service:
    """The models, the readers of bodies and the log, and what answers each path."""

    def __init__(
        self, features: ModuleType, settings: Settings, log: type[PredictionLog] = PredictionLog
    ) -> None:
        """Open the model and the prediction log, which is a `log`.

        Raises:
            UserError: when there is no model in the folder.
        """
        self.settings = settings
        path = settings.model_folder / CONTRACT
        self.contract = contract = contracts.parse(read_yaml(path), path)
        self.telemetry = telemetry = Telemetry()

        def place(role: str, folder: Any, commit: str | None = None) -> Place:
            count = partial(telemetry.model, role)
            threads, version = settings.threads, settings.version
            return Place(features, folder, version, threads, contract, count, commit)

        self.champion = place("champion", settings.model_folder, settings.commit)
        shadow = settings.shadow_folder
        self.shadow = None if shadow is None else place("shadow", shadow)
        folder = settings.prediction_log
        self.log = None if folder is None else log(folder, contract, telemetry.logged)
        columns, known = contract.columns, contract.known_before()
        before = {name: columns[name] for name in known}
        self.rows = Reader(before, settings.max_rows, columns.keys() - before.keys())
        self.outcomes = Reader(feedback_columns(contract), settings.max_rows, name="Feedback")
        self._replies = replies.Replies(contract)
        self._explaining = asyncio.Semaphore(1)

    async def predict(self, request: Request) -> Response:
        """Answer one row or many; a challenger scores them, too, once they are answered."""
        request_id = request.state.request_id
        columns = self.rows.columns(self.rows.read(await request.body()))
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
        except Exception as error:
            self.telemetry.shadow_errors.inc()
            fields = {"request_id": request_id, "reason": first_line(error)}
            LOGGER.error("shadow failed", extra={"fields": fields})

    def _score(self, request_id: str, columns: Columns, model: Served, role: str) -> Answers:
        """Score rows, and log them before anybody is answered."""
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
                    self.telemetry.predicted(self.contract.class_names[code], count)

    async def explain(self, request: Request) -> Response:
        """Say what each feature contributes to the answer to one row."""
        rows, model = self.rows.read(await request.body()), self.champion.model
        if len(rows) != 1:
            raise RequestError(422, "Only one row is explained at a time; give one")
        scorer, columns = model.scorer, self.rows.columns(rows)
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
            raise RequestError(503, "Explanations take too long just now; try again") from None
        of = self.contract.target if code is None else f"probability of {names[code]}"
        return _json(replies.explanation(request.state.request_id, model, of, values))

    async def feedback(self, request: Request) -> Response:
        """Log the true outcomes of rows answered before."""
        if self.log is None:
            raise RequestError(503, "No prediction log is kept here, so feedback has no place")
        rows = self.outcomes.read(await request.body())
        if not self.log.feedback([(of, row or 0, outcome) for of, row, outcome in rows]):
            raise RequestError(503, "The log cannot be written; send the feedback again later")
        return _json(replies.Accepted(len(rows), request.state.request_id))

    async def health(self, request: Request) -> Response:
        """Answer while the process is alive."""
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Answer whether the model answers its stored examples."""
        model = self.champion.model
        try:
            model.check()
        except UserError as error:
            self.telemetry.ready(is_ready=False)
            return _json({"status": "not ready", "error": str(error)}, 503)
        self.telemetry.ready(is_ready=True)
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

    def described(self) -> dict[str, Path]:
        """The paths as the OpenAPI document has them."""
        row, most = self.rows.type, self.settings.max_rows
        return {
            "/predict": Path(
                "post", "Predict one row or a list of rows", row, self._replies.type, rows=most
            ),
            "/explain": Path(
                "post", "What each feature contributes to one answer", row, replies.Explained
            ),
            "/feedback": Path(
                "post",
                "Log true outcomes, for training",
                self.outcomes.type,
                replies.Accepted,
                rows=most,
            ),
            "/health": Path("get", "Alive", guarded=False),
            "/ready": Path(
                "get", "A model is open and answers its examples", guarded=False, refusals="503"
            ),
            "/model": Path("get", "Version, data, metrics, gate", refusals="401"),
            "/metrics": Path("get", "Prometheus metrics", gives="text/plain", guarded=False),
        }

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


def make(
    project: Project, settings: Settings, log: type[PredictionLog] = PredictionLog
) -> Starlette:
    """The application of a project.

    Raises:
        UserError: when there is no model in the folder.
    """
    return application(Service(project.features(), settings, log))


def application(service: Service) -> Starlette:
    """The application, whose start and end are the service's."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gc.collect()
        gc.freeze()  # what is there by now stays: the collector need not look at it again
        gc.set_threshold(GC_THRESHOLD)
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        service.close()

    paths, contract = service.described(), service.contract
    described = document(
        f"Predictions of {contract.target}",
        str(contract.version),
        paths,
        replies.Problem,
        keys=bool(service.settings.api_keys),
    )
    example = service.champion.model.examples.rows[0]
    described["components"]["schemas"]["Row"]["examples"] = [example]
    text, html = msgspec.json.encode(described), page(described)

    async def openapi(request: Request) -> Response:
        return Response(text, media_type="application/json")

    async def docs(request: Request) -> Response:
        return HTMLResponse(html)

    gets = {
        "/health": service.health,
        "/ready": service.ready,
        "/model": service.about,
        "/metrics": service.metrics,
        "/openapi.json": openapi,
        "/docs": docs,
    }
    posts = {
        "/predict": service.predict,
        "/explain": service.explain,
        "/feedback": service.feedback,
    }
    gate = Middleware(
        Gate,
        settings=service.settings,
        telemetry=service.telemetry,
        paths={*gets, *posts},
        posts={*posts},
        guarded={name for name, path in paths.items() if path.guarded},
    )
    app = Starlette(
        routes=[
            *(Route(path, answer, methods=["POST"]) for path, answer in posts.items()),
            *(Route(path, answer, methods=["GET"]) for path, answer in gets.items()),
        ],
        middleware=[gate],
        exception_handlers={RequestError: _refuse, HTTPException: _refuse_path},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would be made of whatever Host was sent
    return app


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return problem(error, request.state.request_id)


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
