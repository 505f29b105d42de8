"""standing: the name of a package in; all that decides on the results of a process out."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
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
Seen = dict[str, str]


def standing(package: str) -> Standing:
    """Python, packages, environment, and the hash of every file of the project's code."""
    found = {"Python": platform.python_version(), "the processor": platform.machine()}
    found |= {name: _version(name) for name in PACKAGES}
    found |= {name: os.environ.get(name, "none") for name in WANTED}
    found["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED", "random")
    if not sys.flags.hash_randomization:
        found["PYTHONHASHSEED"] = "0"  # however that was said
    source = Path(machinery.__file__).parents[1]
    for path in sorted(file for name in ("machinery", package) for file in _code(source / name)):
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
            return f"has {name} {there}, not {here}"
        return f"lacks {name}" if there is None else f"has another {name} than this checkout"
    return None


def seen(paths: Iterable[Path]) -> Seen:
    """What the files look like from here: size and end of each, or why it cannot be read."""
    return {str(path): _fingerprint(path) for path in paths}


def overlooks(ours: Seen, theirs: Seen) -> str | None:
    """Which file a worker does not read as it lies here, in a clause; None if it reads all."""
    for name, print_ in ours.items():
        if theirs[name] != print_:
            return f"does not read {name} as it lies here ({theirs[name]}, not {print_})"
    return None


def digest(of: Mapping[str, str]) -> str:
    """One hash of all."""
    return sha256(repr(sorted(of.items())).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _code(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return f"{size} bytes that end in {sha256(file.read()).hexdigest()[:8]}"
    except OSError as error:
        return error.strerror or "not readable"
