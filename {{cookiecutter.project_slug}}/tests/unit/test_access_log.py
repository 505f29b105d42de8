"""access_log: a line for each request, in the form of structlog's; one write for those at hand."""

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from {{cookiecutter.project_slug}}.serving import access_log, gate


def test_the_lines_of_one_turn_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    buffer = SimpleNamespace(write=written.append, flush=lambda: written.append(b"flushed"))
    monkeypatch.setattr(access_log, "sys", SimpleNamespace(stdout=SimpleNamespace(buffer=buffer)))

    async def two_turns() -> None:
        log = access_log.AccessLog()
        log.add("one", "/predict", 200, 0.0012345)
        log.add("two", "/explain", 422, 0.5)
        await asyncio.sleep(0)
        log.add("three", "/predict", 200, 0.001)
        await asyncio.sleep(0)

    asyncio.run(two_turns())
    assert [each.count(b"\n") for each in written] == [2, 0, 1, 0]
    first, second = map(json.loads, written[0].splitlines())
    moment = datetime.fromisoformat(first.pop("timestamp"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert first == {
        "event": "request",
        "level": "info",
        "request_id": "one",
        "path": "/predict",
        "status": 200,
        "milliseconds": 1.234,
    }
    assert (second["request_id"], second["status"], second["milliseconds"]) == ("two", 422, 500)


def test_lines_that_cannot_be_written_fail_no_request_and_none_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []
    told: list[str] = []

    def write(lines: bytes) -> None:
        if not told:
            raise OSError(28, "No space left on device")
        written.append(lines)

    buffer = SimpleNamespace(write=write, flush=lambda: None)
    monkeypatch.setattr(access_log, "sys", SimpleNamespace(stdout=SimpleNamespace(buffer=buffer)))

    async def two_turns() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        log = access_log.AccessLog()
        for name in ("lost", "kept"):
            log.add(name, "/predict", 200, 0.001)
            await asyncio.sleep(0)

    asyncio.run(two_turns())
    assert told == ["[Errno 28] No space left on device"]
    assert [json.loads(line)["request_id"] for line in written] == ["kept"]


def test_each_request_gets_a_name_of_its_own() -> None:
    names = gate.new_ids()
    many = [next(names) for _ in range(3 * gate.DRAWN_IDS)]
    assert len({*many}) == len(many)
    assert {len(each) for each in many} == {32}
