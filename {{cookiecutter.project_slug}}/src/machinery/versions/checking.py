"""checking: named checks in; for each whether it holds, and what to type where it does not, out.

A check returns what it saw, or raises FixableError or SkippedError. What it says to type loses
nothing: files are packed into .dvc/tmp before anything removes them.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from machinery.pipeline.files import CheckError, UserError


class FixableError(CheckError):
    """What is wrong, and what to type."""

    def __init__(self, what: str, remedy: str) -> None:
        """Keep the remedy apart, for a program to read."""
        super().__init__(what)
        self.remedy = remedy


class SkippedError(FixableError):
    """What cannot be known here, which is no fault; and what would change that, if anything."""


class Check(NamedTuple):
    """A check, and the checks without which it cannot be made, where these are made at all."""

    name: str
    make: Callable[[], str]
    needs: tuple[str, ...] = ()


class Finding(NamedTuple):
    """What a check saw; where something is wrong, also what to type."""

    name: str
    passed: bool
    found: str
    remedy: str | None = None
    skipped: bool = False

    def __str__(self) -> str:
        """The finding as one line."""
        mark = "--" if self.skipped else "ok" if self.passed else "NO"
        line = f"{mark:3} {self.name:10} {self.found}"
        return f"{line}: {self.remedy}" if self.remedy else line


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Make the checks in order.

    What cannot be checked because of a fault has not passed; what cannot be known here is skipped.
    """
    findings: dict[str, Finding] = {}
    for check in checks:
        needed = [findings[need] for need in check.needs if need in findings]
        lacking = (each for each in needed if each.skipped or not each.passed)
        findings[check.name] = _made(check, next(lacking, None))
        yield findings[check.name]


def first_names(names: Iterable[object], shown: int = 4) -> str:
    """The first few names, and how many more there are."""
    first = [str(name) for name in names]
    more = f" and {len(first) - shown} more" if len(first) > shown else ""
    return ", ".join(first[:shown]) + more


def words(paths: Iterable[Path]) -> str:
    """Paths as the words of a shell."""
    return " ".join(shlex.quote(path.as_posix()) for path in paths)


def set_aside(paths: Iterable[Path]) -> str:
    """A command that moves files away, and loses none of their bytes."""
    names = (Path(f".dvc/tmp/removed-{number}.tar") for number in count(1))
    place, listed = next(name for name in names if not name.exists()), words(paths)
    return f"mkdir -p .dvc/tmp && tar -cf {place} {listed} && rm -rf {listed}"


def restore(path: Path) -> str:
    """A command that brings back a file of git as it was committed."""
    aside = f"{set_aside([path])} && " if path.exists() else ""
    return f"{aside}git checkout HEAD -- {words([path])}"


def _made(check: Check, lacking: Finding | None) -> Finding:
    if lacking:
        why = f"without {lacking.name}" if lacking.skipped else f"before {lacking.name} is in order"
        return Finding(check.name, lacking.skipped, f"not checked {why}", skipped=lacking.skipped)
    try:
        return Finding(check.name, True, check.make())
    except UserError as error:
        remedy, skipped = getattr(error, "remedy", None), isinstance(error, SkippedError)
        return Finding(check.name, skipped, str(error), remedy or None, skipped)
