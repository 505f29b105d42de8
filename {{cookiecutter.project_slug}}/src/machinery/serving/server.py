"""server: settings in; workers that answer on one socket, until they are told to stop, out.

Workers are forks of a parent that has imported everything and opened nothing: they start in a
moment, share its memory, and one that dies is replaced while the others go on answering.
"""

import gc
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project
from .settings import METRICS_FOLDER, Settings

BACKLOG = 2048
OPEN_FILES = 65_536
KEEP_ALIVE = 30  # seconds that a connection may be idle
RESPITE = 1.0  # seconds between starts of workers that do not live, twice as many each time
LONGEST_RESPITE = 32.0
LIVED = 10.0  # seconds after which a worker has lived
YOUNG = 10_000  # objects, after which the collector looks at new ones
LOOK = 0.1  # seconds between looks while a worker waits to be started
SIGNALS = {signal.SIGINT, signal.SIGTERM}


def serve(project: Project, settings: Settings) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Raises:
        UserError: when the address is taken, or there is no model.
    """
    _end_on_signals()
    listening = _listen(settings)
    _raise_limit_of_open_files()
    with tempfile.TemporaryDirectory(prefix="serve-", ignore_cleanup_errors=True) as name:
        _serve(project, settings, listening, Path(name))


def _serve(project: Project, settings: Settings, listening: socket.socket, shared: Path) -> None:
    """Answer requests; `shared` is the folder of what workers share besides memory."""
    metrics = shared / "metrics"
    metrics.mkdir()
    os.environ[METRICS_FOLDER] = str(metrics)
    preload(project)
    host, port = listening.getsockname()[:2]
    log = structlog.get_logger()
    log.info("listening", host=host, port=port, workers=settings.workers, pid=os.getpid())
    if settings.demo and not settings.api_keys:
        log.warning("demo", reason="anybody who reaches this address is answered: no API key")
    try:
        if settings.workers == 1:
            work(project, settings, listening)
        else:
            Workers(project, settings, listening, shared / "models").run()
    finally:
        log.info("stopped")


def work(
    project: Project, settings: Settings, listening: socket.socket, kept: Path | None = None
) -> None:
    """Answer requests in this process; `kept` is where workers share models that they accepted."""
    from .app import make  # not before the folder of the metrics is known
    from .connection import connection

    gate = make(project, settings, kept)
    config = uvicorn.Config(
        gate,
        http=connection(gate, settings.timeout_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks where a request comes from
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=ceil(settings.grace_seconds),
    )
    server = uvicorn.Server(config)
    _spare_the_collector()
    for each in SIGNALS:  # not before there is a server; it raises them once more when it is done
        signal.signal(each, server.handle_exit)
    server.run([listening])


class Workers:
    """The worker processes; `run` ends when all have."""

    def __init__(
        self, project: Project, settings: Settings, listening: socket.socket, kept: Path
    ) -> None:
        self._project = project
        self._settings, self._listening, self._kept = settings, listening, kept
        self._lifeline = os.pipe()  # closed by the parent's death, whatever its cause
        self._born: dict[int, float] = {}
        self._first: set[int] = set()
        self._due: list[float] = []  # when successors are started
        self._respite = RESPITE
        self._stopping = self._refused = False
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Start the workers, replace those that die, end when told to.

        Raises:
            UserError: when a worker finds no model at the start.
        """
        for each in SIGNALS:
            signal.signal(each, self._stop)
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))
        for _ in range(self._settings.workers):
            self._start()
        self._first = {*self._born}
        while self._born or self._due:
            pid, status = self._wait()
            if pid in self._born:  # else it was a child of a worker that was killed
                self._ended(pid, os.waitstatus_to_exitcode(status))
            self._start_successors()
        signal.alarm(0)
        if self._refused:
            raise SystemExit(UserError.exit_code)  # the worker has said why

    def _wait(self) -> tuple[int, int]:
        """The worker that ended and its status, or zeros when it is time to look at what is due."""
        if not self._due:
            return os.waitpid(-1, 0)
        time.sleep(LOOK)
        return os.waitpid(-1, os.WNOHANG) if self._born else (0, 0)

    def _start_successors(self) -> None:
        now = time.monotonic()
        for _ in [moment for moment in self._due if moment <= now]:
            self._start()
        self._due = [] if self._stopping else [moment for moment in self._due if moment > now]

    def _start(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if not self._stopping:
            pid = os.fork()
            if pid == 0:
                self._live()
            self._born[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _live(self) -> None:
        """Be a worker, and never return."""
        code = 1
        try:
            _end_on_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(self._lifeline[1])
            threading.Thread(target=_end_with_parent, args=self._lifeline[:1], daemon=True).start()
            work(self._project, self._settings, self._listening, self._kept)
            code = 0
        except UserError as error:
            print(error, file=sys.stderr)
            code = error.exit_code
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            self._log.exception("worker failed")
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _ended(self, pid: int, code: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        lived = time.monotonic() - self._born.pop(pid)
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
        if self._stopping:
            return
        if code == UserError.exit_code and pid in self._first:
            self._refused = True
            self._stop()
            return
        self._log.error("worker ended", pid=pid, code=code)
        if lived > LIVED:
            self._respite = RESPITE
        self._due.append(time.monotonic() + max(0.0, self._respite - lived))
        self._respite = min(2 * self._respite, LONGEST_RESPITE)

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        signal.alarm(ceil(self._settings.grace_seconds) + 15)
        self._send(signal.SIGTERM)

    def _send(self, what: signal.Signals) -> None:
        for pid in list(self._born):
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, what)


def _spare_the_collector() -> None:
    """Let it never again look at what is there by now, and more seldom at what requests make.

    Rows are objects by the thousand and hardly ever in cycles, which it is for: it took an eighth
    of the time of large requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def preload(project: Project) -> None:
    """Import what the workers need, once for all of them, and set their logs up."""
    project.features()
    from . import app  # noqa: F401
    from .telemetry import set_up_logs

    set_up_logs()


def _end_on_signals() -> None:
    """End as told at any moment, also while a model is being opened, and clean up."""
    for each in SIGNALS:
        signal.signal(each, _end)


def _end(*_: Any) -> None:
    raise SystemExit(0)


def _listen(settings: Settings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot listen on {where}: {reason}; choose another --port") from None


def _raise_limit_of_open_files() -> None:
    """Each connection is one, and a process has but 1,024 unless it asks for more."""
    low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if high == resource.RLIM_INFINITY else min(OPEN_FILES, high)
    if low != resource.RLIM_INFINITY and low < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, high))


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
