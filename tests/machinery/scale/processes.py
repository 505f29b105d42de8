"""A project of the shop, and a Dask scheduler and workers for it: processes on 127.0.0.1."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from machinery.pipeline.run import ENVIRONMENT

TESTS = Path(__file__).parents[1]
TEMPLATE = next(TESTS.parents[1].glob("*/params.yaml")).parent
WORKER = (sys.executable, "-m", "machinery.scale")


class Project(NamedTuple):
    """A folder with the shop's code and the machinery."""

    path: Path

    def python(self, code: str, address: str = "", **settings: str) -> "Done":
        """Run code in the environment of the stages: here, or on a cluster."""
        cluster = {"SHOP_COMPUTE": "dask", "SHOP_COMPUTE_ADDRESS": address} if address else {}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.path,
            env=os.environ | ENVIRONMENT | cluster | settings,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


class Done(NamedTuple):
    code: int
    out: str
    err: str


def make(path: Path) -> Project:
    (path / "src").mkdir(parents=True)
    (path / "src/machinery").symlink_to(TEMPLATE / "src/machinery")
    shutil.copytree(TESTS / "shop", path / "src/shop", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE / "params.yaml", path)
    return Project(path)


@contextmanager
def scheduler() -> Iterator[tuple[str, int]]:
    """The address of a scheduler, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    with running([sys.executable, "-m", "dask", "scheduler", *words], Path.cwd()) as process:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"tcp://127.0.0.1:{port}", process.pid


@contextmanager
def workers(
    address: str, folder: Path, *words: str, command: tuple[str, ...] = WORKER, count: int = 1
) -> Iterator[None]:
    """Workers of a scheduler, started in a folder; they end when it ends."""
    options = ["--host", "127.0.0.1", "--nworkers", str(count), "--no-dashboard", *words]
    with running([*command, address, *options, "--death-timeout", "20"], folder):
        yield


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"PYTHONPATH": "src"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
