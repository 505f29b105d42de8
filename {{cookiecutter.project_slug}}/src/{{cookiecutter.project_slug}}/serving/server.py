"""server: settings in; workers that answer on one socket, until they are told to stop, out.

Workers are forks of a parent that has imported everything and opened nothing: they start in a
moment, share its memory, and one that dies is replaced while the others go on answering.
"""

import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from math import ceil
from typing import Any

import structlog
import uvicorn

from ..files import UserError
from .settings import METRICS_FOLDER, Settings

BACKLOG = 2048
OPEN_FILES = 65_536
KEEP_ALIVE = 30  # seconds that a connection may be idle
RESPITE = 1.0  # seconds between starts of workers that do not live
SIGNALS = {signal.SIGINT, signal.SIGTERM}


def serve(settings: Settings) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Raises:
        UserError: when the address is taken, or there is no model.
    """
    listening = _listen(settings)
    _raise_limit_of_open_files()
    os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="metrics-")  # of all workers together
    preload()
    host, port = listening.getsockname()[:2]
    log = structlog.get_logger()
    log.info("listening", host=host, port=port, workers=settings.workers, pid=os.getpid())
    if settings.demo and not settings.api_keys:
        log.warning("demo", reason="anybody who reaches this address is answered: no API key")
    try:
        if settings.workers == 1:
            work(settings, listening)
        else:
            Workers(settings, listening).run()
    finally:
        shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)
    log.info("stopped")


def work(settings: Settings, listening: socket.socket) -> None:
    """Answer requests in this process."""
    from .app import make  # not before the folder of the metrics is known
    from .connection import connection

    for each in SIGNALS:  # uvicorn raises them once more when it is done
        signal.signal(each, lambda *_: None)
    gate = make(settings)
    config = uvicorn.Config(
        gate,
        http=connection(gate, settings.timeout_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=ceil(settings.grace_seconds),
    )
    uvicorn.Server(config).run([listening])


class Workers:
    """The worker processes; `run` ends when all have."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        self._lifeline = os.pipe()  # closed by the parent's death, whatever its cause
        self._born: dict[int, float] = {}
        self._first: set[int] = set()
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
            self._first.add(self._start())
        while self._born:
            pid, status = os.waitpid(-1, 0)
            self._ended(pid, os.waitstatus_to_exitcode(status))
        signal.alarm(0)
        if self._refused:
            raise SystemExit(UserError.exit_code)  # the worker has said why

    def _start(self) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._live()
        self._born[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return pid

    def _live(self) -> None:
        """Be a worker, and never return."""
        code = 1
        try:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(self._lifeline[1])
            threading.Thread(target=_end_with_parent, args=self._lifeline[:1], daemon=True).start()
            work(self._settings, self._listening)
            code = 0
        except UserError as error:
            print(error, file=sys.stderr)
            code = error.exit_code
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            self._log.exception("worker failed")
        finally:
            sys.stdout.flush()
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
        time.sleep(max(0.0, RESPITE - lived))
        if not self._stopping:
            self._start()

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        signal.alarm(ceil(self._settings.grace_seconds) + 15)
        self._send(signal.SIGTERM)

    def _send(self, what: signal.Signals) -> None:
        for pid in list(self._born):
            os.kill(pid, what)


def preload() -> None:
    """Import what the workers need, once for all of them, and set their logs up."""
    os.environ.setdefault("HAMILTON_AUTOLOAD_EXTENSIONS", "0")
    os.environ.setdefault("HAMILTON_TELEMETRY_ENABLED", "false")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others keep more than they need
    import hamilton.driver  # noqa: F401

    from .. import features  # noqa: F401
    from . import app  # noqa: F401
    from .telemetry import set_up_logs

    set_up_logs()


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
