"""Start workers of a Dask cluster in the environment of the stages, one thread each.

Run `python -m machinery.scale tcp://ADDRESS` in the folder of the project. Options are passed on to
`dask worker`, such as `--nworkers 4` or `--memory-limit 4GB`.
"""

import os
import sys

from machinery.pipeline.run import ENVIRONMENT

SEED = {"PYTHONHASHSEED": "00"}  # Dask replaces 0 by a hash seed of its own; Python reads 00 as 0
# Dask measures a worker by the memory that the system reports, so that Arrow must return what it
# frees. Dask's own settings return all arrays, which makes NumPy's sums three times slower.
MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
}
SPAWNED = ENVIRONMENT | SEED | MEMORY

if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in SPAWNED.items()):
        command = [sys.executable, "-m", __package__, *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | SPAWNED)

    import dask
    from distributed.cli.dask_worker import main

    spawned = {f"distributed.nanny.pre-spawn-environ.{name}": seed for name, seed in SEED.items()}
    # A worker near its memory limit would pause, and never resume if it has nothing to free.
    with dask.config.set({**spawned, "distributed.worker.memory.pause": False}):
        main(["--nthreads", "1", *sys.argv[1:]])
