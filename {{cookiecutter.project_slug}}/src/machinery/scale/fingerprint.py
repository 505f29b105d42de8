"""Fingerprint a process: everything on which its results depend."""

import os
import platform
import sys
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import machinery
from machinery.pipeline.run import ENVIRONMENT

PACKAGES = """
    cloudpickle dask distributed lightgbm numpy onnxruntime pandas pyarrow scikit-learn scipy
    xgboost xgboost-cpu
""".split()
REQUIRED = {n: value for n, value in ENVIRONMENT.items() if n.endswith(("SEED", "THREADS"))}
TAIL_BYTES = 65_536  # of a file: in Parquet they describe its contents

Fingerprint = dict[str, str]


def fingerprint(package: str) -> Fingerprint:
    """Python, packages, environment, and the hash of every file of the project's code."""
    values = {"Python": platform.python_version(), "the processor": platform.machine()}
    values |= {name: _version(name) for name in PACKAGES}
    values |= {name: os.environ.get(name, "none") for name in REQUIRED}
    if not sys.flags.hash_randomization:
        values["PYTHONHASHSEED"] = "0"  # however it was written
    source = Path(machinery.__file__).parents[1]
    for path in sorted(p for name in ("machinery", package) for p in source.glob(f"{name}/**/*")):
        if path.is_file() and "__pycache__" not in path.parts:
            values[f"src/{path.relative_to(source)}"] = sha256(path.read_bytes()).hexdigest()
    return values


@cache
def loaded(package: str) -> Fingerprint:
    """The fingerprint at the first call: that of the code which this process imports."""
    return fingerprint(package)


def difference(local: Fingerprint, worker: Fingerprint) -> str | None:
    """How the fingerprint of a worker differs, in a clause; None if it does not."""
    for name in sorted({*local, *worker}):
        expected, actual = local.get(name), worker.get(name)
        if expected == actual:
            continue
        if not name.startswith("src/"):
            return f"has {name}: {actual}, not {expected}"
        return f"lacks {name}" if actual is None else f"has another {name} than this checkout"
    return None


def of_files(paths: Iterable[Path]) -> Fingerprint:
    """The size and the end of each file as this process sees it, or why it cannot be read."""
    return {str(path): _of_file(path) for path in paths}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return f"{size} bytes that end in {sha256(file.read()).hexdigest()[:8]}"
    except OSError as error:
        return error.strerror or "not readable"
