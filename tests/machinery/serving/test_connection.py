"""connection: a body is heard whole, however it comes; an answer leaves in one piece."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from machinery.serving.connection import connection
from uvicorn import Config
from uvicorn.server import ServerState

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n%s\r\n"
MEASURED, CUT = HEAD % b"Content-Length: %d\r\n", HEAD % b"Transfer-Encoding: chunked\r\n"
LARGE = 200_000  # bytes, more than are read before they are taken
OK = {"type": "http.response.start", "status": 200}


class Transport:
    """Stands in for a socket: keeps what is written, knows whether it is read from."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading, self.closed = True, False

    def get_extra_info(self, name: str) -> None:
        """It has neither addresses nor a certificate."""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Client:
    """A client of an application that keeps the parts of bodies and answers as it is told."""

    def __init__(self, *answer: Any) -> None:
        self.parts: list[bytes] = []
        self.whole = False
        self._answer, self.transport = answer, Transport()
        config = Config(self._app, interface="asgi3", log_config=None, lifespan="off", ws="none")
        made: Any = connection(self._app, 60)  # type: ignore[arg-type]
        self.protocol = made(config, ServerState(), {})
        self.protocol.connection_made(self.transport)

    async def _app(self, scope: Any, receive: Callable[[], Any], send: Callable[..., Any]) -> None:
        while not self.whole:
            message = await receive()
            self.parts.append(message["body"])
            self.whole = not message["more_body"]
        for each in self._answer:
            if isinstance(each, Exception):
                raise each
            await send(each)

    async def say(self, data: bytes) -> None:
        """Say it, and let the application do what it can."""
        self.protocol.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)


def chunks(body: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        part = body[at : at + size]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def of(size: int) -> bytes:
    return bytes(at % 251 for at in range(size))


async def begun() -> Client:
    """A client whose application waits for a body."""
    client = Client(OK, {"type": "http.response.body", "body": b"yes"})
    await client.say(CUT)
    return client


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_chunks_of_one_moment_are_heard_together(size: int) -> None:
    async def together() -> Client:
        client = await begun()
        await client.say(b"".join(chunks(of(30_000), size)))
        return client

    client = asyncio.run(together())
    assert client.parts == [of(30_000)]
    assert client.whole


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_chunks_that_come_one_by_one_are_heard_in_their_order(size: int) -> None:
    async def apart() -> Client:
        client = await begun()
        for each in chunks(of(100 * size), size):
            await client.say(each)
        return client

    client = asyncio.run(apart())
    assert b"".join(client.parts) == of(100 * size)
    assert client.whole
    assert len(client.parts) > 90


def test_a_body_that_came_at_once_is_not_copied() -> None:
    async def once() -> tuple[Client, bytes]:
        client = await begun()
        body = of(1000)
        client.protocol.on_body(body)
        await asyncio.sleep(0)
        return client, body

    client, body = asyncio.run(once())
    assert client.parts[0] is body


def test_a_body_of_many_parts_grows_in_its_place() -> None:
    async def grown() -> list[Any]:
        protocol = (await begun()).protocol
        bodies = []
        for each in (b"a", b"b", b"c"):
            protocol.on_body(each)
            bodies.append(protocol.cycle.body)
        return bodies

    _, second, third = asyncio.run(grown())
    assert third is second
    assert third == b"abc"


@pytest.mark.parametrize("parts", [1, 50])
def test_no_more_is_read_than_is_taken(parts: int) -> None:
    async def slow() -> list[bool]:
        client = Client(OK, {"type": "http.response.body", "body": b"yes"})
        client.protocol.data_received(MEASURED % (2 * LARGE))  # nobody has yet asked for the body
        seen = [client.transport.reading]
        for _ in range(parts):
            client.protocol.data_received(of(LARGE // parts))
        seen.append(client.transport.reading)
        await client.say(b"")
        seen.append(client.transport.reading)
        await client.say(of(LARGE))
        assert b"".join(client.parts) == of(LARGE // parts) * parts + of(LARGE)
        assert client.whole
        return seen

    assert asyncio.run(slow()) == [True, False, True]


def test_what_follows_an_early_answer_is_thrown_away() -> None:
    async def early() -> Any:
        client = Client(OK, {"type": "http.response.body", "body": b"yes"})
        client.whole = True
        await client.say(MEASURED % LARGE)
        await client.say(of(LARGE))
        return client.protocol.cycle.body, client.transport.reading

    assert asyncio.run(early()) == (b"", True)


def answered(head: bytes, *answer: Any) -> tuple[list[bytes], bool]:
    async def one() -> Client:
        client = Client(*answer)
        await client.say(head)
        return client

    client = asyncio.run(one())
    return client.transport.written, client.transport.closed


def test_head_and_body_leave_in_one_piece() -> None:
    start = OK | {"headers": [(b"content-length", b"6")]}
    parts = [{"type": "http.response.body", "body": b"yes", "more_body": more} for more in (1, 0)]
    (head, rest), closed = answered(MEASURED % 0, start, *parts)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\nyes")
    assert (rest, closed) == (b"yes", False)


def test_a_head_without_a_body_leaves_too() -> None:
    head = MEASURED.replace(b"POST", b"HEAD") % 0
    end = {"type": "http.response.body", "body": b"yes"}
    (only,), closed = answered(head, OK | {"headers": [(b"content-length", b"3")]}, end)
    assert only.endswith(b"\r\n\r\n")
    assert not closed
    (only,), closed = answered(MEASURED % 0, OK | {"status": 204}, end | {"body": b""})
    assert only.startswith(b"HTTP/1.1 204 ")
    (only,), closed = answered(MEASURED % 0, OK, ValueError("planted"))
    assert only.endswith(b"\r\n\r\n")
    assert closed


def test_a_client_that_waits_to_be_asked_is_asked_at_once() -> None:
    async def asked() -> tuple[list[bytes], bytes]:
        client = Client(OK, {"type": "http.response.body", "body": b"yes"})
        await client.say(HEAD % b"Content-Length: 3\r\nExpect: 100-continue\r\n")
        before = [*client.transport.written]
        await client.say(b"abc")
        return before, b"".join(client.transport.written[1:])

    before, after = asyncio.run(asked())
    assert before == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert after.startswith(b"HTTP/1.1 200 OK\r\n")
