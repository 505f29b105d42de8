"""environment: whether this Python and its packages are what the project pins."""

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
    """Python is as the project wants it."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    with _reading(PROJECT):
        wanted = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["requires-python"]
        good = SpecifierSet(wanted).contains(version, prereleases=True)
    if not good:
        raise FixableError(
            f"{version} is not {wanted}", "rm -r .venv && make setup PYTHON=python3.12"
        )
    return version


def packages() -> str:
    """Every package that requirements.lock pins is installed in that version."""
    with _reading(PINS):
        pins = list(_pins())
    installed = [_installed(name) for name, _ in pins]
    wrong = [
        f"{name} is {here or 'missing'}, not {version}"
        for (name, version), here in zip(pins, installed, strict=True)
        if here != version
    ]
    if wrong:
        raise FixableError(first_names(wrong, 1), f"touch {PINS} && make setup")
    return f"{len(pins)} installed as {PINS} pins them"


def _pins() -> Iterator[tuple[str, str]]:
    """Name and version of each pin that applies to this Python and platform (PEP 508 markers)."""
    from packaging.requirements import Requirement

    for line in PINS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            wanted = Requirement(line.rstrip(" \\"))
            if wanted.marker is None or wanted.marker.evaluate():
                (pinned,) = wanted.specifier
                yield wanted.name, pinned.version


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A file that is missing, or holds a conflict or a typing error, is the user's."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        raise FixableError(f"{path} cannot be read: {first_line(error)}", restore(path)) from error


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
