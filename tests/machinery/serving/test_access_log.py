"""access_log: a line for each request, in the form of structlog's; one write for those at hand."""

import asyncio
import json
import os
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from machinery.serving import access_log, gate, output


def test_the_lines_of_one_turn_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(access_log, "OUTPUT", SimpleNamespace(write=written.append))

    async def two_turns() -> None:
        log = access_log.AccessLog()
        log.add("one", "/predict", 200, 0.0012345)
        log.add("two", "/explain", 422, 0.5)
        await asyncio.sleep(0)
        log.add("three", "/predict", 200, 0.001)
        await asyncio.sleep(0)

    asyncio.run(two_turns())
    assert [each.count(b"\n") for each in written] == [2, 1]
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


def test_what_standard_output_does_not_take_is_told_now_and_then_and_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = output.Output()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        out.write(b"lost\n")
        out.write("lost, too\n")
    out.write("kept: é\n")
    said = capfd.readouterr()
    assert said.out == "kept: é\n"
    assert said.err == "Lines of the log are lost: [Errno 28] No space left on device\n"


def refuse(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_line_that_is_taken_in_parts_is_written_whole(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:3]))
        output.Output().write(b"a whole line\n")
    assert capfd.readouterr().out == "a whole line\n"


def test_each_request_gets_a_name_of_its_own() -> None:
    names = gate.new_ids()
    many = [next(names) for _ in range(3 * gate.DRAWN_IDS)]
    assert len({*many}) == len(many)
    assert {len(each) for each in many} == {32}
