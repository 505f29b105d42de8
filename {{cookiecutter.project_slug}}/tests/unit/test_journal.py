"""log_journal, log_recovery: what a killed process was handed stands in the log, each row once."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from {{cookiecutter.project_slug}}.contract import Contract
from {{cookiecutter.project_slug}}.scoring import Answers
from {{cookiecutter.project_slug}}.serving import log_files, log_journal, log_reader, log_recovery
from {{cookiecutter.project_slug}}.serving.log import Limits, PredictionLog
from {{cookiecutter.project_slug}}.serving.log_journal import Journal
from {{cookiecutter.project_slug}}.serving.log_tables import (
    Answered,
    Entry,
    Outcome,
    blocks,
    by_file,
    layout,
    tables,
)

NEVER = Limits(queue_rows=100, flush_rows=1000, flush_seconds=1000)
NOON = time.time_ns() // 10**9 * 10**9
TOKEN = "0123abcd"


def answered(request: str, rows: int = 1, role: str = "champion", time: int = NOON) -> Answered:
    raw = {
        "id": np.array(["a"] * rows, dtype=object),
        "at": np.array(["2013-07-01T12:00:00.000001"] * rows, dtype="datetime64[us]"),
        "size": np.array([np.nan] * rows),
        "colour": np.array([np.nan] + ["red"] * (rows - 1), dtype=object),
    }
    features = {"bulk": np.full(rows, 0.1, np.float32), "hue": np.array(["é"] * rows, dtype=object)}
    answers = Answers(
        np.full((rows, 2), 0.3, np.float32),
        decision=np.ones(rows, np.int64),
        members=np.array([[True, False]] * rows),
    )
    columns = blocks(raw, layout(raw)), blocks(features, layout(features))
    return Answered(time, rows, role, "v1", [request], [rows], *columns, answers)


def outcome(request: str, time: int = NOON) -> Outcome:
    return Outcome(time, 1, request, 0, True)


def killed(folder: Path, contract: Contract, *entries: Entry, token: str = TOKEN) -> Path:
    """A process was handed entries, and killed; its journal."""
    journal = Journal(folder, token, contract)
    for entry in entries:
        journal.append(entry)
    journal.close()
    return folder / f".{token}-000001.journal"


def write(folder: Path, contract: Contract, *entries: Entry, token: str = TOKEN) -> None:
    """A process has written entries, and not yet deleted its journal."""
    files = log_files.DayFiles(folder, token, 10**6, 10**6)
    for file, group in by_file(entries):
        files.add(file, tables(group, contract))
    assert files.write().errors == []


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*"))


def rows_of(folder: Path) -> list[tuple[str, int, str, Any]]:
    names = ("request_id", "row", "role", "outcome")
    return [tuple(row[name] for name in names) for row in log_reader.read(folder).to_pylist()]


def test_rows_come_back_from_a_journal_as_they_would_have_been_written(
    tmp_path: Path, contract: Contract
) -> None:
    entries = [answered("one", rows=3), answered("one", role="shadow"), outcome("one")]
    write(tmp_path / "written", contract, *entries)
    path = killed(tmp_path / "killed", contract, *entries)
    assert log_reader.table_of(path) is None  # no file of the log
    assert log_recovery.recover(tmp_path / "killed") == (5, 0, [])
    assert not path.exists()
    order = [("role", "ascending"), ("row", "ascending")]
    found, wanted = (
        log_reader.read(tmp_path / name).sort_by(order) for name in ("killed", "written")
    )
    assert found.equals(wanted)
    assert len(found) == 4


def test_a_regression_comes_back_with_its_interval(tmp_path: Path, contract: Contract) -> None:
    value = np.array([3.0], np.float32)
    entry = answered("one")._replace(answers=Answers(value, low=value - 1, high=value + 1))
    with killed(tmp_path, contract, entry).open("rb") as file:
        (found,) = log_journal.read(file).entries
    assert isinstance(found, Answered)
    assert [found.answers.prediction, found.answers.low, found.answers.high] == [3.0, 2.0, 4.0]
    assert found.answers.decision is None


def test_the_log_that_starts_next_brings_in_what_was_left(
    tmp_path: Path, contract: Contract
) -> None:
    killed(tmp_path, contract, answered("one", rows=2), outcome("one"))
    with PredictionLog(tmp_path, contract, NEVER) as log:
        log.feedback("one", 1, False)
    assert log.counters() == (0, 1, 0, 0, 3, 0)
    assert rows_of(tmp_path) == [("one", 0, "champion", True), ("one", 1, "champion", False)]
    assert journals(tmp_path) == []


def test_what_was_written_before_the_kill_is_not_written_twice(
    tmp_path: Path, contract: Contract
) -> None:
    entries = [answered("one", rows=2), answered("one", role="shadow"), outcome("one")]
    write(tmp_path, contract, *entries)
    killed(tmp_path, contract, *entries, answered("two"), outcome("two"))
    assert log_recovery.recover(tmp_path).rows == 2
    assert sorted(rows_of(tmp_path)) == [
        ("one", 0, "champion", True),
        ("one", 0, "shadow", True),
        ("one", 1, "champion", None),
        ("two", 0, "champion", True),
    ]


def test_a_recovery_that_was_killed_itself_leaves_no_row_twice(
    tmp_path: Path, contract: Contract
) -> None:
    path = killed(tmp_path, contract, answered("one", rows=2), outcome("one"))
    journal = path.read_bytes()
    assert log_recovery.recover(tmp_path).rows == 3
    path.write_bytes(journal)
    assert log_recovery.recover(tmp_path).rows == 0
    assert len(rows_of(tmp_path)) == 2


def test_a_request_sent_again_under_the_same_id_is_kept_once_more(
    tmp_path: Path, contract: Contract
) -> None:
    write(tmp_path, contract, answered("one"))
    killed(tmp_path, contract, answered("one", time=NOON + 1_000_000))
    assert log_recovery.recover(tmp_path).rows == 1


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        assert log.feedback("one", 0, True)
        (path,) = journals(tmp_path)
        assert log_recovery.recover(tmp_path) == (0, 0, [])
        assert path.exists()
    assert journals(tmp_path) == []


def test_a_journal_that_another_process_has_just_recovered_is_not_recovered_again(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = killed(tmp_path, contract, answered("one"))
    monkeypatch.setattr(log_journal.fcntl, "flock", lambda *_: path.unlink())
    assert log_recovery.recover(tmp_path) == (0, 0, [])


@pytest.mark.parametrize(
    ("left", "rows"),
    [(3, 1), (100, 1), (-1, 0), (-10_000, 0)],
    ids=["half a length", "half a record", "the first of all", "half a contract"],
)
def test_a_torn_record_is_left_out_and_counted(
    tmp_path: Path, contract: Contract, left: int, rows: int
) -> None:
    whole = killed(tmp_path, contract, answered("one")).stat().st_size
    path = killed(tmp_path, contract, answered("one"), answered("two"))
    os.truncate(path, max(whole + left, 20))
    assert log_recovery.recover(tmp_path) == (rows, 1, [])
    assert not path.exists()


def test_an_empty_journal_is_none(tmp_path: Path) -> None:
    (tmp_path / f".{TOKEN}-000001.journal").touch()
    assert log_recovery.recover(tmp_path) == (0, 0, [])
    assert journals(tmp_path) == []


def test_a_record_that_says_nothing_takes_no_other_with_it(
    tmp_path: Path, contract: Contract
) -> None:
    start = killed(tmp_path, contract, answered("one")).read_bytes()
    path = killed(tmp_path, contract, answered("one"), answered("two"))
    path.write_bytes(start + record(b"\xc1") + record(b"") + path.read_bytes()[len(start) :])
    assert log_recovery.recover(tmp_path) == (2, 2, [])


def record(data: bytes) -> bytes:
    return log_journal.LENGTH.pack(len(data)) + data


def test_a_journal_that_cannot_be_written_to_files_stays_for_the_next_time(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = killed(tmp_path, contract, answered("one"))
    other = killed(tmp_path, contract, answered("two"), token="ffffffff")
    other.write_bytes(record(b"{}") + other.read_bytes())  # no contract
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", refuse)
        rows, _, errors = log_recovery.recover(tmp_path)
    assert rows == 0
    assert ["No space left" in error for error in errors] == [True, False]
    assert str(other) in errors[1]
    assert path.exists()
    with PredictionLog(tmp_path, contract, NEVER) as log:
        pass
    assert (log.counters().recovered_rows, log.counters().write_errors) == (1, 1)
    assert journals(tmp_path) == [other]


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_segment_lives_until_all_of_its_rows_are_written(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file = log_files._write

    def refuse_feedback(current: Any) -> int:
        return refuse() or 0 if "feedback" in str(current.path) else write_file(current)

    with PredictionLog(tmp_path, contract, NEVER) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log_files, "_write", refuse_feedback)
            log.feedback("one", 0, True)
            log.flush()
            put(log, answered("two"))
            log.flush()
            assert [path.name[-14:-8] for path in journals(tmp_path)] == ["000001"]
        log.flush()
        assert journals(tmp_path) == []


def put(log: PredictionLog, entry: Answered) -> bool:
    raw, features = (
        {name: values for block in blocks for name, values in zip(*block, strict=True)}
        for blocks in (entry.raw, entry.features)
    )
    given = entry.request_ids, entry.lengths, raw, features, entry.answers
    return log.answers(*given, model_version=entry.model_version, role=entry.role)


def test_what_was_not_written_to_the_end_waits_for_the_next_start(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", refuse)
        with PredictionLog(tmp_path, contract, NEVER) as log:
            put(log, answered("one", rows=3))
    assert (log.counters().queued_rows, log.counters().dropped_rows) == (3, 0)
    assert log_recovery.recover(tmp_path).rows == 3


def test_a_journal_that_fails_is_counted_and_told_and_fails_no_request(
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log_journal.fcntl, "flock", refuse)
            assert put(log, answered("one"))
        assert log.counters().write_errors == 1
        assert "kill -9 would lose rows, the journal fails: [Errno 28]" in caplog.text
        assert journals(tmp_path) == []
        assert put(log, answered("two"))
        assert len(journals(tmp_path)) == 1
    assert log.counters() == (0, 2, 0, 1, 0, 0)


def test_an_entry_that_the_disk_took_half_of_spoils_no_other(
    tmp_path: Path, contract: Contract
) -> None:
    journal = Journal(tmp_path, TOKEN, contract)
    journal.append(answered("one"))
    segment = journal._current
    assert segment is not None
    whole, segment._file = segment._file, HalfFull(segment._file)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        journal.append(answered("two"))
    segment._file = whole
    journal.append(answered("three"))
    journal.close()
    assert log_recovery.recover(tmp_path) == (2, 0, [])
    assert [row[0] for row in rows_of(tmp_path)] == ["one", "three"]


class HalfFull:
    """A file on a disk that takes half of what it is given."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: bytes) -> int:
        return int(self.file.write(data[: len(data) // 2]))

    def truncate(self, size: int) -> None:
        self.file.truncate(size)


def test_half_a_segment_that_never_got_its_name_is_removed_once_it_is_old(
    tmp_path: Path, contract: Contract
) -> None:
    part = tmp_path / f".{TOKEN}-000001.journal.part"
    part.touch()
    log_recovery.recover(tmp_path)
    assert part.exists()
    os.utime(part, (0, 0))
    log_recovery.recover(tmp_path)
    assert not part.exists()


def test_what_arrow_refuses_is_lost_and_counted_and_the_next_files_are_written(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file = log_files._write

    def refuse_answers(current: Any) -> int:
        if "answers" in str(current.path):
            raise pa.ArrowNotImplementedError("no such type")
        return write_file(current)

    with PredictionLog(tmp_path, contract, NEVER) as log:
        monkeypatch.setattr(log_files, "_write", refuse_answers)
        put(log, answered("one", rows=2))
        log.feedback("one", 0, True)
        log.flush()
        assert log.counters() == (0, 1, 2, 1, 0, 0)
        assert journals(tmp_path) == []
