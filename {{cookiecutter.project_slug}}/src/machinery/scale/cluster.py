"""cluster: the address of a Dask scheduler in; what spreads work over its workers out.

Before any work each worker is held against this process: code, Python, packages, environment and
the files that are to be read. What a worker returns is then what this process would have made.
"""

import logging
import re
import socket
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

from . import standing
from .standing import WANTED, Standing

ADDRESS = re.compile(r"(tcp|tls)://(?P<host>[^:/]+|\[[0-9a-f:]+\]):(?P<port>\d+)/?")
SECONDS = 10  # until a scheduler has answered, and a worker has come
RESTART_SECONDS = 60
AHEAD = 2  # items a thread that are sent before the first result is taken
START = "python -m machinery.scale"


@contextmanager
def connected(package: str, address: str, setting: str) -> Iterator["Cluster"]:
    """The cluster at the address, the value of a setting; UserError where that is wrong."""
    _refuse_silent(address, setting)
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised
    quiet = {"distributed.admin.large-graph-warning-threshold": "1 PB"}
    with dask.config.set(quiet), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Mismatched versions")  # we make a sentence of it
        try:
            client = Client(address, timeout=SECONDS, direct_to_workers=True)  # type: ignore
        except (OSError, ValueError) as error:
            raise _silent(address, setting, error) from None
        try:
            yield Cluster(client, package)
        finally:
            with suppress(Exception):  # of a scheduler that is gone
                client.close(timeout=1)  # type: ignore


def _refuse_silent(address: str, setting: str) -> None:
    """Refuse at once an address where nothing listens; Dask would try again for a while."""
    found = ADDRESS.fullmatch(address)
    if not found:
        given = f"{setting} is {address!r}" if address else f"{setting} is not set"
        raise UserError(f"{given}; set it to the scheduler's address, tcp://HOST:8786")
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _silent(address, setting, error) from None


def _silent(address: str, setting: str, error: Exception) -> UserError:
    why = f"where no Dask scheduler answers ({first_line(error)})"
    return UserError(f"{setting} is {address}, {why}; start one there, or correct the address")


class Cluster:
    """Spreads work over the workers of a scheduler, as `compute.ParallelMap` says."""

    def __init__(self, client: Any, package: str) -> None:
        """Hold every worker against this process; one that began with older code is restarted."""
        self._client, self._package = client, package
        self._address = client.scheduler.address
        self._ours = standing.standing(package) | WANTED
        self._refuse_none()
        versions = self._safely(client.get_versions)["scheduler"]["packages"]
        if (there := versions["distributed"]) != (here := self._ours["distributed"]):
            raise UserError(f"scheduler {self._address} has distributed {there}, not {here}")
        told = self._ask(standing.standing, package)
        self._refuse(self._ours, told)
        began = self._ask(standing.loaded, package)
        if old := [name for name, each in began.items() if each != self._ours]:
            try:
                client.restart_workers(old, timeout=RESTART_SECONDS)
            except Exception as error:
                why = f"began with older code and cannot be restarted ({first_line(error)})"
                raise UserError(f"worker {old[0]} {why}; start it again") from None
        link = f"dashboard: {client.dashboard_link}"
        print(f"{len(told)} workers at {self._address}; {link}", file=sys.stderr)

    def __call__(
        self,
        function: Callable[[Any, Any], Any],
        shared: Any,
        items: Iterable[Any],
        *,
        threads: int = 0,
        reads: Iterable[Path] = (),
    ) -> Iterator[Any]:
        """Send what is shared once, and items as they are worked off; results in their order."""
        if paths := list(reads):
            self._refuse(standing.seen(paths), self._ask(standing.seen, paths))
        work = Work(function, shared, self._package, self._ours)
        # By a task, not scattered: where the worker that holds it dies, another one makes it again.
        held = self._submit(f"share {function.__name__}", loads, dumps(work))
        waiting: deque[Any] = deque()
        most = AHEAD * sum(self._safely(self._client.nthreads).values())
        for item in items:
            waiting.append(self._submit(function.__name__, call, held, dumps(item)))
            if len(waiting) >= most:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _submit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """A task of what the scheduler can import, too, which has none of our code."""
        key = f"{name.strip('_')}-{uuid4().hex}"
        return self._safely(self._client.submit, function, *arguments, key=key, pure=False)

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except KilledWorker as error:
            name, last = str(error.task).partition("-")[0], error.last_worker.address
            raise UserError(
                f"every worker that took {name} died of it, the last was {last}; most likely "
                "the --memory-limit of workers is too low for it"
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
            f"the scheduler {self._address} is lost ({first_line(error)}); start it and its "
            "workers again, then run the same command: stages that were done are not run again"
        )

    def _refuse_none(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            why = f"{self._address} has no worker; run '{START} {self._address}'"
            raise UserError(why) from None

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Mapping[str, Any]:
        """What each worker answers; one that cannot import our code is refused."""
        told = self._safely(self._client.run, function, *arguments, on_error="return")
        for name, each in told.items():
            if isinstance(each, Exception):
                why = f"worker {name} cannot run this project's code ({first_line(each)})"
                raise UserError(f"{why}; start it by '{START}' in a checkout of the project")
        return dict(told)

    def _refuse(self, ours: Standing, told: Mapping[str, Standing]) -> None:
        for name, theirs in told.items():
            if clause := standing.differs(ours, theirs):
                raise UserError(f"worker {name} {clause}; bring it to the same, and start it again")


class Work(NamedTuple):
    """What a worker does with each item."""

    function: Callable[..., Any]
    shared: Any
    package: str
    wanted: Standing  # which all workers had when they were checked

    def __call__(self, item: bytes) -> Any:
        """Call the function."""
        if standing.loaded(self.package) != self.wanted:
            raise UserError(f"worker {get_worker().address} came with other code; start it again")
        return self.function(self.shared, loads(item))
