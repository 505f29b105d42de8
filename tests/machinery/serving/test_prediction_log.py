"""log: what is handed over stands in files by day, or is counted as dropped."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import Answers
from machinery.serving.log import Limits, PredictionLog
from machinery.serving.log_writer import Writer

from machinery.pipeline.data import contract as contracts
from machinery.serving import log_journal, log_reader, log_writer

SMALL = Limits(queue_rows=100, file_bytes=10**6)
NOON = 1_372_680_000_000_000_000  # 2013-07-01T12:00 UTC, in nanoseconds
DAY = 86_400_000_000_000


def raw_columns(rows: int = 1) -> dict[str, np.ndarray]:
    return {
        "id": np.array(["a"] * rows, dtype=object),
        "at": np.array(["2013-07-01"] * rows, dtype="datetime64[us]"),
        "size": np.array([np.nan] * rows),
        "colour": np.array(["red"] * rows, dtype=object),
    }


def answers_of(rows: int = 1) -> Answers:
    return Answers(
        np.full((rows, 2), 0.5, np.float32),
        decision=np.ones(rows, np.int64),
        members=np.ones((rows, 2), np.bool_),
    )


def put(log: PredictionLog, request: str, rows: int = 1, **given: Any) -> bool:
    features = given.pop("features", {"bulk": np.full(rows, 2.5, np.float32)})
    given = {"model_version": "v1", **given}
    return log.answers([request], [rows], raw_columns(rows), features, answers_of(rows), **given)


class Log(PredictionLog):
    """A log whose files the test writes: `write`, and at the end."""

    def __init__(self, folder: Path, contract: Contract, limits: Limits = SMALL) -> None:
        super().__init__(folder, contract, limits, writes=False)
        self.folder, self.writer = folder, Writer(folder)

    def write(self) -> None:
        self.writer.write(self._journal.token)

    def close(self, timeout: float = 10.0) -> None:
        super().close(timeout)
        self.writer.recover()

    def told(self) -> tuple[int, int, int, int]:
        """Rows that wait, that are written, that were dropped; and errors."""
        waiting, dropped, errors = self.counters()
        done = self.writer.done
        lost = dropped + done["dropped_rows"]
        return waiting, done["written_rows"], lost, errors + done["write_errors"]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refuse_to_write(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_answer_is_kept_with_all_that_it_was_made_from(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        assert put(log, "one", rows=2)
    (first, second) = log_reader.read(tmp_path).to_pylist()
    assert (first["row"], second["row"]) == (0, 1)
    assert abs(first["time"].timestamp() - time.time()) < 600
    del first["time"], first["row"]
    assert first == {
        "request_id": "one",
        "role": "champion",
        "model_version": "v1",
        "raw_id": "a",
        "raw_at": first["raw_at"],
        "raw_size": None,
        "raw_colour": "red",
        "feature_bulk": 2.5,
        "probability_false": 0.5,
        "probability_true": 0.5,
        "prediction": "true",
        "in_set_false": True,
        "in_set_true": True,
        "outcome": None,
        "outcome_time": None,
    }


def test_a_regression_is_kept_with_its_interval(tmp_path: Path, document: dict[str, Any]) -> None:
    document |= {"task": "regression", "target": "delay"}
    contract = contracts.parse(document)
    value = np.array([3.0], np.float32)
    answers = Answers(value, low=value - 1, high=value + 1)
    with Log(tmp_path, contract) as log:
        log.answers(["one"], [1], raw_columns(), {}, answers, model_version="v1")
        log.feedback("one", 0, 3.5)
    (row,) = log_reader.read(tmp_path).to_pylist()
    kept = [row[name] for name in ("prediction", "low", "high", "outcome")]
    assert kept == [3.0, 2.0, 4.0, 3.5]


def test_a_column_that_a_request_left_out_is_null(tmp_path: Path, contract: Contract) -> None:
    raw = raw_columns()
    del raw["size"], raw["at"]
    with Log(tmp_path, contract) as log:
        put(log, "whole")
        log.answers(["less"], [1], raw, {}, answers_of(), model_version="v1")
        log.answers(
            ["less"], [1], raw, {"bulk": np.ones(1, np.float32)}, answers_of(), model_version="v1"
        )
    rows = log_reader.read(tmp_path).to_pylist()
    found = [(row["request_id"], row["raw_at"] is None, row["feature_bulk"]) for row in rows]
    assert found == [("whole", False, 2.5), ("less", True, None), ("less", True, 1.0)]


def test_the_last_feedback_wins_and_goes_to_its_row_in_every_role(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one", rows=2)
        put(log, "one", rows=2, role="shadow", model_version="v2")
        log.feedback("one", 1, True)
        log.write()
        log.feedback("one", 1, False)
        log.feedback("nobody's", 0, True)
    rows = log_reader.read(tmp_path).to_pylist()
    found = {(row["role"], row["row"]): row["outcome"] for row in rows}
    assert found == {
        ("champion", 0): None,
        ("champion", 1): False,
        ("shadow", 0): None,
        ("shadow", 1): False,
    }


def test_what_no_longer_fits_the_queue_is_dropped_and_counted_and_never_waits(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        accepted = [put(log, str(number), rows=40) for number in range(4)]
        assert accepted == [True, True, False, False]
        assert log.told() == (80, 0, 80, 0)
        log.write()
        assert put(log, "again", rows=40)
    assert log.told() == (0, 120, 80, 0)
    assert log_reader.read(tmp_path).num_rows == 120
    assert not put(log, "too late")
    assert log.told() == (0, 120, 81, 0)


def test_rows_scored_together_are_numbered_by_request(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract) as log:
        assert put_together(log, {"one": 2, "two": 1, "three": 2})
        put(log, "four")
    rows = log_reader.read(tmp_path).to_pylist()
    assert sorted((row["request_id"], row["row"], row["feature_bulk"]) for row in rows) == [
        ("four", 0, 2.5),
        ("one", 0, 0.0),
        ("one", 1, 1.0),
        ("three", 0, 3.0),
        ("three", 1, 4.0),
        ("two", 0, 2.0),
    ]


def test_requests_scored_together_that_do_not_fit_the_queue_are_dropped_together(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        assert put_together(log, {"one": 60, "two": 30})
        assert not put_together(log, {"three": 5, "four": 6})
        assert put_together(log, {"five": 4, "six": 6})
    kept = log_reader.read(tmp_path)["request_id"].to_pylist()
    assert {name: kept.count(name) for name in kept} == {"one": 60, "two": 30, "five": 4, "six": 6}
    assert log.told() == (0, 100, 11, 0)


def test_a_batch_that_cannot_be_kept_takes_no_other_with_it(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        assert put_together(log, {"good": 1})
        assert not put_together(log, {"odd": 1, "its neighbour": 1}, odd=1, role="shadow")
        assert put_together(log, {"fine": 2}, model_version="v2")
    assert log.told() == (0, 3, 2, 0)
    kept = log_reader.read(tmp_path)["request_id"].to_pylist()
    assert kept == ["good", "fine", "fine"]


def put_together(
    log: PredictionLog, requests: dict[str, int], odd: int | None = None, **given: str
) -> bool:
    """Hand over requests of so many rows; the row `odd` has a text that is none."""
    lengths = [*requests.values()]
    rows = sum(lengths)
    raw, features = raw_columns(rows), {"bulk": np.arange(rows, dtype=np.float32)}
    if odd is not None:
        raw["colour"][odd] = "\ud800"
    given = {"model_version": "v1", **given}
    return log.answers([*requests], lengths, raw, features, answers_of(rows), **given)


def test_rows_wait_while_the_disk_is_full_and_are_written_once_it_is_not(
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "kept")
        log.seal()
        log.write()
        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", refuse_to_write)
            put(log, "waiting")
            log.seal()
            log.write()
            log.write()
        assert log.told() == (1, 1, 0, 2)
        assert caplog.text.count("No space left on device") == 1  # told once in a while
        assert log_reader.read(tmp_path).num_rows == 1
        log.write()
        assert log.told() == (0, 2, 0, 2)
    assert log_reader.read(tmp_path)["request_id"].to_pylist() == ["kept", "waiting"]
    assert not [path for path in files_of(tmp_path) if path.name.startswith(".")]


def test_what_the_journal_cannot_take_waits_in_memory_and_is_dropped_at_the_end(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(tmp_path, contract) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log_journal.Journal, "append", refuse_to_write)
            assert put(log, "waiting", rows=2)
            assert put(log, "behind it", rows=98)
            assert not put(log, "too many")
            assert log.told() == (100, 0, 1, 2)
        log.look()
        assert sum(log._journal.rows()) == 100
        log.write()
        monkeypatch.setattr(log_journal.Journal, "append", refuse_to_write)
        put(log, "lost", rows=3)
    assert log.told() == (0, 100, 4, 4)
    kept = log_reader.read(tmp_path)["request_id"].to_pylist()
    assert kept == ["waiting"] * 2 + ["behind it"] * 98


def test_a_record_that_fits_no_table_takes_no_other_with_it(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "good")
        assert not put(log, "odd", features={"bulk": np.zeros(9, np.float32)})
        put(log, "fine")
        assert log.feedback("good", 0, "not a boolean")
        log.feedback("fine", 0, True)
    assert log.told() == (0, 3, 2, 0)
    rows = log_reader.read(tmp_path).to_pylist()
    assert [(row["request_id"], row["outcome"]) for row in rows] == [("good", None), ("fine", True)]


def test_where_nothing_fits_a_table_there_is_no_file(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract) as log:
        log.feedback("one", 0, "not a boolean")
    assert log.told() == (0, 0, 1, 0)
    assert files_of(tmp_path) == []


def test_a_file_grows_until_its_size_and_then_another_begins(
    tmp_path: Path, contract: Contract
) -> None:
    for name, limits in (("one", SMALL), ("many", SMALL._replace(file_bytes=1))):
        with Log(tmp_path / name, contract, limits) as log:
            for number in range(3):
                put(log, str(number))
                log.write()
                assert log_reader.read(tmp_path / name).num_rows == number + 1
            assert log.told() == (0, 3, 0, 0)
        ids = log_reader.read(tmp_path / name)["request_id"].to_pylist()
        assert ids == ["0", "1", "2"]
    assert len(files_of(tmp_path / "one")) == 1
    assert len(files_of(tmp_path / "many")) == 3


def test_a_file_ends_at_half_of_the_rows_that_may_wait(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract, SMALL._replace(queue_rows=4)) as log:
        for number in range(3):
            put(log, str(number), rows=2)
            log.write()
    assert len(files_of(tmp_path)) == 3
    assert log_reader.read(tmp_path).num_rows == 6


def test_a_file_that_would_hold_nothing_new_is_not_written_again(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one")
        log.write()
        with monkeypatch.context() as patch:
            patch.setattr(log_writer, "read", refuse_to_write)
            log.write()
        monkeypatch.setattr(pq, "write_table", refuse_to_write)
        log.seal()
        log.write()
    assert log.told() == (0, 1, 0, 0)


def test_a_file_that_could_not_be_written_is_written_the_next_time(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one")
        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", refuse_to_write)
            log.write()
        assert log.told() == (0, 0, 0, 1)
        log.write()
        assert log.told() == (0, 1, 0, 1)


def test_each_row_stands_under_its_day(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(tmp_path, contract) as log:
        for day in range(3):
            monkeypatch.setattr(time, "time_ns", lambda day=day: NOON + day * DAY)
            put(log, f"day {day}")
        log.feedback("day 0", 0, True)
    places = [(path.parent.name, path.stem[16:]) for path in files_of(tmp_path / "answers")]
    days = ("day=2013-07-01", "day=2013-07-02", "day=2013-07-03")
    assert places == [(day, f"00000{at}-00") for at, day in enumerate(days, 1)]
    (row,) = log_reader.read(tmp_path, ["2013-07-01"]).to_pylist()
    assert (row["request_id"], row["outcome"]) == ("day 0", True)


def test_models_with_other_features_are_read_into_one_table(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "old")
        put(log, "new", model_version="v2", features={"hue": np.array(["red"], dtype=object)})
    rows = log_reader.read(tmp_path).to_pylist()
    assert [(row["feature_bulk"], row["feature_hue"]) for row in rows] == [
        (2.5, None),
        (None, "red"),
    ]


def test_a_feature_that_changed_its_type_is_told(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "old")
        put(log, "new", model_version="v2", features={"bulk": np.array(["much"], dtype=object)})
    with pytest.raises(UserError, match="changed its type"):
        log_reader.read(tmp_path)


def test_files_that_cannot_be_read_and_parts_are_left_out(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one")
    (written,) = files_of(tmp_path)
    half = written.read_bytes()[:100]
    written.with_name("broken.parquet").write_bytes(half)
    written.with_name(".unfinished.parquet.part").write_bytes(half)
    written.with_name(".hidden.parquet").write_bytes(written.read_bytes())
    assert log_reader.read(tmp_path).num_rows == 1
    (said,) = caplog.messages
    assert "broken.parquet is left out" in said


def test_half_a_file_of_a_killed_writer_is_replaced(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one")
        log.write()
        (path,) = files_of(tmp_path / "answers")
        part = path.rename(path.with_name(f".{path.name}.part"))
    assert files_of(tmp_path) == [path]
    assert not part.exists()


@pytest.mark.parametrize("left", [0, 100])
def test_a_broken_file_is_written_anew(tmp_path: Path, contract: Contract, left: int) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one")
        log.write()
        (path,) = files_of(tmp_path / "answers")
        path.write_bytes(path.read_bytes()[:left])
    assert log_reader.read(tmp_path).num_rows == 1
    assert log.told()[2:] == (0, 0)


def test_a_folder_without_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no answers of 2013-07-01"):
        log_reader.read(tmp_path, ["2013-07-01"])


def test_texts_of_any_width_and_numbers_stand_in_one_table(
    tmp_path: Path, contract: Contract
) -> None:
    with Log(tmp_path, contract) as log:
        for hue in ("red", "ultramarine"):
            features = {"hue": np.array([hue]), "bulk": np.ones(1, np.float32)}
            put(log, hue, features=features)
    (path,) = files_of(tmp_path)
    assert pq.read_table(path)["feature_hue"].to_pylist() == ["red", "ultramarine"]


def test_a_feature_that_is_a_number_now_and_a_text_then_fails_no_request(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with Log(tmp_path, contract) as log:
        assert put(log, "number")
        assert not put(log, "text", rows=3, features={"bulk": np.array(["big"] * 3, dtype=object)})
        assert put(log, "again")
    assert log.told() == (0, 2, 3, 0)
    assert "3 rows are lost" in caplog.text


def test_only_texts_that_come_again_have_a_dictionary(tmp_path: Path, contract: Contract) -> None:
    with Log(tmp_path, contract) as log:
        put(log, "one", rows=50)
    (path,) = files_of(tmp_path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    having = {name for name, each in columns.items() if each.has_dictionary_page}
    assert having == {"role", "model_version", "raw_id", "raw_colour", "prediction"}
