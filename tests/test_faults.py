"""Faults in a project that is committed and pushed: what survives, and what fixes it.

Verified means: dvc.lock is unchanged, and doctor has read every byte.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import BakedProject
from test_doctor import doctor, follow, wrong

pytestmark = pytest.mark.slow

SIGNALS = [
    pytest.param(signal.SIGKILL, id="killed"),
    pytest.param(signal.SIGINT, id="interrupted"),  # Ctrl-C reaches the whole group
]
TRAIN = ("dvc", "repro", "--force", "--single-item", "train@schedule-linear")
MODEL = "models/candidates/schedule-linear.onnx"


def recipe(project: BakedProject, title: str) -> str:
    """The command in this section of the runbook."""
    runbook = (project.path / "docs/runbook.md").read_text(encoding="utf-8")
    _, _, section = runbook.partition(f"\n## {title}\n")
    (line,) = re.findall(r"^ {4}(\S.*)$", section.partition("\n## ")[0], re.MULTILINE)
    return str(line)


def lock(project: BakedProject) -> bytes:
    return (project.path / "dvc.lock").read_bytes()


def assert_verified(project: BakedProject, reference: BakedProject) -> None:
    """Every byte is verified, and dvc.lock is the one that was committed and pushed."""
    assert lock(project) == lock(reference)
    assert wrong(project) in ([], ["hooks"]), doctor(project)  # a clone has no hooks yet
    assert project.run("git", "status", "--porcelain").stdout == ""


def start(project: BakedProject, *command: str) -> "subprocess.Popen[bytes]":
    """Start a command in its own process group, as a terminal does."""
    return subprocess.Popen(
        command,
        cwd=project.path,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )


def heed_interrupts() -> None:
    """Undo that a shell's background processes, like this test run, ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.002)


