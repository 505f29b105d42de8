"""compute: a function and items in; the results, in the order of the items, out.

They are computed here, or on the cluster that the environment names: <PACKAGE>_COMPUTE=dask, and
its scheduler in <PACKAGE>_COMPUTE_ADDRESS. These are settings, not params: results are the same.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .files import UserError
from .project import Project

INSTALL = "uv pip install --require-hashes -r requirements-scale.lock"

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class ParallelMap(Protocol):
    """Calls `function(shared, item)` for each item, somewhere, and yields what it returns in order.

    The function is one of a module's, since a cluster imports it. Of what `items` yields only so
    much is taken as is worked on. `threads` is how many items are worked on at a time where that
    is here, 0 for none beside the caller; `reads` are the files that the function reads.
    """

    def __call__(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        *,
        threads: int = 0,
        reads: Iterable[Path] = (),
    ) -> Iterator[Result]: ...


def local_map(
    function: Callable[[Shared, Item], Result],
    shared: Shared,
    items: Iterable[Item],
    *,
    threads: int = 0,
    reads: Iterable[Path] = (),
) -> Iterator[Result]:
    """In this process."""
    if not threads:
        yield from (function(shared, item) for item in items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, shared, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def parallel_map(project: Project) -> Iterator[ParallelMap]:
    """Where the project's settings want the work done.

    Raises:
        UserError: for a setting that is wrong, and where no cluster answers or a worker differs.
    """
    setting = f"{project.package.upper()}_COMPUTE"
    kind, address = (os.environ.get(name, "") for name in (setting, f"{setting}_ADDRESS"))
    if not kind:
        yield local_map
        return
    if kind != "dask":
        raise UserError(f"{setting} is {kind!r}; set it to dask, or unset it to compute here")
    try:
        cluster: Any = import_module("machinery.scale.cluster")
    except ModuleNotFoundError as error:
        lacks = f"{error.name} is not here; run '{INSTALL}', or unset it"
        raise UserError(f"{setting} is dask, but {lacks}") from None
    with cluster.connected(project.package, address, f"{setting}_ADDRESS") as spread:
        yield spread
