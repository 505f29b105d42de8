"""progress: rows done in; at a terminal a bar with rows a second and the time left out."""

import time
from types import TracebackType
from typing import Any, Self

from machinery.pipeline.progress import watched


class Progress:
    """A bar over the whole input; `rate` is in rows a second, None before the first."""

    def __init__(self, what: str, size: int, in_bytes: bool) -> None:
        """`size` is the number of rows, or of bytes where rows are not known beforehand."""
        self._what, self._size, self._in_bytes = what, size, in_bytes
        self._rows, self._start = 0, time.perf_counter()
        self._bar: Any = None

    def begin(self, rows: int) -> None:
        """Start to count, after so many rows of an earlier run."""
        self._start = time.perf_counter()
        if self._bar is not None and not self._in_bytes:
            self._bar.update(self._task, completed=rows)

    def advance(self, rows: int, done: int) -> None:
        """So many rows more; `done` is how far this is in the whole."""
        self._rows += rows
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=f"{self.rate or 0:,.0f} rows/s")

    def say(self, what: str) -> None:
        """What is done now."""
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    @property
    def rate(self) -> float | None:
        """Rows a second since the start of this run."""
        return round(self._rows / (time.perf_counter() - self._start)) if self._rows else None

    def __enter__(self) -> Self:
        if watched():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
            share = TextColumn("{task.percentage:3.0f} %")
            columns = (text[0], BarColumn(), share, text[1], TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._what, total=self._size, rate="")
            self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: Any, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
