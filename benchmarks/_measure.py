"""Measure wall clock, processor time and peak memory of commands."""

import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

# No telemetry, compiled modules, and one thread per library.
CLEAN = {
    "CI": "true",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "HAMILTON_AUTOLOAD_EXTENSIONS": "0",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


DROPPED = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV"}
PR_SET_CHILD_SUBREAPER = 36  # Linux: orphans become children of this process


class Run(NamedTuple):
    """Wall clock and processor time in seconds, and the largest process in gigabytes."""

    wall: float
    processor: float
    memory: float


def run(command: Sequence[object], folder: Path, **environment: object) -> Run:
    """Run a command; if it fails, show its output and stop the benchmark.

    Processes that it leaves running are waited for, and count except for the wall clock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    earlier = _children()
    inherited = {name: value for name, value in os.environ.items() if name not in DROPPED}
    start = time.perf_counter()
    child = subprocess.Popen(
        [*map(str, command)],
        cwd=folder,
        env=inherited | CLEAN | {name: str(value) for name, value in environment.items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} in {folder} failed:\n{output}")
    usages = [usage, *_orphans(earlier)]
    kilobytes = max(one.ru_maxrss for one in usages) / (1024 if sys.platform == "darwin" else 1)
    return Run(wall, sum(one.ru_utime + one.ru_stime for one in usages), kilobytes / 1e6)


def _children() -> set[int]:
    """The child processes of this one; none without /proc."""
    paths = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in paths for pid in path.read_text().split()}


def _orphans(earlier: set[int]) -> Iterator[resource.struct_rusage]:
    """Wait for the processes that a command has left running, and return their resource usage."""
    while left := _children() - earlier:
        yield os.wait4(left.pop(), 0)[2]


def alternate(work: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """Run all in turn, `repeats` times (A B A B, not A A B B), so that drift affects all alike."""
    runs: dict[str, list[Run]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, measure in work.items():
            runs[name].append(measure())
    return runs


def ratio(a: list[Run], b: list[Run], figure: str = "wall") -> float:
    """The median of a / b over the rounds."""
    pairs = zip(a, b, strict=True)
    return float(median(getattr(one, figure) / getattr(other, figure) for one, other in pairs))


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> None:
    """Print a table, with numbers right-aligned and rounded to two decimals."""
    texts = [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    print(f"\n{title}")
    for line in [header, *texts]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]), flush=True)


def medians(name: str, runs: list[Run]) -> list[str | float]:
    """A row of a table: wall clock, processor time, memory."""
    return [name, *(median(column) for column in zip(*runs, strict=True))]
