"""Check that this Python and its packages are those that the project pins."""

import platform
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from machinery.pipeline.files import first_line

from .checking import FixableError, first_names, restore

PROJECT = Path("pyproject.toml")
PINS = Path("requirements.lock")


def python() -> str:
    """Check the version of Python."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    with _reading(PROJECT):
        required = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["requires-python"]
        fits = SpecifierSet(required).contains(version, prereleases=True)
    if not fits:
        remedy = "rm -r .venv && make setup PYTHON=python3.12"
        raise FixableError(f"{version} is not {required}", remedy)
    return version


def packages() -> str:
    """Check that every package that requirements.lock pins is installed in that version."""
    from packaging.requirements import Requirement

    with _reading(PINS):
        lines = PINS.read_text(encoding="utf-8").splitlines()
        pins = [line.rstrip(" \\") for line in lines if line and not line.startswith((" ", "#"))]
        requirements = [Requirement(pin) for pin in pins]
    applicable = [pin for pin in requirements if pin.marker is None or pin.marker.evaluate()]
    problems = []
    for pin in applicable:
        version = _installed(pin.name)
        required = str(pin.specifier).removeprefix("==")
        if version != required:
            problems.append(f"{pin.name} is {version}, not {required}")
    if problems:
        raise FixableError(first_names(problems, 1), f"touch {PINS} && make setup")
    return f"{len(applicable)} installed as {PINS} pins them"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Report a file that is missing or malformed, such as by a conflict, with its remedy."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        raise FixableError(f"{path} cannot be read: {first_line(error)}", restore(path)) from error


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
