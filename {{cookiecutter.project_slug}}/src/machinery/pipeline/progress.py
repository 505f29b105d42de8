"""progress: shows what is going on at a terminal, and nothing elsewhere."""

import os
import sys
from collections.abc import Iterable, Iterator
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


def track(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """The items, with a progress bar on standard error when that is a terminal."""
    if not watched():
        return items
    from rich.progress import track as bar

    return bar(items, description=what, total=total, console=_console(), transient=True)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Count the seconds of the work within on standard error, when that is a terminal.

    Progress bars of `track` stand below that line.
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
