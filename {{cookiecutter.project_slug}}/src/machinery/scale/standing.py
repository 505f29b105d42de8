"""standing: the name of a package in; all that decides on the results of a process out."""

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
WANTED = {name: value for name, value in ENVIRONMENT.items() if name.endswith(("SEED", "THREADS"))}
TAIL_BYTES = 65_536  # of a file: in Parquet they describe what it holds

Standing = dict[str, str]


def standing(package: str) -> Standing:
    """Python, packages, environment, and the hash of every file of the project's code."""
    found = {"Python": platform.python_version(), "the processor": platform.machine()}
    found |= {name: _version(name) for name in PACKAGES}
    found |= {name: os.environ.get(name, "none") for name in WANTED}
    if not sys.flags.hash_randomization:
        found["PYTHONHASHSEED"] = "0"  # however that was written
    source = Path(machinery.__file__).parents[1]
    for path in sorted(
        each for name in ("machinery", package) for each in source.glob(f"{name}/**/*")
    ):
        if path.is_file() and "__pycache__" not in path.parts:
            found[f"src/{path.relative_to(source)}"] = sha256(path.read_bytes()).hexdigest()
    return found


@cache
def loaded(package: str) -> Standing:
    """The standing when it was first asked for: that of the code which this process imports."""
    return standing(package)


def differs(ours: Standing, theirs: Standing) -> str | None:
    """In which way a worker differs, in a clause; None if in none."""
    for name in sorted({*ours, *theirs}):
        here, there = ours.get(name), theirs.get(name)
        if here == there:
            continue
        if not name.startswith("src/"):
            return f"has {name}: {there}, not {here}"
        return f"lacks {name}" if there is None else f"has another {name} than this checkout"
    return None


def seen(paths: Iterable[Path]) -> dict[str, str]:
    """What the files look like from here: size and end of each, or why it cannot be read."""
    return {str(path): _fingerprint(path) for path in paths}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return f"{size} bytes that end in {sha256(file.read()).hexdigest()[:8]}"
    except OSError as error:
        return error.strerror or "not readable"
