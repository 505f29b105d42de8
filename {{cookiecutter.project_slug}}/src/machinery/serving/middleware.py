"""Give every request an ID, check its API key, and count it."""

import hmac
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from time import perf_counter

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .openapi import Endpoint
from .replies import Problem
from .rows import RequestError, shown
from .settings import Settings
from .telemetry import Telemetry

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
STATUS_HEADERS = {
    401: {"www-authenticate": "Bearer"},
    429: {"retry-after": "1"},
    503: {"retry-after": "5"},
}
FAILED = "The service failed on this request; see its log under this request_id"
CLIENT_GONE = 499  # as in nginx
LOGGER = logging.getLogger(__name__)


class RequestMiddleware:
    """Passes requests on to `app`; guarded endpoints need a key."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        telemetry: Telemetry,
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._app, self._settings, self._telemetry = app, settings, telemetry
        self._paths = {endpoint.path for endpoint in endpoints}
        self._guarded = {endpoint.path for endpoint in endpoints if endpoint.guarded}
        self._keys = [sha256(key.get_secret_value().encode()).digest() for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, headers = scope["path"], dict(scope["headers"])
        header = headers.get(b"x-request-id", b"")
        request_id = header.decode() if REQUEST_ID.fullmatch(header) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        start, has_answered, is_post = perf_counter(), False, scope["method"] == "POST"

        async def answer(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                has_answered = True
                extra = [*HEADERS, (b"x-request-id", request_id.encode())]
                message["headers"] = [*message["headers"], *extra]
                self._count(path, message["status"], perf_counter() - start, request_id)
            await send(message)

        self._telemetry.in_flight += is_post
        try:
            if path in self._guarded and self._keys:
                self._check_key(headers)
            if is_post and self._telemetry.in_flight > self._settings.max_concurrency:
                raise RequestError(429, "Too many concurrent requests; try again in a second")
            await self._app(scope, receive, answer)
        except RequestError as error:
            await problem(error, request_id)(scope, receive, answer)
        except ClientDisconnect:
            self._count(path, CLIENT_GONE, perf_counter() - start, request_id)
        except Exception:
            fields = {"request_id": request_id, "path": shown(path)}
            LOGGER.exception("request failed", extra={"fields": fields})
            if not has_answered:
                await problem(RequestError(500, FAILED), request_id)(scope, receive, answer)
        finally:
            self._telemetry.in_flight -= is_post

    def _count(self, path: str, status: int, seconds: float, request_id: str) -> None:
        label = path if path in self._paths else "other"
        self._telemetry.requests.labels(label, status).inc()
        self._telemetry.seconds.labels(label).observe(seconds)
        if self._settings.access_log:
            fields = {"request_id": request_id, "path": shown(path), "status": status}
            fields["milliseconds"] = round(seconds * 1000, 3)
            LOGGER.info("request", extra={"fields": fields})

    def _check_key(self, headers: Mapping[bytes, bytes]) -> None:
        """Compare with every key, in constant time."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        digest = sha256(key).digest()
        if not sum(hmac.compare_digest(digest, valid) for valid in self._keys):
            raise RequestError(
                401, "The API key is missing or wrong; send 'Authorization: Bearer KEY'"
            )


def problem(
    error: RequestError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The response to a request that is refused."""
    body = msgspec.json.encode(Problem(error.sentence, error.field, error.row, request_id))
    headers = {**STATUS_HEADERS.get(error.status, {}), **(headers or {})}
    return Response(body, error.status, headers, "application/json")
