"""Start servers, and measure their start-up time, memory and processor time."""

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

START_TIMEOUT = 120.0


@dataclass
class Running:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float  # from the start to the first answer

    def megabytes(self) -> float:
        """Memory of all its processes; shared memory is counted once."""
        return sum(held(pid) for pid in family(self.process.pid))

    def processor(self) -> float:
        """Processor seconds of its processes so far."""
        return sum(processor(pid) for pid in family(self.process.pid))


def free_port() -> int:
    """An unused port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and its descendants; none if it has ended."""
    if not Path(f"/proc/{pid}").exists():
        return []
    return [pid, *(descendant for child in children(pid) for descendant in family(child))]


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def held(pid: int, by: str = "smaps_rollup", name: str = "Pss:") -> float:
    """Megabytes of memory (by default the proportional set size); 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/{by}").read_text().splitlines()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in lines if line.startswith(name)]
    return int(kilobytes[0]) / 1024 if kilobytes else 0.0


def processor(pid: int) -> float:
    """Processor seconds of a process, over all its threads."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def ask(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
    """The answer of a server; None if there is none, or not yet."""
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
    log: Path,
    port: int,
    request: tuple[str, bytes, Mapping[str, str]],
    environment: Mapping[str, str],
    max_cores: int | None = None,
) -> Iterator[Running]:
    """Run a server on at most `max_cores` cores, from its first answer to the request."""
    inherited = {name: value for name, value in os.environ.items() if name not in DROPPED}
    allowed = cores()[:max_cores]
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=folder,
            env=inherited | CLEAN | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
    try:
        while ask(port, *request) is None:
            if process.poll() is not None or time.perf_counter() - start > START_TIMEOUT:
                sys.exit(f"{command} does not answer:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        yield Running(process, port, time.perf_counter() - start)
    finally:
        processes = family(process.pid)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            for pid in processes:
                os.kill(pid, 9)
            process.wait()
