"""Map a function over items, in this process or on a cluster, in the order of the items.

<PACKAGE>_COMPUTE=dask and <PACKAGE>_COMPUTE_ADDRESS, its scheduler, select a cluster. They are
settings, not params, because the results are the same.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from .files import UserError
from .project import Project

INSTALL = "uv pip install --require-hashes -r requirements-scale.lock"

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


ParallelMap = Callable[..., Iterator[Any]]  # with the signature of `local_map`


def local_map(
    function: Callable[[Shared, Item], Result],
    shared: Shared,
    items: Iterable[Item],
    *,
    threads: int = 0,
    reads: Iterable[Path] = (),
) -> Iterator[Result]:
    """Yield `function(shared, item)` for each item, in order, computed in this process.

    The function must be defined at the top of a module, since a cluster imports it. Items are
    consumed no faster than they are processed. `threads` is the number of local threads, 0 for
    none but the caller's; `reads` are the files that the function reads.
    """
    if not threads:
        yield from (function(shared, item) for item in items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, shared, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def parallel_map(project: Project) -> Iterator[ParallelMap]:
    """The map that the project's settings select.

    Raises UserError for a wrong setting, an unreachable cluster, or a worker that differs.
    """
    setting = f"{project.package.upper()}_COMPUTE"
    backend = os.environ.get(setting)
    if not backend:
        yield local_map
        return
    if backend != "dask":
        raise UserError(f"{setting} is {backend!r}; set it to dask, or unset it to compute locally")
    try:
        cluster: Any = import_module("machinery.scale.cluster")
    except ModuleNotFoundError as error:
        fault = f"{setting} is dask, but {error.name} is not installed"
        raise UserError(f"{fault}; run '{INSTALL}', or unset it") from None
    address = os.environ.get(f"{setting}_ADDRESS", "")
    with cluster.connected(project.package, address, f"{setting}_ADDRESS") as cluster_map:
        yield cluster_map
