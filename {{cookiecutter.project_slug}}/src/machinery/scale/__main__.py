"""Start workers of a Dask cluster in the environment of the stages, one thread each.

Type `python -m machinery.scale tcp://ADDRESS` in the folder of the project, with what else
`dask worker` takes: `--nworkers 4`, `--memory-limit 4GB`.
"""

import os
import sys

from machinery.pipeline.run import ENVIRONMENT

# Dask puts a hash seed of its own in the place of 0, which 00 is to Python, too.
SEED = {"PYTHONHASHSEED": "00"}
# Dask judges a worker by the memory that the system sees: what Arrow frees must go back to it. But
# by Dask's own settings all arrays would, and NumPy's sums take three times as long.
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
    # One that is near its limit would pause, and for good where it has nothing to free.
    with dask.config.set({**spawned, "distributed.worker.memory.pause": False}):
        main(["--nthreads", "1", *sys.argv[1:]])
