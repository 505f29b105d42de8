"""connection: the bytes of a client in; its requests, within limits of time and size, out.

uvicorn's protocol waits for ever for the rest of a head or a body and for somebody to read what was
answered, and takes a head of any size. This one lets go of such clients, says in JSON what is wrong
with what is no HTTP, and does not lose the body of a request that asks for another protocol.
"""

import asyncio
from enum import Enum
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .faults import RequestError
from .gate import Gate

MAX_HEAD = 65_536  # bytes of a request's line and headers
BETWEEN = b": \r\n"  # what a header has besides its name and value
HOPS = {b"connection", b"upgrade", b"http2-settings"}


class Part(Enum):
    """What the client has begun to send, and not ended."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class Connection(HttpToolsProtocol):
    """A client's connection. A head may take `seconds`, a body and a reader twice as many."""

    gate: Gate
    seconds: float

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._part, self._step, self._watched = Part.NOTHING, 0, -1
        self._heard = 0  # bytes of the head, so far as it did not come at once
        self._fault: RequestError | None = None
        self._deaf = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Give the client `seconds` to say what it wants."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was to be done."""
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless there is no use in it."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        before = self._step
        try:
            self.parser.feed_data(data)
            self._limit_head(0 if self._step != before else len(data))
        except httptools.HttpParserUpgrade as asked:
            self._stay(data[asked.args[0] :])
        except (httptools.HttpParserError, RequestError):
            self._refuse()
        else:
            self._watch()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._part, self._step, self._heard = Part.HEAD, self._step + 1, 0

    def on_headers_complete(self) -> None:
        """A head ends, and a body may begin."""
        size = len(self.url) + sum(len(a) + len(b) + len(BETWEEN) for a, b in self.headers)
        if size > MAX_HEAD:
            raise self._too_large()
        self._part, self._step = Part.BODY, self._step + 1
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            if not self.expect_100_continue and self.scope["method"] != "HEAD":
                self.cycle.transport = Joined(self.transport)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body; copied only if another comes before the gate takes it."""
        cycle = self.cycle
        if cycle.body or cycle.response_complete:
            if isinstance(cycle.body, bytes):
                cycle.body = bytearray(cycle.body)
            super().on_body(body)
            return
        cycle.body = body  # type: ignore[assignment]  # which it would copy in and out again
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.parser.should_upgrade():
            self._part, self._step = Part.NOTHING, self._step + 1
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read: give it a while."""
        super().pause_writing()
        self._unread = self.loop.call_later(2 * self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Let go of a client that asks for nothing more."""
        self._let_go()

    def _limit_head(self, more: int) -> None:
        self._heard += more
        if self._part is Part.HEAD and self._heard > MAX_HEAD:
            raise self._too_large()

    def _too_large(self) -> RequestError:
        sentence = f"The request's line and headers are larger than {MAX_HEAD} bytes; send less"
        self._fault = RequestError(431, sentence)
        return self._fault

    def _watch(self) -> None:
        """Set a deadline for what is awaited of the client; one for each head, body and silence."""
        idle = self._part is Part.NOTHING
        if idle and (self.timeout_keep_alive_task or (self.cycle and not self._answered())):
            self._rest()
        elif self._step != self._watched or self._deadline is None:
            self._rest()
            seconds = self.seconds * (2 if self._part is Part.BODY else 1)
            self._deadline = self.loop.call_later(seconds, self._let_go)
        self._watched = self._step

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _let_go(self) -> None:
        """Close, and do not wait for ever until the client has read what it was sent."""
        self.transport.close()
        self.loop.call_later(self.seconds, self.transport.abort)

    def _stay(self, rest: bytes) -> None:
        """Read a request that asks for HTTP/2 or a web socket as if it had not, as HTTP allows."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse()
            return
        kept = [(name, value) for name, value in self.headers if name not in HOPS]
        lines = b"".join(b"%s: %s\r\n" % each for each in kept)
        self.parser = httptools.HttpRequestParser(self)
        self._part = Part.NOTHING
        self.data_received(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, self.url, lines, rest))

    def _refuse(self) -> None:
        """Say what is wrong, unless requests before this one wait for their answers; hang up."""
        self._deaf = True
        self._rest()
        if not self._answered() and not self.cycle.more_body:
            self.cycle.keep_alive = False  # closes when they have them
            return
        if not self.pipeline and (self._answered() or not self.cycle.response_started):
            fault = self._fault or RequestError(400, "This is no HTTP/1.1 request; see RFC 9112")
            headers, body = self.gate.refuse(fault)
            lines = b"".join(b"%s: %s\r\n" % each for each in [*headers, (b"connection", b"close")])
            self.transport.write(STATUS_LINE[fault.status] + lines + b"\r\n" + body)
            if self.transport.can_write_eof():
                self.transport.write_eof()  # read on for a while, or the answer may get lost
        self.loop.call_later(self.seconds, self.transport.abort)


class Joined:
    """What an answer is written to: its head leaves with the first of its body, as one packet.

    uvloop asks the system once for each, which takes a twentieth of the time of a small request.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Keep the head, and write it with what comes next."""
        if self._head is None:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        """Write what is kept, and close."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


def connection(gate: Gate, seconds: float) -> type[Connection]:
    """The connections of a service, as uvicorn makes them."""
    return type("Connection", (Connection,), {"gate": gate, "seconds": seconds})
