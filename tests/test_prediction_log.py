"""The prediction log in real processes: killed, several at once, and on a disk that is full."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import BakedProject

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
MANY = 10**9
# Logs so many requests of ten rows and an outcome, at most 1,000 a second; prints how many it has
# handed over, and at the end what waits, was dropped and failed. Before, it makes room on the disk.
SERVE = """
import secrets, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from machinery.pipeline.model.scoring import Scorer
from machinery.serving.log import Limits, PredictionLog
folder, name, count, queue_rows = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
scorer = Scorer()
table = pq.read_table("data/test.parquet").slice(0, 10)
raw = scorer.arrays({each: table[each].to_pylist() for each in scorer.contract.known_before()})
features = scorer.features(raw)
answers = scorer.score(features)
limits = Limits(queue_rows, flush_seconds=0.05, file_bytes=30_000)
with PredictionLog(folder, scorer.contract, limits) as log:
    for number in range(count):
        request = f"{name}-{number}-{secrets.token_hex(100)}"
        log.answers([request], [10], raw, features, answers, model_version="v1")
        log.feedback(request, 3, True)
        time.sleep(0.001)
        print(number + 1, flush=True)
    for ballast in sys.argv[5:]:
        Path(ballast).unlink()
print(*log.counters(), flush=True)
"""
READ = """
import sys, time
from pathlib import Path
from machinery.serving.log_reader import read
from machinery.serving.log_writer import Writer
import pyarrow.parquet as pq
folder = Path(sys.argv[1])
writer, limit = Writer(folder), time.monotonic() + 60
while list(folder.rglob(".*")):  # a writer may be at work, or there may be none
    writer.recover()
    assert time.monotonic() < limit, "a journal is left"
    time.sleep(0.01)
assert not writer.done["write_errors"]
table = read(folder)
keys = list(zip(table["request_id"].to_pylist(), table["row"].to_pylist()))
assert len(set(keys)) == len(keys), "a row stands twice"
rows = [pq.read_metadata(path).num_rows for path in folder.glob("feedback/day=*/[!.]*.parquet")]
for key, outcome in zip(keys, table["outcome"].to_pylist()):
    assert outcome is None or key[1] == 3
files = len(list(folder.glob("answers/day=*/*.parquet")))
assert sum(outcome is True for outcome in table["outcome"].to_pylist()) <= sum(rows)
print(len(keys), sum(rows), files)
"""


def serve(project: BakedProject, folder: Path, name: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["python", "-c", SERVE, folder, name, str(count), str(MANY)],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def read(project: BakedProject, folder: Path) -> list[int]:
    """How many answers there are, how many outcomes, and in how many files the answers."""
    return [int(word) for word in project.run("python", "-c", READ, folder).stdout.split()]


@pytest.mark.parametrize("killed", ["the service", "the service and its writer"])
def test_a_kill_costs_nothing_that_was_handed_over(
    small: BakedProject, tmp_path: Path, killed: str
) -> None:
    handed_over, log = 0, tmp_path / "log"
    with serve(small, log, "killed", MANY) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # killed while it said so
            handed_over = int(line)
            if handed_over > 300 and list(log.rglob("*.parquet")) and process.poll() is None:
                if killed == "the service and its writer":
                    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                    os.kill(int(children.read_text()), signal.SIGKILL)
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    answers, outcomes, _ = read(small, log)
    assert answers in (10 * handed_over, 10 * handed_over + 10)  # the next one, not yet said
    assert outcomes in (handed_over, handed_over + 1)


def test_processes_that_log_to_one_folder_never_meet(small: BakedProject, tmp_path: Path) -> None:
    processes = [serve(small, tmp_path / "log", name, 600) for name in ("one", "two")]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert said.splitlines()[-1] == "0 0 0"
    answers, outcomes, files = read(small, tmp_path / "log")
    assert (answers, outcomes) == (12_000, 1_200)
    assert files > 2  # by size


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few thousand rows."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_costs_rows_that_are_counted_and_nothing_else(
    small: BakedProject, tiny_disk: Path
) -> None:
    (tiny_disk / "ballast").write_bytes(bytes(MEGABYTE * 9 // 10))
    given = (tiny_disk / "log", "full", "1500", "5000", tiny_disk / "ballast")
    said = small.run("python", "-c", SERVE, *given).stdout
    queued, dropped, errors = (int(word) for word in said.splitlines()[-1].split())
    assert "No space left on device" in said
    assert errors > 0
    assert dropped > 0
    assert queued == 0
    answers, outcomes, _ = read(small, tiny_disk / "log")
    assert answers > 0
    assert answers + outcomes + dropped == 16_500
    assert not [part for part in tiny_disk.rglob(".*") if part.is_file()]
