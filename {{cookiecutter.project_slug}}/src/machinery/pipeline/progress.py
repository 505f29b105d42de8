"""Show progress on standard error when it is a terminal, and nothing elsewhere."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; call the yielded function with the number of items done."""
    from rich.progress import Progress

    with Progress(console=_console(), transient=True, disable=_is_quiet()) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done, refresh=True)


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield the items and show how many are done."""
    with bar(label, total) as advance:
        for done, item in enumerate(items, start=1):
            yield item
            advance(done)


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """Show the elapsed time of the work inside; progress bars appear below it."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=_console(), transient=True, disable=_is_quiet()) as progress:
        progress.add_task(label, total=None)
        yield


def _is_quiet() -> bool:
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return in_ci or not sys.stderr.isatty()


@cache
def _console() -> "Console":
    """One console for all: bars on two consoles would overwrite each other."""
    from rich.console import Console

    return Console(stderr=True)
