"""checking: named checks in; for each what it found, and what to type where it says no, out.

A check returns what it found in order, or raises WrongError, or SkippedError.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from machinery.pipeline.files import CheckError, UserError


class WrongError(CheckError):
    """What is wrong, and what to type."""

    def __init__(self, what: str, remedy: str) -> None:
        """Keep the remedy apart, for a program to read."""
        super().__init__(what)
        self.remedy = remedy


class SkippedError(UserError):
    """What cannot be known here, which is no fault; and what would change that."""

    def __init__(self, why: str, remedy: str | None = None) -> None:
        """Keep the remedy apart, for a program to read."""
        super().__init__(why)
        self.remedy = remedy


class Check(NamedTuple):
    """A check, and the checks without which it cannot be made."""

    name: str
    make: Callable[[], str]
    needs: tuple[str, ...] = ()


class Finding(NamedTuple):
    """What a check found; where something is wrong, also what to type."""

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
    found: dict[str, Finding] = {}
    for check in checks:
        needed = [found[need] for need in check.needs]
        finding = _finding(check, [each for each in needed if each.skipped or not each.passed])
        found[check.name] = finding
        yield finding


def some(names: Iterable[object], shown: int = 4) -> str:
    """The first few names, and how many more there are."""
    first = [str(name) for name in names]
    more = f" and {len(first) - shown} more" if len(first) > shown else ""
    return ", ".join(first[:shown]) + more


def _finding(check: Check, lacking: list[Finding]) -> Finding:
    if lacking:
        need, skipped = lacking[0].name, lacking[0].skipped
        why = f"without {need}" if skipped else f"before {need} is in order"
        return Finding(check.name, skipped, f"not checked {why}", skipped=skipped)
    try:
        return Finding(check.name, True, check.make())
    except SkippedError as why:
        return Finding(check.name, True, str(why), why.remedy, skipped=True)
    except UserError as error:
        return Finding(check.name, False, str(error), getattr(error, "remedy", None))