def stop(run: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Kill the whole group, and check that it had not finished before."""
    assert run.poll() is None
    os.killpg(run.pid, number)
    run.wait(60)
    assert run.returncode != 0


def start_training(project: BakedProject) -> "subprocess.Popen[bytes]":
    """Start a stage that runs for seconds; returns when DVC has removed its outputs."""
    run = start(project, *TRAIN)
    wait_for(lambda: not (project.path / MODEL).exists())
    wait_for(lambda: "-m flight_delays" in processes(run.pid))
    return run


def processes(session: int) -> str:
    listed = ["ps", "-o", "pid=,args=", "-s", str(session)]
    return subprocess.run(listed, capture_output=True, text=True, check=False).stdout


def count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def remote(project: BakedProject) -> Path:
    return project.path.parent / "flight_delays-dvc-remote"


def stored(place: Path, md5: str) -> Path:
    return place / "files" / "md5" / md5[:2] / md5[2:]


def md5_of(project: BakedProject, path: str) -> str:
    """The hash that DVC records for a file, also for one inside a folder."""
    output = project.run("dvc", "list", ".", path, "--show-hash").stdout
    return output.split()[0]


def flip_a_byte(path: Path) -> None:
    """Flip one bit in the middle without changing size and time, as on a failing disk."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# Killed and interrupted


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_stopped_in_a_stage_is_finished_by_the_next(
    work: BakedProject, small: BakedProject, number: signal.Signals
) -> None:
    stop(start_training(work), number)
    assert "files" in wrong(work)
    work.run("dvc", "repro")
    assert_verified(work, small)


def test_killing_only_dvc_leaves_its_stage_running_until_it_is_killed_too(
    work: BakedProject, small: BakedProject
) -> None:
    run = start_training(work)
    run.kill()
    run.wait(60)
    left = processes(run.pid).splitlines()
    assert any("flight_delays train" in line for line in left)
    for line in left:
        os.kill(int(line.split()[0]), signal.SIGKILL)
    wait_for(lambda: "-m flight_delays" not in processes(run.pid))
    work.run("dvc", "repro")
    assert_verified(work, small)


def test_a_half_written_file_is_neither_hashed_nor_committed(
    work: BakedProject, small: BakedProject
) -> None:
    part = work.path / "models/candidates/.schedule-linear.onnx.part"
    part.write_bytes(b"half")
    assert work.run("dvc", "repro").stdout.count("up to date") == 1
    assert work.run("git", "status", "--porcelain").stdout == ""
    assert wrong(work) == ["leftovers"]
    follow(work, "leftovers")
    assert_verified(work, small)


def with_many_files(project: BakedProject) -> int:
    """Add 300 files, so that a transfer can be interrupted; returns the number of objects."""
    folder = project.path / "data" / "many"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.txt").write_text(f"{number}\n" * 5000, encoding="utf-8")
    project.run("dvc", "add", "--quiet", "data/many")
    project.run("git", "commit", "--quiet", "--no-verify", "--message", "Many files")
    return count(project.path / ".dvc/cache/files")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_push_that_was_stopped_is_finished_by_the_next(
    work: BakedProject, number: signal.Signals
) -> None:
    objects = with_many_files(work)
    before = count(remote(work))
    run = start(work, "dvc", "push", "--jobs", "1")
    wait_for(lambda: count(remote(work)) > before + 5)
    stop(run, number)
    assert count(remote(work)) < objects
    assert wrong(work) == ["pushed"]
    follow(work, "pushed")
    clone = work.clone(work.path.parent / "clone")
    clone.run("dvc", "pull")
    assert_verified(clone, work)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_pull_that_was_stopped_is_finished_by_the_next(
    work: BakedProject, number: signal.Signals
) -> None:
    objects = with_many_files(work)
    work.run("dvc", "push")
    clone = work.clone(work.path.parent / "clone")
    run = start(clone, "dvc", "pull", "--jobs", "1")
    wait_for(lambda: count(clone.path / ".dvc/cache") > 5)
    stop(run, number)
    assert count(clone.path / ".dvc/cache/files") < objects
    assert "files" in wrong(clone)
    follow(clone, "files")
    assert_verified(clone, work)


def test_of_two_runs_at_once_the_second_names_the_first_and_changes_nothing(
    work: BakedProject, small: BakedProject
) -> None:
    first = start_training(work)
    second = work.run("dvc", "repro", check=False)
    assert second.returncode != 0
    assert f"(PID {first.pid})" in second.stdout
    assert first.wait(120) == 0
    assert_verified(work, small)


# A full disk


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount a small disk at the folder; returns a function that frees space."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk (tmpfs) may not be mounted here: it takes root")

    def grow(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_disk_full_in_a_stage_is_made_good_by_the_next_run(
    work: BakedProject, small: BakedProject
) -> None:
    shutil.rmtree(work.path / "data/features")
    (work.path / "data/features").mkdir()
    with small_disk(work.path / "data/features", "40k") as grow:
        run = ("dvc", "repro", "--force", "--single-item", "featurize")
        done = work.run(*run, check=False)
        assert done.returncode != 0
        assert "No space left on device" in done.stdout
        grow("100m")
        work.run("dvc", "repro")
        assert_verified(work, small)


def test_a_disk_full_while_caching_is_made_good_by_the_next_run(
    work: BakedProject, small: BakedProject
) -> None:
    shutil.rmtree(work.path / ".dvc/cache")
    (work.path / ".dvc/cache").mkdir()
    with small_disk(work.path / ".dvc/cache", "200k") as grow:
        done = work.run("dvc", "repro", "--force", check=False)
        assert done.returncode != 0
        assert "No space left on device" in done.stdout
        grow("100m")
        work.run("dvc", "repro")
        assert_verified(work, small)
        work.run("dvc", "push")


# Corrupted and missing bytes


def test_a_flipped_byte_in_the_cache_is_found_and_fetched_anew(
    work: BakedProject, small: BakedProject
) -> None:
    flip_a_byte(stored(work.path / ".dvc/cache", md5_of(work, "data/train.parquet")))
    assert "up to date" in work.run("dvc", "status").stdout  # DVC trusts size and time
    assert wrong(work) == ["cache"]
    follow(work, "cache")
    assert_verified(work, small)


def test_a_flipped_byte_in_a_table_is_found_and_put_right(
    work: BakedProject, small: BakedProject
) -> None:
    work.run("dvc", "status")
    flip_a_byte(work.path / "data/train.parquet")
    assert "up to date" in work.run("dvc", "status").stdout
    assert "files" in wrong(work)
    follow(work, "files")
    assert_verified(work, small)


def test_a_flipped_byte_in_the_remote_is_not_pulled_as_good(
    work: BakedProject, small: BakedProject
) -> None:
    md5 = md5_of(work, "data/train.parquet")
    flip_a_byte(stored(remote(work), md5))
    clone = work.clone(work.path.parent / "clone")
    assert clone.run("dvc", "pull", check=False).returncode != 0
    assert not clone.has_file("data/train.parquet")
    stored(remote(work), md5).rename(work.path.parent / "bad")
    line = recipe(work, "A file in the remote is corrupted")
    work.run("sh", "-c", line.replace("PATH", "data/train.parquet"))  # where it is still good
    clone.run("dvc", "pull")
    assert_verified(clone, small)


@pytest.mark.parametrize("path", ["data/raw.parquet", "data/source/2013-03.parquet"])
def test_an_object_missing_in_the_remote_is_pushed_again_by_who_has_it(
    work: BakedProject, small: BakedProject, path: str
) -> None:
    stored(remote(work), md5_of(work, path)).unlink()
    clone = work.clone(work.path.parent / "clone")
    assert clone.run("dvc", "pull", check=False).returncode != 0
    assert wrong(work) == ["pushed"]
    follow(work, "pushed")
    clone.run("dvc", "pull")
    assert_verified(clone, small)


def test_an_object_that_nobody_has_is_made_again(work: BakedProject, small: BakedProject) -> None:
    stored(remote(work), md5_of(work, "data/valid.parquet")).unlink()
    clone = work.clone(work.path.parent / "clone")
    assert clone.run("dvc", "pull", check=False).returncode != 0
    clone.run("sh", "-c", recipe(clone, "A file that no checkout has"))
    assert_verified(clone, small)


# Conflicts


def test_a_conflict_in_the_lock_is_solved_by_running_again(
    work: BakedProject, small: BakedProject
) -> None:
    def change(old: str, new: str) -> None:
        params = work.path / "params.yaml"
        text = params.read_text(encoding="utf-8")
        assert text.count(old) == 1
        params.write_text(text.replace(old, new), encoding="utf-8")
        work.run("dvc", "repro")
        work.run("git", "commit", "--quiet", "--no-verify", "--all", "--message", new)

    work.run("git", "checkout", "--quiet", "-b", "theirs")
    change("coverage: 0.9 ", "coverage: 0.8 ")
    work.run("git", "checkout", "--quiet", "main")
    change("samples: 1000 ", "samples: 200 ")
    merge = work.run("git", "merge", "--no-edit", "theirs", check=False).stdout
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merge
    assert work.run("dvc", "repro", check=False).returncode != 0
    assert "lock" in wrong(work)
    line = recipe(work, "Conflict in dvc.lock")
    work.run("sh", "-c", line, GIT_EDITOR="true")
    assert wrong(work) == ["pushed"]
    work.run("dvc", "push")
    work.run("git", "checkout", "--quiet", small.run("git", "rev-parse", "HEAD").stdout.strip())
    work.run("dvc", "checkout")
    assert_verified(work, small)
