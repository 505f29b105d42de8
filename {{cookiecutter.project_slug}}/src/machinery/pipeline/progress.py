"""progress: shows what is going on at a terminal, and nothing elsewhere."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


def watched() -> bool:
    """Whether standard error is a terminal, and not that of a CI job."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return sys.stderr.isatty() and not in_ci


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, when that is a terminal: call what is given with what is done."""
    if not watched():
        yield lambda done: None
        return
    from rich.progress import Progress

    with Progress(console=_console(), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done, refresh=True)


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, with a bar of how many are done."""
    with bar(what, total) as advance:
        for done, item in enumerate(items, start=1):
            yield item
            advance(done)


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Count the seconds of the work within on standard error, when that is a terminal.

    Progress bars stand below that line.
    """
    if not watched():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=_console(), transient=True) as line:
        line.add_task(what, total=None)
        yield


@cache
def _console() -> "Console":
    """One for all: lines and bars on two consoles would overwrite each other."""
    from rich.console import Console

    return Console(stderr=True)
