"""Run work on the workers of a Dask cluster.

Before any work each worker is compared with this process: code, Python, packages, environment and
the files to read. A worker then returns exactly what this process would have computed.
"""

import logging
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import call
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import dask
from cloudpickle import dumps, loads
from distributed import Client, KilledWorker, get_worker

from machinery.pipeline.files import UserError, first_line

from .fingerprint import REQUIRED, Fingerprint, difference, fingerprint, loaded, of_files

ADDRESS = re.compile(r"(tcp|tls)://([^:/]+|\[[0-9a-f:]+\]):\d{1,5}/?")
SECONDS = 10  # until a scheduler has answered, and a worker has come
RESTART_SECONDS = 60
AHEAD = 2  # items a thread that are sent before the first result is taken
START = "python -m machinery.scale"


@contextmanager
def connected(package: str, address: str, setting: str) -> Iterator["Cluster"]:
    """The cluster at the address, the value of a setting.

    Raises:
        UserError: when the address is wrong, no scheduler answers, or a worker differs.
    """
    if not ADDRESS.fullmatch(address):
        value = f"{setting} is {address!r}" if address else f"{setting} is not set"
        raise UserError(f"{value}; set it to the scheduler's address, tcp://HOST:8786")
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # important errors are raised
    quiet = {"distributed.admin.large-graph-warning-threshold": "1 PB"}
    with dask.config.set(quiet), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Mismatched versions")  # Cluster reports them
        try:
            client = Client(address, timeout=SECONDS, direct_to_workers=True)  # type: ignore
        except (OSError, ValueError, OverflowError) as error:
            fault = f"where no Dask scheduler answers ({first_line(error)})"
            remedy = "start one there, or correct the address"
            raise UserError(f"{setting} is {address}, {fault}; {remedy}") from None
        try:
            yield Cluster(client, package)
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.close(timeout=1)  # type: ignore


class Cluster:
    """Maps a function over items on the workers of a scheduler, as `compute.ParallelMap` says."""

    def __init__(self, client: Any, package: str) -> None:
        """Compare every worker with this process; restart those that imported older code."""
        self._client, self._package = client, package
        self._address = address = client.scheduler.address
        self._local = fingerprint(package) | REQUIRED
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            raise UserError(f"{address} has no worker; run '{START} {address}'") from None
        packages = self._safely(client.get_versions)["scheduler"]["packages"]
        if (actual := packages["distributed"]) != (expected := self._local["distributed"]):
            raise UserError(f"scheduler {address} has distributed {actual}, not {expected}")
        workers = self._ask(fingerprint, package)
        _require_same(self._local, workers)
        imported = self._ask(loaded, package)
        if stale := [name for name, value in imported.items() if value != self._local]:
            try:
                client.restart_workers(stale, timeout=RESTART_SECONDS)
            except Exception as error:
                fault = f"imported older code and cannot be restarted ({first_line(error)})"
                raise UserError(f"worker {stale[0]} {fault}; start it again") from None
        link = f"dashboard: {client.dashboard_link}"
        print(f"{len(workers)} workers at {address}; {link}", file=sys.stderr)

    def __call__(
        self,
        function: Callable[[Any, Any], Any],
        shared: Any,
        items: Iterable[Any],
        *,
        threads: int = 0,
        reads: Iterable[Path] = (),
    ) -> Iterator[Any]:
        """Send `shared` once, and items as results are taken; yield the results in order."""
        if paths := list(reads):
            _require_same(of_files(paths), self._ask(of_files, paths))
        work = Work(function, shared, self._package, self._local)
        # A task, not scattered data: if the worker that holds it dies, another one recomputes it.
        task = self._submit(f"share {function.__name__}", loads, dumps(work))
        pending: deque[Any] = deque()
        limit = AHEAD * sum(self._safely(self._client.nthreads).values())
        for item in items:
            pending.append(self._submit(function.__name__, call, task, dumps(item)))
            if len(pending) >= limit:
                yield self._result(pending.popleft())
        while pending:
            yield self._result(pending.popleft())

    def _submit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Submit a task; the scheduler lacks our code, so that it must get pickled bytes."""
        key = f"{name.strip('_')}-{uuid4().hex}"
        return self._safely(self._client.submit, function, *arguments, key=key, pure=False)

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except KilledWorker as error:
            name, last = str(error.task).partition("-")[0], error.last_worker.address
            raise UserError(
                f"every worker that ran {name} died, the last was {last}; most likely the "
                "--memory-limit of the workers is too low for it"
            ) from None
        except Exception as error:
            if future.status == "error":  # the function's own
                raise
            raise self._lost(error) from None

    def _safely(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Exception as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> UserError:
        return UserError(
            f"lost the scheduler {self._address} ({first_line(error)}); start it and its workers "
            "again, then run the same command: finished stages are not run again"
        )

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Mapping[str, Any]:
        """What each worker answers; one that cannot import our code is refused."""
        answers = self._safely(self._client.run, function, *arguments, on_error="return")
        for name, answer in answers.items():
            if isinstance(answer, Exception):
                fault = f"worker {name} cannot run this project's code ({first_line(answer)})"
                raise UserError(f"{fault}; start it by '{START}' in a checkout of the project")
        return dict(answers)


def _require_same(local: Fingerprint, workers: Mapping[str, Fingerprint]) -> None:
    for name, worker in workers.items():
        if clause := difference(local, worker):
            raise UserError(f"worker {name} {clause}; make it the same, and start it again")


class Work(NamedTuple):
    """What a worker does with each item."""

    function: Callable[..., Any]
    shared: Any
    package: str
    expected: Fingerprint  # of all workers when they were checked

    def __call__(self, item: bytes) -> Any:
        """Call the function."""
        if loaded(self.package) != self.expected:
            raise UserError(f"worker {get_worker().address} has other code; start it again")
        return self.function(self.shared, loads(item))
