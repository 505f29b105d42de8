"""Limits that a well-behaved client never reaches, over plain ASGI and over uvicorn."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from machinery.serving.app import Service, application

Services = Callable[..., Service]
Row = Callable[..., dict[str, Any]]
Answer = tuple[int, dict[bytes, bytes], dict[str, Any]]
GONE = {"type": "http.disconnect"}


async def request(
    app: Starlette, row: Any, arrives: asyncio.Event | None = None, message: Any = None
) -> Answer:
    """Send a row once it `arrives` (or a message), and return status, headers and document."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if arrives is not None:
            await arrives.wait()
        return message or {"type": "http.request", "body": json.dumps(row).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    await app(scope | {"query_string": b"", "root_path": ""}, receive, send)
    if not sent:
        return 0, {}, {}
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def test_too_many_concurrent_requests_are_asked_to_retry(service: Services, row: Row) -> None:
    async def three() -> tuple[Answer, Answer, Answer]:
        app, arrives = application(service(max_concurrency=1)), asyncio.Event()
        slow = asyncio.create_task(request(app, row(), arrives))
        await asyncio.sleep(0)
        hasty = await request(app, row())
        arrives.set()
        return await slow, hasty, await request(app, row())

    slow, hasty, later = asyncio.run(three())
    assert (slow[0], hasty[0], later[0]) == (200, 429, 200)
    assert hasty[1][b"retry-after"] == b"1"


def test_a_body_that_does_not_arrive_times_out(service: Services, row: Row) -> None:
    app = application(service(timeout_seconds=0.05))
    status, _, problem = asyncio.run(request(app, row(), asyncio.Event()))
    assert status == 408
    assert problem["error"].startswith("The body did not arrive within 0.05 seconds")


def test_a_client_that_disconnects_frees_its_slot(service: Services, row: Row) -> None:
    async def two() -> tuple[Answer, Answer]:
        app = application(service(max_concurrency=1))
        return await request(app, row(), message=GONE), await request(app, row())

    gone, later = asyncio.run(two())
    assert (gone[0], later[0]) == (0, 200)


def test_a_failure_is_one_sentence_and_affects_no_other_request(
    service: Services, row: Row
) -> None:
    running = service()
    app, scorer = application(running), running.champion.model.scorer
    features = scorer.features

    def fragile(columns: Any) -> Any:
        if "poison" in columns["town"].tolist():
            raise RuntimeError("a feature that fails")
        return features(columns)

    async def two() -> list[Answer]:
        return await asyncio.gather(*(request(app, row(town=town)) for town in ("Aa", "poison")))

    scorer.features = fragile  # type: ignore[method-assign]
    good, bad = asyncio.run(two())
    assert (good[0], bad[0]) == (200, 500)
    assert bad[2]["error"].startswith("The service failed on this request")
    assert "RuntimeError" not in bad[2]["error"]


def post(row: Any) -> bytes:
    """The bytes of a request."""
    body = json.dumps(row).encode()
    head = "POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


Talk = Callable[[int], Awaitable[bytes]]


async def over_uvicorn(app: Starlette, talk: Talk) -> bytes:
    """Run the application with uvicorn, and return what `talk` to its port returns."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    result = await talk(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await running
    return result


@pytest.mark.parametrize("rows", [1, 1000])
def test_a_request_that_ends_with_a_half_close_is_answered(
    service: Services, row: Row, rows: int
) -> None:
    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post([row()] * rows))
        writer.write_eof()
        line = await reader.readline()
        writer.close()
        return line

    assert asyncio.run(over_uvicorn(application(service()), talk)).split()[1:2] == [b"200"]


def test_a_client_that_abandons_fifty_pipelined_requests_leaves_no_traceback(
    service: Services, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(port: int) -> bytes:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post([row()] * 100) * 50)
            await asyncio.sleep(0.02)
            writer.transport.abort()
        await asyncio.sleep(0.3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(row()))
        line = await reader.readline()
        writer.close()
        return line.split()[1]

    assert asyncio.run(over_uvicorn(application(service()), talk)) == b"200"
    assert not [record for record in caplog.records if record.exc_info or record.levelno > 30]
    assert "Traceback" not in caplog.text
