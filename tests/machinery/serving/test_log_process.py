"""log_process: a process of its own makes the files of the log, and outlives who started it."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model.answers import Answers
from machinery.serving.log import Limits, PredictionLog

from machinery.serving import log_process, log_reader

SOON, NEVER = Limits(flush_seconds=0.05), Limits(flush_seconds=1000)


@pytest.fixture
def started(tmp_path: Path, contract: Contract) -> Iterator[Callable[..., PredictionLog]]:
    logs: list[PredictionLog] = []

    def start(limits: Limits, **given: Any) -> PredictionLog:
        logs.append(PredictionLog(tmp_path / "log", contract, limits, **given))
        return logs[-1]

    yield start
    for log in logs:
        log.close()


def answer(log: PredictionLog, request: str, rows: int = 1) -> None:
    answers = Answers(np.ones(rows, np.float32), low=np.ones(rows), high=np.ones(rows))
    assert log.answers([request], [rows], {}, {}, answers, model_version="v1")


def writer_of(log: PredictionLog) -> "subprocess.Popen[bytes]":
    assert log._process is not None
    assert log._process._process is not None
    return log._process._process


def files_of(folder: Path) -> list[Path]:
    return [*folder.rglob("[!.]*.parquet")]


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_it_writes_after_a_while(tmp_path: Path, started: Callable[..., PredictionLog]) -> None:
    answer(started(SOON), "one")
    until(lambda: len(files_of(tmp_path)) == 1)
    assert log_reader.read(tmp_path / "log")["request_id"].to_pylist() == ["one"]


def test_it_writes_when_it_is_woken(tmp_path: Path, started: Callable[..., PredictionLog]) -> None:
    log = started(NEVER._replace(queue_rows=10))
    answer(log, "what it finds when it starts")
    until(lambda: len(files_of(tmp_path)) == 1)
    answer(log, "not enough", rows=3)
    time.sleep(0.2)
    assert log_reader.read(tmp_path / "log").num_rows == 1
    answer(log, "enough")
    until(lambda: log_reader.read(tmp_path / "log").num_rows == 5)


def test_it_writes_what_is_left_when_the_service_ends_and_then_ends(
    tmp_path: Path, started: Callable[..., PredictionLog]
) -> None:
    log = started(NEVER)
    answer(log, "one")
    log.seal()
    until(lambda: len(files_of(tmp_path)) == 1)
    for each in (signal.SIGINT, signal.SIGTERM):  # which go to all processes of a service
        os.kill(writer_of(log).pid, each)
    answer(log, "two")
    log.close()
    assert writer_of(log).returncode == 0
    assert log_reader.read(tmp_path / "log").num_rows == 2
    assert [*(tmp_path / "log").glob(".*")] == []


def test_it_is_not_started_again_when_the_log_has_ended(
    started: Callable[..., PredictionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_process, "RESPITE", 0.0)
    log = started(NEVER)
    first = writer_of(log)
    log.close()
    log.look()
    assert writer_of(log) is first
    assert log.counters().write_errors == 0


def test_without_anything_to_log_it_makes_nothing(
    tmp_path: Path, started: Callable[..., PredictionLog]
) -> None:
    log = started(SOON)
    time.sleep(0.2)
    log.close()
    assert writer_of(log).returncode == 0
    assert [*tmp_path.iterdir()] == []


def test_it_brings_in_at_the_start_what_others_have_left(
    tmp_path: Path, started: Callable[..., PredictionLog]
) -> None:
    left = started(NEVER, writes=False)
    answer(left, "left", rows=3)
    left.close()
    started(NEVER)
    until(lambda: not [*(tmp_path / "log").glob(".*")])
    assert log_reader.read(tmp_path / "log").num_rows == 3


def test_it_is_started_again_when_it_was_killed_and_no_row_is_lost(
    tmp_path: Path,
    started: Callable[..., PredictionLog],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = started(SOON)
    answer(log, "one")
    first = writer_of(log)
    first.kill()
    first.wait()
    log.seal()  # wakes nobody, which is no fault
    log.look()
    assert log.counters().write_errors == 0
    assert writer_of(log) is first  # not at once: it might do the same for ever
    monkeypatch.setattr(log_process, "RESPITE", 0.0)
    log.look()
    assert writer_of(log) is not first
    assert log.counters().write_errors == 1
    answer(log, "two")
    until(lambda: len(files_of(tmp_path)) == 2)
    assert "the writer ended (-9)" in caplog.text


def test_rows_wait_in_the_journal_while_no_writer_can_be_started(
    tmp_path: Path,
    started: Callable[..., PredictionLog],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(log_process, "RESPITE", 0.0)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(subprocess, "Popen", refuse)
        log = started(SOON)
        answer(log, "one")
    assert "no writer can be started: [Errno 11]" in caplog.text
    log.look()
    until(lambda: len(files_of(tmp_path)) == 1)


def test_a_writer_that_takes_too_long_is_not_waited_for(
    tmp_path: Path, started: Callable[..., PredictionLog], caplog: pytest.LogCaptureFixture
) -> None:
    log = started(NEVER)
    answer(log, "one")
    assert os.getpgid(writer_of(log).pid) != os.getpgid(0)  # which Ctrl-C would go to
    os.kill(writer_of(log).pid, signal.SIGSTOP)
    for _ in range(70_000):  # more than its standard input holds
        log._wake()
    log.close(timeout=0.1)
    assert "rows are still being written" in caplog.text
    os.kill(writer_of(log).pid, signal.SIGCONT)
    assert writer_of(log).wait(20) == 0
    assert log_reader.read(tmp_path / "log").num_rows == 1
