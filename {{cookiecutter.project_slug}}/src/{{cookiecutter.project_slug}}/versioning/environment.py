"""environment: pyproject.toml and requirements.lock in, what is not installed as they say out."""

import platform
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

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

    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted, version = project["requires-python"], platform.python_version()
    return version, wanted, SpecifierSet(wanted).contains(version, prereleases=True)


def pins() -> Iterator[Pin]:
    """The pins that apply to this Python and platform (PEP 508 markers)."""
    from packaging.requirements import Requirement

    for line in PINS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith((" ", "#")):
            continue
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker is None or wanted.marker.evaluate():
            (pinned,) = wanted.specifier
            yield Pin(wanted.name, pinned.version, _installed(wanted.name))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
