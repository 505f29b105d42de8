"""gate: every request in; its id, key, size, type and number checked, the answer counted, out.

The outermost layer, in plain ASGI: what is asked for often is handed to its handler from here,
since a framework's layers would cost more than the model does.
"""

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import structlog

from .access_log import AccessLog
from .faults import RequestError, shown
from .settings import Settings
from .telemetry import Telemetry

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[str, bytes], Awaitable[bytes]]
Header = tuple[bytes, bytes]

DRAWN_IDS = 256
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
JSON = (b"content-type", b"application/json")
HEADERS: list[Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
EXTRA: dict[int, list[Header]] = {
    401: [(b"www-authenticate", b"Bearer")],
    405: [(b"allow", b"POST")],
    429: [(b"retry-after", b"1")],
    503: [(b"retry-after", b"5")],
}
FAILED = "The service failed on this request; its log says why, under this request_id"


class Reply(NamedTuple):
    """A status and a JSON body."""

    status: int
    body: bytes


class Gate:
    """Checks requests before `posts`, the handlers by path, or the application answer them."""

    def __init__(
        self,
        app: Asgi,
        posts: Mapping[str, Handler],
        settings: Settings,
        telemetry: Telemetry,
        guarded: Sequence[str] = (),
    ) -> None:
        """`guarded` names the application's paths that need a key, too."""
        self.app, self._posts, self._telemetry = app, posts, telemetry
        self._guarded, self._settings = {*guarded, *posts}, settings
        self._keys = [sha256(key.get_secret_value().encode()).digest() for key in settings.api_keys]
        self._paths = {*self._guarded, "/health", "/ready", "/metrics", "/openapi.json"}
        self._log = structlog.get_logger()
        self._access_log = AccessLog() if settings.access_log else None
        self._ids = new_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, path, headers = perf_counter(), scope["path"], dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if SANE_ID.fullmatch(given) else next(self._ids)
        try:
            if path in self._guarded:
                self._check_key(headers)
            if path in self._posts:
                body = await self._post(scope["method"], path, headers, receive, request_id)
                reply = Reply(200, body)
            else:
                status = await self._pass_on(scope, receive, send, request_id)
                self._count(path, status, start, request_id)
                return
        except RequestError as error:
            reply = Reply(error.status, problem(error, request_id))
        except ConnectionError:  # nobody is there to be answered
            self._count(path, 499, start, request_id)
            return
        except Exception:
            self._log.exception("request failed", request_id=request_id, path=path)
            reply = Reply(500, problem(RequestError(500, FAILED), request_id))
        await _send(send, reply, request_id)
        self._count(path, reply.status, start, request_id)

    def refuse(self, error: RequestError) -> tuple[list[Header], bytes]:
        """Count what is no request at all; the headers and the body to answer it with."""
        request_id = next(self._ids)
        reply = Reply(error.status, problem(error, request_id))
        self._count("", reply.status, perf_counter(), request_id)
        return _headers(reply, request_id), reply.body

    async def _post(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        request_id: str,
    ) -> bytes:
        if method != "POST":
            raise RequestError(405, f"{path} answers POST, not {method}")
        self._check_head(headers)
        if self._telemetry.in_flight >= self._settings.max_concurrency:
            raise RequestError(429, "Too many requests at once; try again in a second")
        self._telemetry.in_flight += 1
        try:
            body = await self._body(receive)
            return await self._posts[path](request_id, body)
        finally:
            self._telemetry.in_flight -= 1

    def _check_key(self, headers: Mapping[bytes, bytes]) -> None:
        """Compare with every key, in a time that tells nothing of them."""
        if not self._keys:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        digest = sha256(given).digest()
        if not sum([hmac.compare_digest(digest, key) for key in self._keys]):
            raise RequestError(
                401, "The API key is missing or wrong; send 'Authorization: Bearer KEY'"
            )

    def _check_head(self, headers: Mapping[bytes, bytes]) -> None:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise RequestError(415, "The body must be JSON; send 'Content-Type: application/json'")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestError(415, "The body must not be compressed; send it as it is")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _body(self, receive: Receive) -> bytes:
        """The whole body, within the limits of size and time."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                message = await receive()
                body = message.get("body", b"")
                if not message.get("more_body") and message["type"] == "http.request":
                    if len(body) > self._settings.max_body_bytes:
                        raise self._too_large()
                    return bytes(body)
                return await self._rest(body, message, receive)
        except TimeoutError:
            seconds = self._settings.timeout_seconds
            raise RequestError(
                408, f"The body did not arrive within {seconds:g} seconds; send it faster"
            ) from None

    async def _rest(self, body: bytes, message: Any, receive: Receive) -> bytes:
        parts, size = [body], len(body)
        while True:
            if message["type"] == "http.disconnect":
                raise ConnectionError
            if size > self._settings.max_body_bytes:
                raise self._too_large()
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])

    def _too_large(self) -> RequestError:
        limit = self._settings.max_body_bytes
        return RequestError(
            413, f"The body is larger than {limit} bytes; send fewer rows at a time"
        )

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Let the application answer; the status of its answer, which is never followed by ours."""
        status = 0
        scope["request_id"] = request_id

        async def send_on(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*HEADERS, (b"x-request-id", request_id.encode())]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except Exception:
            if not status:
                raise
            self._log.exception("request failed", request_id=request_id, path=scope["path"])
        return status

    def _count(self, path: str, status: int, start: float, request_id: str) -> None:
        seconds = perf_counter() - start
        self._telemetry.answered(path if path in self._paths else "other", status, seconds)
        if self._access_log is not None:
            self._access_log.add(request_id, shown(path), status, seconds)


def new_ids() -> Iterator[str]:
    """Names that nobody can guess, for ever; the system is asked for many at once."""
    while True:
        many = secrets.token_hex(DRAWN_IDS * 16)
        for at in range(0, len(many), 32):
            yield many[at : at + 32]


def problem(error: RequestError, request_id: str) -> bytes:
    """The body of a refusal."""
    found = {"error": error.sentence, "field": error.field, "row": error.row}
    return msgspec.json.encode(found | {"request_id": request_id})


def _headers(reply: Reply, request_id: str) -> list[Header]:
    return [
        JSON,
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-request-id", request_id.encode()),
        *HEADERS,
        *EXTRA.get(reply.status, ()),
    ]


async def _send(send: Send, reply: Reply, request_id: str) -> None:
    headers = _headers(reply, request_id)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
