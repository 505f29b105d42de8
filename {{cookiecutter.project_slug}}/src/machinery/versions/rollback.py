"""Restore a release on a branch of its own: code, data and model, every byte verified.

A rollback that cannot be completed leaves the checkout as it was.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from machinery.pipeline.files import CheckError, UserError

from . import git, registry, storage
from .checking import first_names, set_aside
from .graph import File
from .notes import facts
from .release import push_command


@dataclass(frozen=True)
class Restored:
    """What a rollback restored; `push` publishes the new tags."""

    version: str
    commit: str
    branch: str
    files: int
    bytes: int
    metrics: dict[str, Any]
    other_packages: bool
    tags: list[str]
    push: str | None


def rollback(version: str, stage: str | None = None) -> Restored:
    """Restore a release on the branch `rollback/VERSION`, and assign it the stage, if any.

    Raises UserError for an unknown version, CheckError if work could be lost or data is missing.
    """
    registry.check_stage(stage)
    commit, start = registry.find(version).commit, git.branch() or git.resolve("HEAD")
    _refuse(git.changes(":/", untracked=False), "not committed", "commit it, or use 'git stash'")
    leaving = _leaving()
    other_packages = bool(git.run("diff", "--name-only", commit, "--", "requirements.lock"))
    new = [file for file in storage.recorded(commit) if not os.path.lexists(file.path)]
    branch = _free_branch(version)
    with _returning(start, branch, new):
        storage.fetch(commit)
        target = git.with_folder_of(commit, f"Back to {version}")
        options = ("--quiet", "--no-overwrite-ignore", "-b", branch)
        git.run(*git.NO_HOOKS, "checkout", *options, target)
        storage.checkout(leaving)
        _verify(version)
        files = [file for file in storage.recorded() if os.path.lexists(file.path)]
        tags = registry.assign(stage, version, f"Back to {version}") if stage else []
    return Restored(
        version=version,
        commit=commit,
        branch=branch,
        files=sum(file.files or 1 for file in files),
        bytes=sum(file.size or 0 for file in files),
        metrics=facts(commit)["metrics"],
        other_packages=other_packages,
        tags=tags,
        push=push_command(tags, branch=False) if tags else None,
    )


def _refuse(names: Iterable[str], reason: str, remedy: str) -> None:
    if names := list(names):
        raise CheckError(f"{first_names(names)}: {reason}, and a rollback would lose it; {remedy}")


def _leaving() -> list[File]:
    """DVC's outputs in the checkout. Raises CheckError if one is changed, or not in the cache."""
    changed = {*storage.changed(storage.reread())}
    files = [file for file in storage.tracked() if os.path.lexists(file.path)]
    uncommitted = [file.path for file in files if file.path in changed]
    _refuse(uncommitted, "not committed", "doctor says how to keep or restore it")
    uncached = [f.path for f in files if not all(map(storage.is_intact, storage.objects(f.hash)))]
    _refuse(uncached, "not in the cache, or corrupted there", "doctor says how to fix it")
    return files


def _verify(version: str) -> None:
    """Raise CheckError if a file differs from the record, with the command that may help."""
    if changed := storage.changed(storage.reread()):
        files = [file for file in storage.recorded() if file.path in changed]
        objects = [path for file in files for path in storage.objects(file.hash)]
        bad = [path for path in objects if path.is_file() and not storage.is_intact(path)]
        remedy = f"; corrupted in the cache, so type '{set_aside(bad)}' and try again"
        reason = f"{first_names(changed)} did not come back as recorded{remedy if bad else ''}"
        raise CheckError(f"{version}: {reason}")


def _free_branch(version: str) -> str:
    branches = git.run("branch", "--list", "--format=%(refname:short)").splitlines()
    names = (f"rollback/{version}" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(name for name in names if name not in branches)


@contextmanager
def _returning(start: str, branch: str, new: list[File]) -> Iterator[None]:
    """Return to where the rollback started, data included, if anything fails or interrupts it.

    The checkout was clean, so nothing is lost. The `new` files of the version are removed again.
    """
    try:
        yield
    except BaseException as error:
        try:
            git.run(*git.NO_HOOKS, "checkout", "--quiet", "--force", start)
            if git.run("branch", "--list", branch):
                git.run("branch", "--quiet", "-D", branch)
            storage.checkout(new, allow_missing=True)
        except (UserError, KeyboardInterrupt) as second:
            reason, second_reason = (str(e) or "interrupted" for e in (error, second))
            reasons = f"{reason}; returning failed as well ({second_reason})"
            remedy = f"'git checkout --force {start} && dvc checkout' leads back"
            raise CheckError(f"{reasons}: {remedy}") from error
        if isinstance(error, UserError):
            raise CheckError(f"{error}; {start} is checked out as before") from error
        raise
