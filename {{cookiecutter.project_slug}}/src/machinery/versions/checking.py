"""Run named checks and report, for each failure, the command that fixes it.

No command loses data: files are packed into .dvc/tmp before they are removed.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from machinery.pipeline.files import CheckError, UserError


class FixableError(CheckError):
    """A failed check, and the command that fixes it."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Keep the remedy apart from the reason, for programs."""
        super().__init__(reason)
        self.remedy = remedy


class SkippedError(FixableError):
    """A check that cannot run here, which is not a failure. The remedy may be empty."""


class Check(NamedTuple):
    """A function that returns what it found, or raises; and the checks that must pass before."""

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()


class Result(NamedTuple):
    """The result of a check; `found` is the reason if it failed."""

    name: str
    passed: bool
    found: str
    remedy: str | None = None
    skipped: bool = False

    def __str__(self) -> str:
        mark = "--" if self.skipped else "ok" if self.passed else "NO"
        line = f"{mark:3} {self.name:10} {self.found}"
        return f"{line}: {self.remedy}" if self.remedy else line


def run_checks(checks: Iterable[Check]) -> Iterator[Result]:
    """Run the checks in order. A check fails with one that it needs, and is skipped with it."""
    results: dict[str, Result] = {}
    for check in checks:
        needed = [results[name] for name in check.needs if name in results]
        results[check.name] = _run(check, needed)
        yield results[check.name]


def _run(check: Check, needed: Iterable[Result]) -> Result:
    for result in needed:
        if result.skipped:
            reason = f"not checked, since {result.name} was skipped"
            return Result(check.name, True, reason, skipped=True)
        if not result.passed:
            return Result(check.name, False, f"not checked, since {result.name} failed")
    try:
        return Result(check.name, True, check.run())
    except UserError as error:
        remedy, skipped = getattr(error, "remedy", None), isinstance(error, SkippedError)
        return Result(check.name, skipped, str(error), remedy or None, skipped)


def first_names(names: Iterable[object], limit: int = 4) -> str:
    """The first few names, and how many more there are."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def quoted(paths: Iterable[Path]) -> str:
    """Paths as words of a shell command."""
    return shlex.join(map(str, paths))


def set_aside(paths: Iterable[Path]) -> str:
    """A command that packs the files into a new archive, then removes them."""
    archives = (Path(f".dvc/tmp/removed-{number}.tar") for number in count(1))
    archive = next(path for path in archives if not path.exists())
    names = quoted(paths)
    return f"mkdir -p .dvc/tmp && tar -cf {archive} {names} && rm -rf {names}"


def restore(path: Path) -> str:
    """A command that brings back a file as it was committed."""
    aside = f"{set_aside([path])} && " if path.exists() else ""
    return f"{aside}git checkout HEAD -- {quoted([path])}"
