"""Run the service of a reproduced project in its own processes, and send requests to it."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from conftest import BakedProject

KEY = "a-key-for-the-tests-only"
PATIENCE = 60.0  # seconds, enough for a busy machine


class Server:
    """A running service: its port, its output, and requests to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], output: Path, port: int | None = None
    ) -> None:
        self.process, self.output = process, output
        self.port = port or int(self.printed(r"running on http://[\d.]+:(\d+)")[0])

    def printed(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until the output contains the pattern `times` times."""
        matches = until(lambda: len(self._find(pattern)) >= times and self._find(pattern))
        return [str(match) for match in matches]

    def _find(self, pattern: str) -> list[str]:
        if self.process.poll() not in (None, 0):
            pytest.fail(self.output.read_text())
        return re.findall(pattern, self.output.read_text())

    def workers(self, times: int) -> list[int]:
        """The ids of the worker processes, once `times` have been started."""
        return [int(pid) for pid in self.printed(r"Started server process \[(\d+)\]", times)]

    def ask(self, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
        """Send a request on a new connection; return status and document (or text)."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kind = answer.getheader("content-type", "")
        return answer.status, json.loads(content) if "json" in kind else content.decode()

    def stop(self) -> int:
        """Stop the service and wait for its end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def until(condition: Any) -> Any:
    """Wait until the condition is true, or fail after a timeout."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    return pytest.fail("timed out")


@contextmanager
def serving(
    project: BakedProject,
    workers: int = 1,
    *,
    opened: bool = True,
    by: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Server]:
    """Run the service of a project on a free port, wrapped `by` a command, until `opened`."""
    slug = project.path.name
    variables = {"API_KEYS": KEY, "POLL_SECONDS": "0.1"}
    variables |= {name.upper(): str(value) for name, value in settings.items()}
    variables = {f"{slug.upper()}_{name}": value for name, value in variables.items()}
    output = project.path.parent / f"serve-{time.monotonic_ns()}.log"
    command = [*by, slug.replace("_", "-"), "serve", "--port", "0", "--workers", str(workers)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=project.path,
            env=project.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Server(process, output, None if opened else -1)
        if opened:
            server.printed(r"Application startup complete", workers)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def for_serving(project: BakedProject, folder: Path) -> BakedProject:
    """Copy the files and the code of a reproduced project that the service needs."""
    copy = folder / project.path.name
    copy.mkdir()
    for name in ("contract.yaml", "metrics.json", "models", "reports", "src"):
        source = project.path / name
        how = shutil.copytree if source.is_dir() else shutil.copy
        how(source, copy / name)
    return BakedProject(copy, project.environment | {"PYTHONPATH": str(copy / "src")})
