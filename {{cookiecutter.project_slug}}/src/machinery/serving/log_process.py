"""log_process: a journal in; the process that makes files of it, started, woken and ended, out.

It is a process of its own lest requests wait for it: in a thread, it would hold Python's lock. It
lives as long as its standard input: when the service ends, however it ends, it writes what is left,
and ends, too. It imports Arrow when there is something to write; the service never does.
"""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from machinery.pipeline.files import first_line

LOGGER = logging.getLogger(__name__)
RESPITE = 5.0  # seconds between the starts of writers that do not live
JOURNALS = ".*.journal"
THRIFT = {  # else it would keep memory that it needs once in a while
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}


class LogProcess:
    """The writer of one journal, from the side of the service."""

    def __init__(self, folder: Path, token: str, seconds: float) -> None:
        """Start it; it looks at what the journal holds after so many seconds, or when woken."""
        words = [folder.absolute(), token, seconds]
        self._command = [sys.executable, "-P", "-m", __name__, *map(str, words)]
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -RESPITE
        self.failures = 0
        self.look()

    def look(self) -> None:
        """Start it again if it has died, which costs no row: they stand in the journal."""
        if self._process is not None and self._process.poll() is None:
            return
        if time.monotonic() - self._started < RESPITE:
            return
        if self._process is not None:
            self._fail(f"the writer ended ({self._process.returncode})")
            self._hang_up()
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(
                self._command,
                env={**THRIFT, **os.environ},
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._fail(f"no writer can be started: {first_line(error)}")
        else:
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)

    def wake(self) -> None:
        """Have it look at once; one that is dead, or has not looked for long, will do so anyway."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                os.write(self._process.stdin.fileno(), b".")

    def close(self, timeout: float) -> None:
        """Have it write what is left; it may take longer than one waits for it."""
        if self._process is None:
            return
        self._hang_up()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            LOGGER.warning("prediction log: rows are still being written")

    def _fail(self, what: str) -> None:
        self.failures += 1
        LOGGER.error("prediction log: %s", what)

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def main(folder: Path, token: str, seconds: float) -> None:
    """Write what the journal holds until the service ends; at first, what dead ones have left."""
    for each in (signal.SIGINT, signal.SIGTERM):  # it ends after the service, not with it
        signal.signal(each, signal.SIG_IGN)
    work: Callable[..., None] | None = None
    woken, ended = False, False
    while not ended:
        if work is None and any(folder.glob(JOURNALS)):
            work = _begin(folder, token)
        if work is not None:
            work(growing=not woken)
        woken = bool(select.select([0], [], [], seconds)[0])
        ended = woken and not os.read(0, 65_536)
    if work is not None or any(folder.glob(JOURNALS)):
        (work or _begin(folder, token))(ended=True)


def _begin(folder: Path, token: str) -> Callable[..., None]:
    """What writes the journal, and counts; what dead processes have left is written."""
    from prometheus_client import CollectorRegistry

    from .log_writer import Writer
    from .telemetry import log_counters, set_up_logs

    set_up_logs()
    writer, counted = Writer(folder), Counter[str]()
    counters = {}
    with suppress(OSError):  # the service has ended, and nobody asks for its metrics any more
        counters = log_counters(CollectorRegistry())

    def count() -> None:
        for name, counter in counters.items():
            counter.inc(writer.done[name] - counted[name])
            counted[name] = writer.done[name]

    def work(**how: bool) -> None:
        writer.write(token, **how)
        count()

    writer.recover()
    count()
    return work


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
