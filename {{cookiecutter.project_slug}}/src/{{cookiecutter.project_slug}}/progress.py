"""progress: an iterable in, the same out; a bar at a terminal, silence elsewhere."""

import sys
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """The items, with a progress bar on standard error when that is a terminal."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as bar

    return bar(items, description=what, total=total, console=Console(stderr=True), transient=True)
