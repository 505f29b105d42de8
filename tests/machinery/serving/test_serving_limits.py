"""Limits that a well-behaved client never meets, spoken in plain ASGI and over uvicorn."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from machinery.serving.app import Service, application

Services = Callable[..., Service]
Row = Callable[..., dict[str, Any]]
HEAD = b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"


class Request:
    """A request whose body comes when the test says so."""

    def __init__(self, app: Starlette, rows: Any) -> None:
        self.app, self.body = app, json.dumps(rows).encode()
        self.may_come, self.sent = asyncio.Event(), []  # type: ignore[var-annotated]

    async def receive(self) -> dict[str, Any]:
        await self.may_come.wait()
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> int:
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        scope |= {"query_string": b"", "root_path": ""}
        await self.app(scope, self.receive, self.send)
        return int(self.sent[0]["status"]) if self.sent else 0


def test_more_at_once_than_allowed_are_asked_to_come_back(service: Services, row: Row) -> None:
    async def three() -> tuple[int, int, dict[bytes, bytes], int]:
        app = application(service(max_concurrency=1))
        slow, hasty, later = (Request(app, row()) for _ in range(3))
        waiting = asyncio.create_task(slow.run())
        await asyncio.sleep(0)
        refused = await hasty.run()
        slow.may_come.set()
        later.may_come.set()
        headers = dict(hasty.sent[0]["headers"])
        return await waiting, refused, headers, await later.run()

    answered, refused, headers, then = asyncio.run(three())
    assert (answered, refused, then) == (200, 429, 200)
    assert headers[b"retry-after"] == b"1"


def test_a_body_that_does_not_come_is_not_waited_for(service: Services, row: Row) -> None:
    async def one() -> tuple[int, str]:
        request = Request(application(service(timeout_seconds=0.05)), row())
        status = await request.run()
        return status, json.loads(request.sent[1]["body"])["error"]

    status, error = asyncio.run(one())
    assert (status, error.startswith("The body did not arrive within 0.05 seconds")) == (408, True)


def test_a_client_that_hangs_up_leaves_nothing_behind(service: Services, row: Row) -> None:
    async def gone() -> tuple[int, int]:
        app = application(service(max_concurrency=1))
        lost = Request(app, row())

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        lost.receive = receive  # type: ignore[method-assign]
        nothing = await lost.run()
        after = Request(app, row())
        after.may_come.set()
        return nothing, await after.run()

    assert asyncio.run(gone()) == (0, 200)


def test_a_failure_is_one_sentence_and_takes_no_other_request_along(
    service: Services, row: Row
) -> None:
    async def two() -> tuple[list[int], dict[str, Any]]:
        requests = [Request(app, row(town=town)) for town in ("Aa", "poison")]
        for request in requests:
            request.may_come.set()
        statuses = await asyncio.gather(*(request.run() for request in requests))
        return statuses, json.loads(requests[1].sent[1]["body"])

    running = service()
    app = application(running)
    scorer = running.champion.model.scorer
    features = scorer.features

    def fragile(columns: Any) -> Any:
        if "poison" in columns["town"].tolist():
            raise RuntimeError("a feature that fails")
        return features(columns)

    scorer.features = fragile  # type: ignore[method-assign]
    statuses, problem = asyncio.run(two())
    assert statuses == [200, 500]
    assert problem["error"].startswith("The service failed on this request")
    assert "RuntimeError" not in problem["error"]


def post(row: Any) -> bytes:
    body = json.dumps(row).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_a_client_that_goes_away_from_fifty_pipelined_requests_leaves_no_traceback(
    service: Services, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> bytes:
        config = uvicorn.Config(application(service()), port=0, log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
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
        server.should_exit = True
        await running
        return line.split()[1]

    assert asyncio.run(talk()) == b"200"
    assert not [record for record in caplog.records if record.exc_info or record.levelno > 30]
    assert "Traceback" not in caplog.text
