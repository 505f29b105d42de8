"""_servers: a command in; the server that it starts, when it was ready and what it takes, out."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _load import cores
from _measure import CLEAN, DROPPED

PATIENCE = 120.0


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float  # from its start to its first answer

    def megabytes(self) -> float:
        """What all of its processes hold; what some of them share is counted once."""
        return sum(held(pid) for pid in family(self.process.pid))

    def processor(self) -> float:
        """Seconds of processor time that its processes have taken so far."""
        return sum(processor(pid) for pid in family(self.process.pid))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and its descendants; none when it has ended."""
    if not Path(f"/proc/{pid}").exists():
        return []
    return [pid, *(each for child in children(pid) for each in family(child))]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def held(pid: int, by: str = "smaps_rollup", name: str = "Pss:") -> float:
    """Megabytes of memory; of what others hold, too, a part, unless `by` and `name` say otherwise.

    None when the process has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/{by}").read_text().splitlines()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in lines if line.startswith(name)]
    return int(kilobytes[0]) / 1024 if kilobytes else 0.0


def processor(pid: int) -> float:
    """Seconds of processor time that a process has taken, all its threads together."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def ask(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
    """What a server answers; None when it does not, or not yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {**headers})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return json.loads(text) if answer.status == 200 else None


@contextmanager
def started(
    command: Sequence[object],
    folder: Path,
    said: Path,
    port: int,
    request: tuple[str, bytes, Mapping[str, str]],
    environment: Mapping[str, str],
    most: int | None = None,
) -> Iterator[Running]:
    """Start a server on so many cores at most, wait until it answers the request, end it after."""
    inherited = {name: value for name, value in os.environ.items() if name not in DROPPED}
    theirs = cores()[:most]
    start = time.perf_counter()
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=folder,
            env=inherited | CLEAN | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, theirs),
        )
    try:
        while ask(port, *request) is None:
            if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                sys.exit(f"{command} does not answer:\n{said.read_text()[-3000:]}")
            time.sleep(0.02)
        yield Running(process, port, time.perf_counter() - start)
    finally:
        every = family(process.pid)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            for pid in every:
                os.kill(pid, 9)
            process.wait()
