"""_measure: commands in; their wall clock, processor time and peak memory out."""

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

# Nobody is called home to, nothing is left uncompiled, and all have one thread a library.
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
    """Run a command to its end; if it fails, show what it said and stop the benchmark.

    What it leaves running counts, but for the wall clock, and has ended when this returns.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = _children()
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
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} in {folder} failed:\n{said}")
    usages = [usage, *_orphans(others)]
    kilobytes = max(each.ru_maxrss for each in usages) / (1024 if sys.platform == "darwin" else 1)
    return Run(wall, sum(each.ru_utime + each.ru_stime for each in usages), kilobytes / 1e6)


def _children() -> set[int]:
    """The processes whose parent is this one; none where there is no /proc."""
    found = Path("/proc/self/task").glob("*/children")
    return {int(pid) for each in found for pid in each.read_text().split()}


def _orphans(others: set[int]) -> Iterator[resource.struct_rusage]:
    """What the processes used that a command has left behind, each when it has ended."""
    while left := _children() - others:
        yield os.wait4(left.pop(), 0)[2]


def alternate(work: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """Do all in turn, so many times (A B A B, not A A B B): what drifts meets them alike."""
    runs: dict[str, list[Run]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, each in work.items():
            runs[name].append(each())
    return runs


def ratio(a: list[Run], b: list[Run], figure: str = "wall") -> float:
    """The median of a / b over the rounds."""
    pairs = zip(a, b, strict=True)
    return float(median(getattr(one, figure) / getattr(other, figure) for one, other in pairs))


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> None:
    """Print a table; numbers with two decimals, to the right."""
    texts = [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    print(f"\n{title}")
    for line in [header, *texts]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]), flush=True)


def medians(name: str, runs: list[Run]) -> list[str | float]:
    """A line of a table: wall clock, processor time, memory."""
    return [name, *(median(column) for column in zip(*runs, strict=True))]
