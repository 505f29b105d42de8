"""access_log: requests answered in; a JSON line of each, as structlog writes them, out.

A line by structlog and a write of its own are a tenth of what a request takes. So these lines are
made by msgspec, and those of one turn of the event loop are written together.
"""

import asyncio
from datetime import UTC, datetime

import msgspec

from .output import OUTPUT


class Line(msgspec.Struct):
    """What is told of a request."""

    request_id: str
    path: str
    status: int
    milliseconds: float
    timestamp: datetime
    event: str = "request"
    level: str = "info"


class AccessLog:
    """The lines of one worker; they go to standard output."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def add(self, request_id: str, path: str, status: int, seconds: float) -> None:
        """Tell of a request, when the loop has done what it is at."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        line = Line(request_id, path, status, round(seconds * 1000, 3), datetime.now(UTC))
        self._lines.append(self._encode(line))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        OUTPUT.write(b"\n".join(lines) + b"\n")
