"""Limits of time and number, which a well-behaved client never meets: spoken in plain ASGI."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from machinery.serving.app import Service, application
from machinery.serving.connection import connection
from machinery.serving.gate import Gate
from uvicorn import Config
from uvicorn.server import ServerState

Services = Callable[..., Service]
Row = Callable[..., dict[str, Any]]


class Request:
    """A request whose body comes when the test says so."""

    def __init__(self, app: Gate, rows: Any) -> None:
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


@pytest.mark.parametrize(("spare", "wanted"), [(0, b"200"), (-1, b"413")])
@pytest.mark.parametrize("size", [500, 20_000])
def test_a_body_in_chunks_may_be_as_large_as_any(
    service: Services, row: Row, spare: int, wanted: bytes, size: int
) -> None:
    body = json.dumps([row()] * 1000).encode()
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    head = [b"POST /predict HTTP/1.1", b"Host: here", b"Content-Type: application/json"]
    head += [b"Transfer-Encoding: chunked", b"", b""]

    async def status() -> bytes:
        gate = application(service(max_body_bytes=len(body) + spare))
        config = Config(gate, interface="asgi3", lifespan="off", log_config=None, ws="none")
        made = connection(gate, 60)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: made(config, ServerState(), {}), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for each in (b"\r\n".join(head), *chunks, b"0\r\n\r\n"):
                writer.write(each)
                await asyncio.sleep(0.001)  # so that it is taken in parts
            line = await reader.readline()
            writer.close()
            return line.split()[1]

    assert asyncio.run(status()) == wanted


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


def test_requests_of_one_moment_are_scored_together_and_answered_apart(
    service: Services, row: Row
) -> None:
    async def many() -> list[float]:
        requests = [Request(app, row(weight=weight)) for weight in (0, 15, 30)]
        for request in requests:
            request.may_come.set()
        await asyncio.gather(*(request.run() for request in requests))
        bodies = [json.loads(request.sent[1]["body"]) for request in requests]
        return [body["predictions"][0]["probability"]["true"] for body in bodies]

    running = service()
    app = application(running)
    calls: list[int] = []
    model = running.champion.model
    assert model is not None
    score = model.scorer.score

    def counted(features: Any) -> Any:
        calls.append(len(features["mass"]))
        return score(features)

    model.scorer.score = counted  # type: ignore[method-assign]
    light, middle, heavy = asyncio.run(many())
    assert light < middle < heavy
    assert calls == [3]


def test_requests_that_each_look_of_the_loop_finds_are_scored_together(
    service: Services, row: Row
) -> None:
    running = service()
    app = application(running)
    sizes: list[int] = []
    running.batcher._count = lambda _, answers: sizes.append(len(answers.prediction))

    async def one_after_the_other() -> list[int]:
        requests = [Request(app, row()) for _ in range(4)]
        running = [asyncio.create_task(request.run()) for request in requests]
        await asyncio.sleep(0)
        for request in requests[:3]:
            request.may_come.set()
            await asyncio.sleep(0)
        await asyncio.wait(running, return_when="FIRST_COMPLETED")
        requests[3].may_come.set()  # not waited for
        return await asyncio.gather(*running)

    assert asyncio.run(one_after_the_other()) == [200] * 4
    assert sizes == [3, 1]


def test_many_rows_are_scored_in_turns_between_which_others_are_answered(
    service: Services, row: Row
) -> None:
    running = service()
    app = application(running)
    order: list[str] = []
    count = running.batcher._count

    def counted(model: Any, answers: Any) -> None:
        order.append(f"{len(answers.prediction)} rows")
        count(model, answers)

    running.batcher._count = counted

    async def all_at_once() -> list[int]:
        requests = [Request(app, [row()] * size) for size in (600, 300, 200, 1000, 1)]
        for request in requests:
            request.may_come.set()

        async def health() -> None:
            while not order:
                await asyncio.sleep(0)
            order.append("another")

        statuses = (request.run() for request in requests)
        return (await asyncio.gather(health(), *statuses))[1:]

    assert asyncio.run(all_at_once()) == [200] * 5
    assert order == ["900 rows", "another", "200 rows", "1000 rows", "1 rows"]


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
    model = running.champion.model
    assert model is not None
    features = model.scorer.features

    def fragile(columns: Any) -> Any:
        if "poison" in columns["town"].tolist():
            raise RuntimeError("a feature that fails")
        return features(columns)

    model.scorer.features = fragile  # type: ignore[method-assign]
    statuses, problem = asyncio.run(two())
    assert statuses == [200, 500]
    assert problem["error"].startswith("The service failed on this request")
    assert "RuntimeError" not in problem["error"]
