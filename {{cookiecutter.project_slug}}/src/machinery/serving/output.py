"""output: lines of the service's own log in; standard output, where it takes them, out.

They go to a pipe or a file that may be gone or full. Then they are lost, which is told on standard
error now and then: no request, model or outcome is lost with them.
"""

import os
import sys
import time
from contextlib import suppress

TELL_EVERY = 60.0  # seconds


class Output:
    """Standard output, as logging and structlog write to it."""

    def __init__(self) -> None:
        self._told = -TELL_EVERY

    def write(self, lines: bytes | str) -> None:
        """Write whole lines at once; nothing is kept back."""
        data = lines.encode(errors="replace") if isinstance(lines, str) else lines
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError as error:
            self._tell(error)

    def flush(self) -> None:
        """Nothing is kept back."""

    def _tell(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            with suppress(OSError):
                print(f"Lines of the log are lost: {error}", file=sys.stderr, flush=True)


OUTPUT = Output()
