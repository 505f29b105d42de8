"""environment: pyproject.toml and requirements.lock in, what is not installed as they say out."""

import platform
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from machinery.pipeline.files import first_line
from .checking import WrongError

PROJECT = Path("pyproject.toml")
PINS = Path("requirements.lock")


class Pin(NamedTuple):
    """A package, the version that is pinned, and the one that is installed, if any."""

    name: str
    version: str
    installed: str | None


def python() -> tuple[str, str, bool]:
    """The version of this Python, the versions that the project wants, and whether it is one."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    with _reading(PROJECT):
        wanted = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["requires-python"]
        return version, wanted, SpecifierSet(wanted).contains(version, prereleases=True)


def pins() -> list[Pin]:
    """The pins that apply to this Python and platform (PEP 508 markers)."""
    with _reading(PINS):
        lines = PINS.read_text(encoding="utf-8").splitlines()
        return list(_pins(line for line in lines if line and not line.startswith((" ", "#"))))


def _pins(lines: Iterator[str]) -> Iterator[Pin]:
    from packaging.requirements import Requirement

    for line in lines:
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker is None or wanted.marker.evaluate():
            (pinned,) = wanted.specifier
            yield Pin(wanted.name, pinned.version, _installed(wanted.name))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A file that is missing, or holds a conflict or a slip of the keyboard, is the user's."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        what = f"{path} cannot be read: {first_line(error)}"
        raise WrongError(what, f"git checkout HEAD -- {path}") from error


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
