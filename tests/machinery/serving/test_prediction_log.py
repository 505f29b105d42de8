"""The prediction log: lines survive crashes, are compacted once, and losses are reported."""

import errno
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from machinery.commands.cli import app
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import Answers
from machinery.serving import log_files
from machinery.serving.log import STANDARD_OUTPUT, PredictionLog
from machinery.serving.log_files import compact, read
from shop.project import Shop

AFTERWARDS = datetime(2100, 1, 1, tzinfo=UTC)  # when every day of the log is over
MEGABYTE = 1_000_000


@pytest.fixture
def contract(document: dict[str, Any]) -> Contract:
    document["columns"]["seen"] = {**document["columns"]["at"], "nullable": True}
    return contracts.parse(document)


@pytest.fixture
def log(tmp_path: Path, contract: Contract) -> Iterator[PredictionLog]:
    counts: list[tuple[int, int]] = []
    log = PredictionLog(tmp_path / "log", contract, lambda *count: counts.append(count))
    log.counts = counts  # type: ignore[attr-defined]
    yield log
    log.close()


def answer(log: PredictionLog, request_id: str = "r", rows: int = 2, **changes: Any) -> bool:
    raw = {
        "id": [f"{request_id}-{row}" for row in range(rows)],
        "at": [datetime(2026, 1, 2, 3, 4, 5)] * rows,
        "size": [None, *[1.5] * (rows - 1)],
        "colour": ["red"] * rows,
        "seen": [None] * rows,
    }
    features = {
        "size": np.array([np.nan, *[1.5] * (rows - 1)], np.float32),
        "colour": np.array(["red", *[np.nan] * (rows - 1)], object),
    }
    plain = Answers(
        np.tile(np.array([0.25, 0.75], np.float32), (rows, 1)),
        decision=np.ones(rows, int),
        members=np.array([[False, True]] * rows),
    )
    arguments = {"model_version": "v1", "raw": raw, "features": features, "answers": plain}
    return log.answers(request_id, **{**arguments, **changes})


def lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_request_is_one_line_after_the_description_of_its_model(
    log: PredictionLog, tmp_path: Path
) -> None:
    assert answer(log)
    assert log.feedback([("r", 1, True)])
    model, answers, outcome = lines(tmp_path / "log")
    assert (model["raw"]["at"], model["classes"]) == ("datetime", ["false", "true"])
    assert model["features"] == {"size": "number", "colour": "string"}
    assert [answers[name] for name in ("request_id", "role")] == ["r", "champion"]
    assert answers["raw"]["size"] == [None, 1.5]
    assert answers["features"]["size"] == [None, 1.5]
    assert (outcome["row"], outcome["outcome"]) == (1, True)
    assert log.counts == [(2, 0), (1, 0)]  # type: ignore[attr-defined]


