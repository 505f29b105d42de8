"""middleware: every request gets an id, is checked for its key and its limits, and is counted."""

import asyncio
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
from .telemetry import OUTPUT, Telemetry

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
EXTRA = {
    401: {"www-authenticate": "Bearer"},
    429: {"retry-after": "1"},
    503: {"retry-after": "5"},
}
FAILED = "The service failed on this request; its log says why, under this request_id"
CLIENT_GONE = 499  # as nginx counts it
LOGGER = logging.getLogger(__name__)


class Gate:
    """Lets requests through to `app`; guarded endpoints need a key."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        telemetry: Telemetry,
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._app, self._settings, self._telemetry = app, settings, telemetry
        self._paths = {each.path for each in endpoints}
        self._posts = {each.path for each in endpoints if each.method == "POST"}
        self._guarded = {each.path for each in endpoints if each.guarded}
        self._keys = [sha256(key.get_secret_value().encode()).digest() for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, headers = perf_counter(), 0, dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        is_post = scope["method"] == "POST" and scope["path"] in self._posts

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [*HEADERS, (b"x-request-id", request_id.encode())]
                message["headers"] = [*message["headers"], *more]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._count(scope["path"], status, perf_counter() - start, request_id)

        self._telemetry.in_flight += is_post
        try:
            self._check(scope["path"], headers, is_post=is_post)
            receive = self._limited(receive) if is_post else receive
            await self._app(scope, receive, answer)
        except RequestError as error:
            await problem(error, request_id)(scope, receive, answer)
        except ClientDisconnect:
            self._count(scope["path"], CLIENT_GONE, perf_counter() - start, request_id)
        except Exception:
            fields = {"request_id": request_id, "path": shown(scope["path"])}
            LOGGER.exception("request failed", extra={"fields": fields})
            if not status:
                await problem(RequestError(500, FAILED), request_id)(scope, receive, answer)
        finally:
            self._telemetry.in_flight -= is_post

    def _count(self, path: str, status: int, seconds: float, request_id: str) -> None:
        known = path if path in self._paths else "other"
        self._telemetry.requests.labels(known, status).inc()
        self._telemetry.seconds.labels(known).observe(seconds)
        if self._settings.access_log:
            fields = {"request_id": request_id, "path": shown(path), "status": status}
            fields["milliseconds"] = round(seconds * 1000, 3)
            OUTPUT.line("info", "request", fields)

    def _check(self, path: str, headers: Mapping[bytes, bytes], *, is_post: bool) -> None:
        """Check the key and the headers.

        Raises:
            RequestError: saying what is wrong.
        """
        if path in self._guarded and self._keys and not self._has_key(headers):
            raise RequestError(
                401, "The API key is missing or wrong; send 'Authorization: Bearer KEY'"
            )
        if not is_post:
            return
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise RequestError(415, "The body must be JSON; send 'Content-Type: application/json'")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestError(415, "The body must not be compressed; send it as it is")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.max_body_bytes:
            raise self._too_large()
        if self._telemetry.in_flight > self._settings.max_concurrency:
            raise RequestError(429, "Too many requests at once; try again in a second")

    def _has_key(self, headers: Mapping[bytes, bytes]) -> bool:
        """Compare with every key, in constant time."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        digest = sha256(given).digest()
        return sum(hmac.compare_digest(digest, key) for key in self._keys) > 0

    def _limited(self, receive: Receive) -> Receive:
        """Receive a body within the limits of size and time."""
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        size = 0

        async def limited() -> Message:
            nonlocal size
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                seconds = self._settings.timeout_seconds
                raise RequestError(
                    408, f"The body did not arrive within {seconds:g} seconds; send it faster"
                ) from None
            size += len(message.get("body", b""))
            if size > self._settings.max_body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> RequestError:
        limit = self._settings.max_body_bytes
        return RequestError(
            413, f"The body is larger than {limit} bytes; send fewer rows at a time"
        )


def problem(
    error: RequestError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is refused."""
    body = msgspec.json.encode(Problem(error.sentence, error.field, error.row, request_id))
    extra = {**EXTRA.get(error.status, {}), **(headers or {})}
    return Response(body, error.status, extra, "application/json")
