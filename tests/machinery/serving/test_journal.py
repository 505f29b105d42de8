"""log_journal, log_writer: what a killed process was handed stands in the log, each row once."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model.answers import Answers
from machinery.serving.log import Limits, PredictionLog
from machinery.serving.log_writer import Writer

from machinery.serving import log_journal, log_reader, log_writer


class Service:
    """A process that logs, until it ends or is killed."""

    def __init__(self, folder: Path, contract: Contract, **limits: Any) -> None:
        self.log = PredictionLog(folder, contract, Limits(**limits), writes=False)
        self.token = self.log._journal.token
        self.folder = folder / f".{self.token}.journal"

    def answer(self, request: str, rows: int = 1, role: str = "champion") -> None:
        raw = {
            "id": np.array(["a"] * rows, dtype=object),
            "at": np.array(["2013-07-01T12:00:00.000001"] * rows, dtype="datetime64[us]"),
            "size": np.array([np.nan] * rows),
            "colour": np.array([np.nan] + ["red"] * (rows - 1), dtype=object),
        }
        hues = np.array(["é"] * rows, dtype=object)
        features = {"bulk": np.full(rows, 0.1, np.float32), "hue": hues}
        answers = Answers(
            np.full((rows, 2), 0.3, np.float32),
            decision=np.ones(rows, np.int64),
            members=np.array([[True, False]] * rows),
        )
        given = [request], [rows], raw, features, answers
        assert self.log.answers(*given, model_version="v1", role=role)

    def learn(self, request: str, outcome: bool = True) -> None:
        assert self.log.feedback(request, 0, outcome)

    def kill(self) -> Path:
        """Let go of the lock, as the kernel would; the segment that it was writing to."""
        lock, self.log._journal._lock = self.log._journal._lock, None
        assert lock is not None
        lock.close()
        return max(self.folder.glob("0*"))

    def segments(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("0*"))


@pytest.fixture
def service(tmp_path: Path, contract: Contract) -> Iterator[Service]:
    started = Service(tmp_path, contract)
    yield started
    started.log.close()


def recover(folder: Path) -> dict[str, int]:
    writer = Writer(folder)
    writer.recover()
    return {name: count for name, count in writer.done.items() if count}


def recovered(rows: int, **others: int) -> dict[str, int]:
    return {"written_rows": rows, "recovered_rows": rows, **others}


def hidden(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*"))


def rows_of(folder: Path) -> list[tuple[str, int, str, Any]]:
    names = ("request_id", "row", "role", "outcome")
    rows = log_reader.read(folder).to_pylist()
    return sorted(tuple(row[name] for name in names) for row in rows)  # type: ignore[type-var]


def refuse(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_rows_of_a_killed_process_are_those_that_it_would_have_written(
    tmp_path: Path, contract: Contract
) -> None:
    service = Service(tmp_path / "one", contract)
    service.answer("one", rows=3)
    service.answer("one", role="shadow")
    service.learn("one")
    shutil.copytree(tmp_path / "one", tmp_path / "copy")  # without the lock
    service.log.close()
    assert recover(tmp_path / "copy") == recover(tmp_path / "one") == recovered(5)
    found, wanted = (log_reader.read(tmp_path / name) for name in ("copy", "one"))
    assert found.equals(wanted)
    assert rows_of(tmp_path / "copy") == [
        ("one", 0, "champion", True),
        ("one", 0, "shadow", True),
        ("one", 1, "champion", None),
        ("one", 2, "champion", None),
    ]
    assert wanted["raw_colour"].to_pylist().count(None) == 2
    assert wanted["raw_at"][0].as_py().microsecond == 1
    assert hidden(tmp_path / "copy") == []


def test_a_killed_writer_leaves_no_row_twice(tmp_path: Path, service: Service) -> None:
    service.answer("one", rows=2)
    service.learn("one")
    segment = service.kill()
    kept = tmp_path / "kept"
    shutil.copytree(segment.parent, kept)
    assert recover(tmp_path) == recovered(3)
    kept.rename(segment.parent)  # as if it had been killed before it deleted the segment
    assert recover(tmp_path) == {}
    assert len(rows_of(tmp_path)) == 2


def test_a_writer_that_starts_anew_counts_no_row_twice(tmp_path: Path, service: Service) -> None:
    service.answer("one", rows=2)
    for wanted in ({"written_rows": 2}, {}):
        writer = Writer(tmp_path)
        writer.write(service.token)
        assert dict(writer.done) == wanted
    service.answer("two", rows=3)
    service.kill()
    writer.write(service.token, ended=True)
    assert dict(writer.done) == {"written_rows": 3, "recovered_rows": 3, "torn_records": 0}
    assert hidden(tmp_path) == []


def test_what_is_sealed_when_a_process_ends_was_not_recovered(
    tmp_path: Path, service: Service
) -> None:
    service.answer("one")
    service.log.close()
    writer = Writer(tmp_path)
    writer.write(service.token, ended=True)
    assert writer.done["written_rows"] == 1
    assert writer.done["recovered_rows"] == 0
    assert hidden(tmp_path) == []


def test_only_what_is_sealed_is_written_if_so_asked(tmp_path: Path, service: Service) -> None:
    service.answer("one")
    writer = Writer(tmp_path)
    writer.write(service.token, growing=False)
    assert writer.done == {}
    service.log.seal()
    assert service.segments() == ["000001.sealed"]
    writer.write(service.token, growing=False)
    assert writer.done["written_rows"] == 1
    assert service.segments() == []


def test_a_segment_that_is_sealed_while_it_is_looked_for_is_no_fault(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("one")
    looked = Path.glob

    def seal_meanwhile(folder: Path, pattern: str) -> list[Path]:
        found = [*looked(folder, pattern)]
        if pattern == "*.open":
            service.log.seal()
        return found

    monkeypatch.setattr(Path, "glob", seal_meanwhile)
    writer = Writer(tmp_path)
    writer.write(service.token)
    assert writer.done["write_errors"] == 0
    writer.write(service.token)
    assert writer.done["written_rows"] == 1


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path, service: Service) -> None:
    service.answer("one")
    assert recover(tmp_path) == {}
    assert service.segments() == ["000001.open"]
    with log_journal.locked(service.folder, log_journal.fcntl.LOCK_EX) as alone:
        assert not alone


def test_a_journal_that_another_process_deals_with_is_left_to_it(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("one")
    service.kill()
    with log_journal.locked(service.folder, log_journal.fcntl.LOCK_EX) as alone:
        assert alone
        assert recover(tmp_path) == {}
        writer = Writer(tmp_path)
        writer.write(service.token, ended=True)
        assert writer.done == {}

    def delete(*_: object) -> None:
        (service.folder / "lock").unlink()

    monkeypatch.setattr(log_journal.fcntl, "flock", delete)  # it was done in this very moment
    assert recover(tmp_path) == {}


@pytest.mark.parametrize(
    ("left", "rows"),
    [(3, 1), (50, 1), (-1, 0), (-10_000, 0)],
    ids=["half a length", "half a record", "the first of all", "half a contract"],
)
def test_a_torn_record_is_left_out_and_counted(
    tmp_path: Path, service: Service, left: int, rows: int
) -> None:
    service.answer("one")
    whole = max(service.folder.glob("0*")).stat().st_size
    service.answer("two")
    os.truncate(service.kill(), max(whole + left, 20))
    assert recover(tmp_path) == {**(recovered(rows) if rows else {}), "torn_records": 1}
    assert hidden(tmp_path) == []


def test_a_record_that_is_being_written_is_not_torn(tmp_path: Path, service: Service) -> None:
    service.answer("one")
    (segment,) = service.folder.glob("0*")
    whole = segment.read_bytes()
    writer = Writer(tmp_path)
    for part in (whole[:20], whole[:-1], whole):
        segment.write_bytes(part)
        writer.write(service.token)
    assert dict(writer.done) == {"written_rows": 1}


def test_an_empty_segment_is_none(tmp_path: Path, service: Service) -> None:
    service.answer("one")
    os.truncate(service.kill(), 0)
    assert recover(tmp_path) == {}
    assert hidden(tmp_path) == []


def test_a_record_that_says_nothing_takes_no_other_with_it(
    tmp_path: Path, service: Service
) -> None:
    service.answer("one")
    segment = service.kill()
    nonsense = b"".join(
        log_journal.LENGTH.pack(len(data)) + data for data in (b"\xc1", b"", b"\x93\x01\x00\x00")
    )
    segment.write_bytes(segment.read_bytes() + nonsense)
    service.answer("two")
    assert recover(tmp_path) == recovered(2, torn_records=3)


def test_a_process_that_was_killed_before_it_had_a_journal_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".0123abcd.new").mkdir()
    (tmp_path / ".0123abcd.new/lock").touch()
    assert recover(tmp_path) == {}
    assert hidden(tmp_path) == []


def of_an_older_version(service: Service) -> Path:
    path = service.folder.with_name(".0123abcd-000001.journal")
    path.write_bytes(b"rows")
    return path


def of_a_newer_version(service: Service) -> Path:
    head = log_journal.ENCODER.encode([99, service.log._journal._schema, []])
    segment = service.kill()
    segment.write_bytes(log_journal.LENGTH.pack(len(head)) + head)
    return segment


@pytest.mark.parametrize("leave", [of_an_older_version, of_a_newer_version])
def test_what_another_version_has_left_is_told_and_left(
    tmp_path: Path,
    contract: Contract,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    leave: Callable[[Service], Path],
) -> None:
    service.answer("one")
    left = leave(service)
    last = Service(tmp_path, contract)
    last.answer("two")
    last.kill()
    assert recover(tmp_path) == recovered(1, write_errors=1)
    assert f"{left} is of another version of the service; start that once" in caplog.text
    assert left.exists()


def test_what_cannot_be_written_stays_for_the_next_time(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("one", rows=3)
    service.log.close()
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", refuse)
        assert recover(tmp_path) == {"write_errors": 1}
    assert service.segments() == ["000001.sealed"]
    assert recover(tmp_path) == recovered(3)


def test_a_segment_lives_until_all_of_its_rows_are_written(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = log_writer.write

    def refuse_feedback(table: pa.Table, path: Path) -> None:
        if "feedback" in str(path):
            refuse()
        write(table, path)

    service.answer("one")
    service.learn("one")
    service.log.seal()
    writer = Writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(log_writer, "write", refuse_feedback)
        writer.write(service.token)
    assert writer.done == {"written_rows": 1, "write_errors": 1}
    assert service.segments() == ["000001.sealed"]
    writer.write(service.token)
    assert (writer.done["written_rows"], service.segments()) == (2, [])


def test_what_arrow_refuses_is_lost_and_counted_and_the_next_files_are_written(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = log_writer.write

    def refuse_answers(table: pa.Table, path: Path) -> None:
        if "answers" in str(path):
            raise pa.ArrowNotImplementedError("no such type")
        write(table, path)

    monkeypatch.setattr(log_writer, "write", refuse_answers)
    service.answer("one", rows=2)
    service.learn("one")
    service.log.seal()
    writer = Writer(tmp_path)
    writer.write(service.token)
    assert writer.done["dropped_rows"] == 2
    assert (writer.done["written_rows"], writer.done["write_errors"]) == (1, 1)
    assert service.segments() == []


def test_a_fault_of_the_writer_is_counted_and_stays_with_its_segment(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("one")
    service.log.seal()
    service.answer("two")
    service.log.seal()
    make, first = log_writer.groups, [True]

    def fail_once(found: Any) -> Any:
        if first.pop() if first else False:
            raise RuntimeError("a mistake of ours")
        return make(found)

    monkeypatch.setattr(log_writer, "groups", fail_once)
    writer = Writer(tmp_path)
    writer.write(service.token)
    assert (writer.done["written_rows"], writer.done["write_errors"]) == (1, 1)
    assert service.segments() == ["000001.sealed"]


def test_a_journal_that_cannot_be_locked_is_counted_and_told_and_fails_no_request(
    tmp_path: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(log_journal.fcntl, "flock", refuse)
        service.answer("one")
    assert service.log.counters() == (1, 0, 1)
    assert "kill -9 would lose rows, the journal fails: [Errno 28]" in caplog.text
    service.answer("two")
    assert service.log.counters() == (0, 0, 1)
    service.kill()
    assert recover(tmp_path) == recovered(2)


def test_on_a_disk_without_locks_only_what_a_killed_process_left_is_not_written(
    tmp_path: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    with monkeypatch.context() as patch:
        patch.setattr(log_journal.fcntl, "flock", flock)
        service.answer("one")
        writer = Writer(tmp_path)
        writer.write(service.token)
        assert writer.done == {"written_rows": 1}
        service.answer("two")
        assert recover(tmp_path) == {"write_errors": 1}
    assert f"is not written: [Errno {errno.ENOTSUP}]" in caplog.text
    service.kill()
    assert recover(tmp_path) == recovered(1)


def test_an_entry_that_the_disk_took_half_of_spoils_no_other(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.writev

    def take_half(file: int, parts: Sequence[bytes]) -> int:
        data = b"".join(parts)
        return write(file, [data[: len(data) // 2]])

    service.answer("one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", take_half)
        service.answer("two")
        assert service.log.counters().queued_rows == 1
        service.log.seal()
        service.answer("three")
        assert service.segments() == ["000001.sealed"]
    service.answer("four")
    service.kill()
    assert recover(tmp_path) == recovered(4)
    assert [row[0] for row in rows_of(tmp_path)] == ["four", "one", "three", "two"]


def test_a_journal_leaves_room_on_the_disk_for_the_files_that_are_made_of_it(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("one")
    service.log.seal()
    with monkeypatch.context() as patch:
        disk = SimpleNamespace(f_bavail=1999, f_frsize=4000)  # of two segments of 4 MB
        patch.setattr(os, "statvfs", lambda _: disk)
        service.answer("two")
        assert service.segments() == ["000001.sealed"]
        assert service.log.counters() == (2, 0, 1)
        disk.f_bavail = 2000
        service.answer("three")
    assert service.segments() == ["000001.sealed", "000002.open"]
    service.kill()
    assert recover(tmp_path) == recovered(3)


def test_a_folder_that_is_removed_costs_what_was_in_it(tmp_path: Path, contract: Contract) -> None:
    folder = tmp_path / "log"
    service = Service(folder, contract)
    service.answer("gone")
    shutil.rmtree(folder)
    service.log.seal()
    service.answer("kept")
    assert service.log.counters() == (0, 0, 0)
    service.log.close()
    assert recover(folder) == recovered(1)