def test_only_the_owner_may_read_the_log(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    compact(tmp_path / "log", AFTERWARDS)
    answer(log)
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".jsonl", ".parquet"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_table_is_typed_by_the_contract_whether_from_lines_or_parquet(
    log: PredictionLog, tmp_path: Path
) -> None:
    answer(log)
    answer(log, "s", 1)
    missing = {"size": np.full(2, np.nan, np.float32), "colour": np.full(2, np.nan, object)}
    answer(log, role="shadow", model_version="v2", features=missing)
    log.feedback([("r", 1, False), ("s", 0, True)])
    log.feedback([("r", 1, True)])  # the latest counts
    table = read(tmp_path / "log")
    assert table.num_rows == 5
    assert compact(tmp_path / "log", AFTERWARDS).rows == 8
    assert not list((tmp_path / "log").glob("*.jsonl"))
    compacted = read(tmp_path / "log")
    order = [(name, "ascending") for name in ("role", "request_id", "row")]
    assert compacted.sort_by(order).equals(table.sort_by(order))
    types = {name: table.schema.field(name).type for name in table.column_names}
    assert types["raw_at"] == types["raw_seen"] == pa.timestamp("us")
    assert (types["raw_size"], types["feature_size"]) == (pa.float64(), pa.float32())
    assert (types["feature_colour"], types["in_set_true"]) == (pa.string(), pa.bool_())
    assert types["outcome"] == pa.bool_()
    rows = table.filter(pa.compute.equal(table["role"], "champion")).sort_by(order).to_pylist()
    assert [row["outcome"] for row in rows] == [None, True, True]
    assert rows[0]["prediction"] == "true"
    assert rows[0]["raw_at"] == datetime(2026, 1, 2, 3, 4, 5)


def test_outcomes_that_are_all_null_leave_the_outcome_missing(
    log: PredictionLog, tmp_path: Path
) -> None:
    answer(log)
    log.feedback([("r", 1, None)])
    assert read(tmp_path / "log")["outcome"].null_count == 2


def test_today_is_not_compacted(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    assert compact(tmp_path / "log").rows == 0
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert compact(tmp_path / "log", midnight).rows == 0  # a line may still be written
    assert read(tmp_path / "log").num_rows == 2


def test_days_are_selected_by_name(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    log.feedback([("r", 0, True)])
    (path,) = (tmp_path / "log").glob("*.jsonl")
    day = path.name[:10]
    path.rename(path.with_name("2026-01-01" + path.name[10:]))
    answer(log, "later")
    for days, request_id in [(["2026-01-01"], "r"), ([day], "later")]:
        assert read(tmp_path / "log", days)["request_id"].to_pylist() == [request_id] * 2
    with pytest.raises(UserError, match="contains no answers of 2026-01-02"):
        read(tmp_path / "log", ["2026-01-02"])


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
import pyarrow.parquet as pq
from machinery.serving.log_files import compact
folder, now, name, number = sys.argv[1:]
owner, calls = pq.ParquetWriter if name == "write_table" else Path, []
original = getattr(owner, name)
def die(*args, **options):
    calls.append(name)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **options)
setattr(owner, name, die)
compact(Path(folder), datetime.fromisoformat(now))
"""


@pytest.mark.parametrize(
    ("name", "number"), [("write_table", "2"), ("replace", "2"), ("unlink", "4")]
)
def test_a_killed_compaction_loses_and_duplicates_nothing(
    log: PredictionLog, tmp_path: Path, name: str, number: str
) -> None:
    for request_id in ("r0", "r1", "r2"):
        answer(log, request_id)
        answer(log, request_id, role="shadow", model_version="v2", features={})
    log.feedback([("r0", 0, True)])
    folder = tmp_path / "log"
    process = subprocess.run(
        [sys.executable, "-c", KILLED, folder, AFTERWARDS.isoformat(), name, number],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    assert list(folder.glob("*.jsonl"))
    assert read(folder).num_rows == 12
    compact(folder, AFTERWARDS)
    after = read(folder)
    assert (after.num_rows, after["outcome"].null_count) == (12, 10)
    assert not [path for path in folder.rglob("*") if path.suffix in (".jsonl", ".part")]


@pytest.mark.parametrize(
    ("valid", "damaged", "request_ids"),
    [
        ('"r"', '"r', ["s"] * 2),
        ('"model"', '"x"', []),  # its columns are then unknown
        ('{"line":"outcome"', '{"line":"answers","time":"20\n{"line":"outcome"', list("rrss")),
    ],
)
def test_unreadable_lines_are_left_out_reported_and_kept(
    log: PredictionLog,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    valid: str,
    damaged: str,
    request_ids: list[str],
) -> None:
    answer(log)
    answer(log, "s")
    log.feedback([("s", 0, True)])
    (path,) = (tmp_path / "log").glob("*.jsonl")
    path.write_text(path.read_text().replace(valid, damaged, 1))
    if request_ids:
        assert read(tmp_path / "log")["request_id"].to_pylist() == request_ids
        assert f"{path}: 1 lines cannot be read" in caplog.text
    renamed = path.with_suffix(".damaged")
    compacted = compact(tmp_path / "log", AFTERWARDS)
    assert (compacted.rows, compacted.damaged) == (len(request_ids) + 1, [renamed])
    assert (path.exists(), renamed.exists()) == (False, True)


def test_a_file_that_is_compacted_before_it_is_read_counts_once(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = log_files._read_lines

    def read_late(kind: str, path: Path) -> Any:
        compact(tmp_path / "log", AFTERWARDS)
        return original(kind, path)

    answer(log)
    monkeypatch.setattr(log_files, "_read_lines", read_late)
    assert read(tmp_path / "log").num_rows == 2


def test_unreadable_lines_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "BATCH_BYTES", 10_000)
    text = ("x" * 1000 + "\n") * 3000
    (tmp_path / "2026-11-28-1.jsonl").write_text(text, encoding="utf-8")
    tracemalloc.start()
    with pytest.raises(UserError, match="no answers of any day"):
        read(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_damaged_parquet_file_is_named(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    compact(tmp_path / "log", AFTERWARDS)
    (path,) = (tmp_path / "log").rglob("*.parquet")
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=f"{path} is not a readable Parquet file"):
        read(tmp_path / "log")


def test_a_folder_that_is_moved_away_is_created_again(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    (tmp_path / "log").rename(tmp_path / "away")
    answer(log, "s")
    assert read(tmp_path / "log")["request_id"].to_pylist() == ["s", "s"]
    assert read(tmp_path / "away")["request_id"].to_pylist() == ["r", "r"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_only_whole_lines_and_reports_them(
    tiny_disk: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    counts: list[tuple[int, int]] = []
    log = PredictionLog(tiny_disk / "log", contract, lambda *count: counts.append(count))
    (tiny_disk / "ballast").write_bytes(bytes(MEGABYTE * 9 // 10))
    accepted = [answer(log, f"r{number}", 50) for number in range(60)]
    assert not all(accepted)
    assert any(accepted)
    assert "rows of the prediction log are lost: " in caplog.text
    assert len(caplog.records) == 1  # not once for each request
    (tiny_disk / "ballast").unlink()
    assert answer(log, "again", 50)
    log.close()
    written, lost = map(sum, zip(*counts, strict=True))
    assert caplog.messages[-1] == f"{lost} rows of the prediction log were lost"
    table = read(tiny_disk / "log")
    assert table.num_rows == written == 50 * (sum(accepted) + 1)
    assert written + lost == 50 * 61


def test_feedback_that_cannot_be_written_is_not_accepted(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log").write_text("a file in its place")
    log = PredictionLog(tmp_path / "log", contract, lambda *_: None)
    assert not log.feedback([("r", 0, True)])
    assert os.strerror(errno.EEXIST) in caplog.text


def test_a_column_that_changes_its_type_is_named(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    numbers = {"size": np.array(["a", "b"], object)}
    answer(log, "s", model_version="v2", features=numbers)
    with pytest.raises(UserError, match="a column changed its type"):
        read(tmp_path / "log")


def test_many_rows_are_compacted_in_batches(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "BATCH_BYTES", 500)
    for number in range(10):
        answer(log, f"r{number}")
    compacted = compact(tmp_path / "log", AFTERWARDS)
    assert (compacted.rows, compacted.files > 3) == (20, True)
    assert read(tmp_path / "log").num_rows == 20


def test_the_command_prints_a_summary(log: PredictionLog, tmp_path: Path) -> None:
    answer(log)
    (path,) = (tmp_path / "log").glob("*.jsonl")
    path.rename(path.with_name("2026-01-01" + path.name[10:]))
    result = CliRunner().invoke(app, ["log", "compact", str(tmp_path / "log")], obj=Shop())
    assert (result.exit_code, result.output) == (0, "2 rows in 1 Parquet files\n")


def test_days_older_than_the_setting_are_removed(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, today = tmp_path / "log", datetime.now(UTC).date()
    answer(log)
    log.feedback([("r", 0, True)])
    (path,) = folder.glob("*.jsonl")
    days = [(today - timedelta(days=age)).isoformat() for age in (1, 7, 8, 400)]
    for number, day in enumerate(days):
        lines = path.read_text() + "no line\n" * (number == 2)
        (folder / f"{day}-{number}.jsonl").write_text(lines)
    (folder / "answers/day=soon").mkdir(parents=True)
    compacted = compact(folder)
    assert (len(compacted.damaged), compacted.removed) == (1, [])
    assert len({*read(folder)["time"].to_pylist()}) == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_HOST", "0.0.0.0")  # of a service with keys
    for number, text in ((None, ""), (7, "2 days removed, older than 7 days\n"), (7, "0 days ")):
        monkeypatch.setenv("SHOP_PREDICTION_LOG_DAYS", "" if number is None else str(number))
        result = CliRunner().invoke(app, ["log", "compact", "log"], obj=Shop())
        assert result.exit_code == 0
        assert result.output.startswith("0 rows in 0 Parquet files\n" + text)
    names = [path.name for kind in ("answers", "feedback") for path in (folder / kind).iterdir()]
    assert sorted(names) == sorted([*(f"day={day}" for day in days[:2] * 2), "day=soon"])
    assert not [*folder.glob("*.damaged")]
    assert path.exists()


def test_a_day_that_cannot_be_removed_is_named(log: PredictionLog, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "log/answers").mkdir(parents=True)
    (tmp_path / "log/answers/day=2020-01-01").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="day=2020-01-01 cannot be removed: "):
        compact(tmp_path / "log", keep_days=7)
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("key", [None, b"a-key-of-16-signs"])
def test_personal_values_are_hashed_with_a_key_or_not_logged(
    document: dict[str, Any], tmp_path: Path, key: bytes | None
) -> None:
    document["columns"]["seen"] = {**document["columns"]["at"], "nullable": True}
    for name in ("id", "size", "colour", "seen"):
        document["columns"][name]["personal"] = True
    log = PredictionLog(tmp_path / "log", contracts.parse(document), lambda *_: None, key)
    assert answer(log, personal=["size", "colour", "unused"])
    log.close()
    rows = read(tmp_path / "log").to_pylist()
    red = key and hmac.new(key, b"red", "sha256").hexdigest()
    assert [row["raw_colour"] for row in rows] == [red, red]
    assert [row["feature_colour"] for row in rows] == [red, None]
    assert len({row["raw_id"] for row in rows}) == (2 if key else 1)
    for name in ("raw_size", "raw_seen", "feature_size"):
        assert [row[name] for row in rows] == [None, None]
    assert rows[0]["raw_at"] == datetime(2026, 1, 2, 3, 4, 5)


def test_infinite_values_are_null(log: PredictionLog, tmp_path: Path) -> None:
    infinite = np.array([[np.inf, -np.inf]])
    answers = Answers(infinite, decision=np.ones(1, int), members=np.array([[False, True]]))
    assert answer(log, rows=1, answers=answers)
    (row,) = read(tmp_path / "log").to_pylist()
    assert np.isnan([row["probability_false"], row["probability_true"]]).all()


def test_a_log_on_standard_output_has_the_same_lines(
    contract: Contract, capfd: pytest.CaptureFixture[str]
) -> None:
    log = PredictionLog(STANDARD_OUTPUT, contract, lambda *_: None)
    assert answer(log)
    assert answer(log, "s")
    log.close()
    printed = [json.loads(line)["line"] for line in capfd.readouterr().out.splitlines()]
    assert printed == ["model", "answers", "answers"]
