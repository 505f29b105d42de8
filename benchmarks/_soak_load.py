"""Load on a service and faults injected into it, with a record of both."""

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from _servers import children, held

KEY = "a-key-for-the-soak-only"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
WORKERS = 2
PARTS = ("model.onnx", "model.json", "examples.json")


@dataclass
class Answer:
    """An answer to a client: the model, and the last class's probability by row."""

    model: str
    values: list[float]


@dataclass
class Record:
    """What all clients got, and which faults were injected meanwhile."""

    answers: dict[str, Answer] = field(default_factory=dict)
    outcomes: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: dict[str, float] = field(default_factory=dict)  # requests cut off, and when
    kills: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    swaps: int = 0
    bad: int = 0


class Client(threading.Thread):
    """Posts rows, one request after the other, and the outcome of every tenth request."""

    def __init__(
        self,
        port: int,
        name: str,
        record: Record,
        rows: list[Any],
        expected: dict[str, list[float]],
    ) -> None:
        super().__init__(name=name)
        self.port, self.record, self.rows, self.expected = port, record, rows, expected
        self.random, self.stop = random.Random(name), threading.Event()
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def run(self) -> None:
        """Send requests until stopped; a failed one is followed by a new one."""
        number = 0
        while not self.stop.is_set():
            number += 1
            if number % 20 == 0:
                self.connection.close()  # the next connection may reach another worker
            request = f"{self.name}-{number}"
            start = self.random.randrange(len(self.rows) - 8)
            count = self.random.choice([1, 1, 1, 8])
            answer = self._post("/predict", self.rows[start : start + count], request)
            if answer is None:
                continue
            self._keep(request, start, count, answer)
            if number % 10 == 0:
                self._tell(request)
        self.connection.close()

    def _keep(self, request: str, start: int, count: int, answer: Any) -> None:
        model = answer["model_version"]
        values = [prediction["probability"]["true"] for prediction in answer["predictions"]]
        self.record.answers[request] = Answer(model, values)
        expected = self.expected.get(model, [])[start : start + count]
        near = [abs(one - other) < 1e-6 for one, other in zip(values, expected, strict=False)]
        if len(near) != count or not all(near):
            self.record.wrong.append(f"{request} by {model}: {values}, not {expected}")

    def _tell(self, request: str) -> None:
        body = {"request_id": request, "row": 0, "outcome": True}
        if self._post("/feedback", body, f"{request}-outcome") is not None:
            self.record.outcomes.add(request)

    def _post(self, path: str, body: Any, request: str) -> Any:
        try:
            self.connection.request(
                "POST", path, json.dumps(body), HEADERS | {"X-Request-ID": request}
            )
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException):
            self.record.broken[request] = time.time()
            self.connection.close()
            return None
        self.record.statuses[answer.status] += 1
        return json.loads(text) if answer.status == 200 else None


def command_line(pid: int) -> bytes:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class FaultInjector(threading.Thread):
    """Swaps models, installs bad ones, kills a worker, and samples memory."""

    def __init__(self, server: int, folder: Path, models: list[Path], record: Record) -> None:
        super().__init__(name="faults")
        self.server, self.folder, self.models, self.record = server, folder, models, record
        self.stop = threading.Event()

    def run(self) -> None:
        """Inject a fault in most seconds; the worker that was started first is never killed."""
        for second in range(1, 1_000_000):
            if self.stop.wait(1.0):
                return
            for pid in self._workers():
                sizes = self.record.memory.setdefault(pid, [])
                sizes.append((time.time(), held(pid, "status", "VmRSS:")))
            if second % 5 == 0:
                self.install(second // 5 % len(self.models))
            if second % 20 == 16:
                self._spoil()
            if second % 10 == 7:  # every other time, its successor starts with the bad file
                self._kill()

    def _workers(self) -> list[int]:
        """The worker processes, without the child process of multiprocessing itself."""
        return [pid for pid in children(self.server) if b"spawn_main" in command_line(pid)]

    def install(self, model: int) -> None:
        """Install another model, replacing each of its files atomically."""
        for name in PARTS:
            part = self.folder / "models" / f"{name}.part"
            shutil.copy(self.models[model] / name, part)
            part.replace(self.folder / "models" / name)
        self.record.swaps += 1

    def _spoil(self) -> None:
        part = self.folder / "models/model.onnx.part"
        part.write_bytes(b"a bad file")
        part.replace(self.folder / "models/model.onnx")
        self.record.bad += 1

    def _kill(self) -> None:
        workers = self._workers()
        if len(workers) == WORKERS:
            self.record.kills.append(time.time())
            os.kill(workers[-1], signal.SIGKILL)
