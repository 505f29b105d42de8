"""log: what is handed over stands in files by day, or is counted as dropped."""

import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from {{cookiecutter.project_slug}} import contract as contracts
from {{cookiecutter.project_slug}}.contract import Contract
from {{cookiecutter.project_slug}}.files import UserError
from {{cookiecutter.project_slug}}.scoring import Answers
from {{cookiecutter.project_slug}}.serving import log_files, log_journal, log_reader, log_tables
from {{cookiecutter.project_slug}}.serving.log import Limits, PredictionLog

NEVER = Limits(queue_rows=100, flush_rows=1000, flush_seconds=1000, file_bytes=10**6)
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


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refuse_to_write(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_answer_is_kept_with_all_that_it_was_made_from(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
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
    with PredictionLog(tmp_path, contract, NEVER) as log:
        log.answers(["one"], [1], raw_columns(), {}, answers, model_version="v1")
        log.feedback("one", 0, 3.5)
    (row,) = log_reader.read(tmp_path).to_pylist()
    kept = [row[name] for name in ("prediction", "low", "high", "outcome")]
    assert kept == [3.0, 2.0, 4.0, 3.5]


def test_a_column_that_a_request_left_out_is_null(tmp_path: Path, contract: Contract) -> None:
    raw = raw_columns()
    del raw["size"], raw["at"]
    with PredictionLog(tmp_path, contract, NEVER) as log:
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
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "one", rows=2)
        put(log, "one", rows=2, role="shadow", model_version="v2")
        log.feedback("one", 1, True)
        log.flush()
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
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        accepted = [put(log, str(number), rows=40) for number in range(4)]
        assert accepted == [True, True, False, False]
        assert log.counters()[:4] == (80, 0, 80, 0)
        log.flush()
        assert put(log, "again", rows=40)
        with caplog.at_level(logging.WARNING):
            log.close()
    assert log.counters()[:4] == (0, 120, 80, 0)
    assert log_reader.read(tmp_path).num_rows == 120
    assert not put(log, "too late")


def test_rows_scored_together_are_numbered_by_request(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
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


def test_of_requests_scored_together_those_that_fit_the_queue_are_kept(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        assert not put_together(log, {"one": 60, "two": 30, "three": 20})
        assert log.counters()[:4] == (90, 0, 20, 0)
        assert not put_together(log, {"four": 11})
        assert put_together(log, {"five": 10})
    kept = log_reader.read(tmp_path)["request_id"].to_pylist()
    assert {name: kept.count(name) for name in kept} == {"one": 60, "two": 30, "five": 10}


def test_a_row_that_fits_no_table_takes_no_other_of_its_batch_with_it(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put_together(log, {"good": 1, "odd": 1, "fine": 2}, odd=1)
    assert log.counters()[:3] == (0, 3, 1)
    kept = log_reader.read(tmp_path)["request_id"].to_pylist()
    assert sorted(kept) == ["fine", "fine", "good"]


def put_together(log: PredictionLog, requests: dict[str, int], odd: int | None = None) -> bool:
    """Hand over requests of so many rows; the row `odd` has a text that is none."""
    lengths = [*requests.values()]
    rows = sum(lengths)
    raw, features = raw_columns(rows), {"bulk": np.arange(rows, dtype=np.float32)}
    if odd is not None:
        raw["colour"][odd] = "\ud800"
    return log.answers([*requests], lengths, raw, features, answers_of(rows), model_version="v1")


def test_rows_wait_while_the_disk_is_full_and_are_written_once_it_is_not(
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "kept")
        log.flush()
        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", refuse_to_write)
            put(log, "waiting")
            log.flush()
            log.flush()
        assert log.counters()[:4] == (1, 1, 0, 2)
        assert caplog.text.count("No space left on device") == 1  # told once in a while
        assert log_reader.read(tmp_path).num_rows == 1
        log.flush()
        assert log.counters()[:4] == (0, 2, 0, 2)
    assert log_reader.read(tmp_path)["request_id"].to_pylist() == ["kept", "waiting"]
    assert not [path for path in files_of(tmp_path) if path.name.startswith(".")]


def test_what_cannot_be_written_to_the_end_is_counted_as_dropped(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pq, "write_table", refuse_to_write)
    monkeypatch.setattr(log_journal.Journal, "append", refuse_to_write)
    log = PredictionLog(tmp_path, contract, NEVER)
    put(log, "lost", rows=3)
    log.close()
    assert (log.counters().queued_rows, log.counters().dropped_rows) == (0, 3)


def test_an_entry_that_fits_no_table_takes_no_other_with_it(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "good")
        put(log, "odd", features={"bulk": np.zeros(9, np.float32)})
        put(log, "fine")
        assert log.feedback("good", 0, "not a boolean")
        log.feedback("fine", 0, True)
    assert log.counters()[:4] == (0, 3, 2, 0)
    rows = log_reader.read(tmp_path).to_pylist()
    assert [(row["request_id"], row["outcome"]) for row in rows] == [("good", None), ("fine", True)]


def test_a_file_grows_until_its_size_and_then_another_begins(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path / "one", contract, NEVER) as log:
        for number in range(3):
            put(log, str(number))
            log.flush()
    assert len(files_of(tmp_path / "one")) == 1
    with PredictionLog(tmp_path / "many", contract, NEVER._replace(file_bytes=1)) as log:
        for number in range(3):
            put(log, str(number))
            log.flush()
    assert len(files_of(tmp_path / "many")) == 3
    for name in ("one", "many"):
        ids = log_reader.read(tmp_path / name)["request_id"].to_pylist()
        assert ids == ["0", "1", "2"]


def test_a_file_with_enough_rows_is_not_written_again(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER._replace(file_rows=2)) as log:
        for number in range(3):
            put(log, str(number), rows=2)
            log.flush()
    assert len(files_of(tmp_path)) == 3
    assert log_reader.read(tmp_path).num_rows == 6


def test_each_row_stands_under_its_day(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        for day in range(3):
            monkeypatch.setattr(time, "time_ns", lambda day=day: NOON + day * DAY)
            put(log, f"day {day}")
        log.feedback("day 0", 0, True)
    folders = sorted(path.parent.name for path in files_of(tmp_path / "answers"))
    assert folders == ["day=2013-07-01", "day=2013-07-02", "day=2013-07-03"]
    (row,) = log_reader.read(tmp_path, ["2013-07-01"]).to_pylist()
    assert (row["request_id"], row["outcome"]) == ("day 0", True)


def test_models_with_other_features_are_read_into_one_table(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "old")
        put(log, "new", model_version="v2", features={"hue": np.array(["red"], dtype=object)})
    rows = log_reader.read(tmp_path).to_pylist()
    assert [(row["feature_bulk"], row["feature_hue"]) for row in rows] == [
        (2.5, None),
        (None, "red"),
    ]


def test_a_feature_that_changed_its_type_is_told(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "old")
        put(log, "new", model_version="v2", features={"bulk": np.array(["much"], dtype=object)})
    with pytest.raises(UserError, match="changed its type"):
        log_reader.read(tmp_path)


def test_files_that_cannot_be_read_and_parts_are_left_out(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "one")
    (written,) = files_of(tmp_path)
    half = written.read_bytes()[:100]
    written.with_name("broken.parquet").write_bytes(half)
    written.with_name(".unfinished.parquet.part").write_bytes(half)
    written.with_name(".hidden.parquet").write_bytes(written.read_bytes())
    assert log_reader.read(tmp_path).num_rows == 1
    (said,) = caplog.messages
    assert "broken.parquet is left out" in said


def test_parts_of_a_killed_process_are_removed_once_they_are_old(
    tmp_path: Path, contract: Contract
) -> None:
    folder = tmp_path / "answers/day=2013-07-01"
    folder.mkdir(parents=True)
    old, new = folder / ".old.parquet.part", folder / ".new.parquet.part"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    with PredictionLog(tmp_path, contract, NEVER):
        assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_without_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no answers of 2013-07-01"):
        log_reader.read(tmp_path, ["2013-07-01"])


def test_the_thread_writes_when_enough_waits(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER._replace(flush_rows=10)) as log:
        put(log, "many", rows=10)
        assert wait_for_rows(log, 10)


def test_the_thread_writes_what_has_come_while_it_wrote(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = log_files.DayFiles.write

    def write_slowly(files: log_files.DayFiles) -> log_files.Done:
        if log.counters().written_rows == 0 and log.counters().queued_rows == 10:
            put(log, "meanwhile", rows=50)
        return write(files)

    monkeypatch.setattr(log_files.DayFiles, "write", write_slowly)
    with PredictionLog(tmp_path, contract, NEVER._replace(flush_rows=10)) as log:
        put(log, "many", rows=10)
        assert wait_for_rows(log, 60)


def test_the_thread_writes_after_a_while(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER._replace(flush_seconds=0.01)) as log:
        put(log, "one")
        assert wait_for_rows(log, 1)


def wait_for_rows(log: PredictionLog, rows: int) -> bool:
    limit = time.monotonic() + 20
    while log.counters().written_rows < rows and time.monotonic() < limit:
        time.sleep(0.01)
    return log.counters().written_rows == rows


def test_a_fault_of_the_log_is_counted_and_the_thread_goes_on(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    with PredictionLog(tmp_path, contract, NEVER._replace(flush_seconds=0.01)) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log_files.DayFiles, "write", fail)
            put(log, "one")
            limit = time.monotonic() + 20
            while not log.counters().write_errors and time.monotonic() < limit:
                time.sleep(0.01)
        assert wait_for_rows(log, 1)


def test_a_table_that_cannot_be_made_is_counted_and_the_others_are_written(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    with PredictionLog(tmp_path, contract, NEVER) as log:
        monkeypatch.setattr(log_tables, "answers", fail)
        put(log, "lost", rows=2)
        log.feedback("kept", 0, True)
        log.flush()
        assert log.counters()[:3] == (0, 1, 2)


def test_the_table_of_answers_has_one_schema_whatever_is_missing(contract: Contract) -> None:
    nothing = {name: values[:0] for name, values in raw_columns().items()}
    features = {"hue": np.array([], dtype=object)}
    columns = [log_tables.blocks(each, log_tables.layout(each)) for each in (nothing, features)]
    empty = log_tables.Answered(NOON, 0, "champion", "v1", [], [], *columns, answers_of(0))
    table = log_tables.answers([empty], contract)
    assert table.schema.field("raw_size").type == pa.float64()
    assert table.schema.field("feature_hue").type == pa.string()


def test_texts_of_any_width_and_numbers_stand_in_one_table(
    tmp_path: Path, contract: Contract
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        for hue in ("red", "ultramarine"):
            features = {"hue": np.array([hue]), "bulk": np.ones(1, np.float32)}
            put(log, hue, features=features)
    (path,) = files_of(tmp_path)
    assert pq.read_table(path)["feature_hue"].to_pylist() == ["red", "ultramarine"]


def test_a_feature_that_is_a_number_now_and_a_text_then_fails_no_request(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        assert put(log, "number")
        assert not put(log, "text", rows=3, features={"bulk": np.array(["big"] * 3, dtype=object)})
        assert put(log, "again")
    assert (log.counters().written_rows, log.counters().dropped_rows) == (2, 3)
    assert "3 rows are lost" in caplog.text


def test_only_texts_that_come_again_have_a_dictionary(tmp_path: Path, contract: Contract) -> None:
    with PredictionLog(tmp_path, contract, NEVER) as log:
        put(log, "one", rows=50)
    (path,) = files_of(tmp_path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    having = {name for name, each in columns.items() if each.has_dictionary_page}
    assert having == {"role", "model_version", "raw_id", "raw_colour", "prediction"}
