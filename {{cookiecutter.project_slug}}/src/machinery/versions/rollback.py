"""rollback: a released version in; its code, data and model on a branch of their own out.

Every byte is hashed anew before it is called restored. A rollback that cannot be completed leaves
the checkout as it was.
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
    """What a rollback brought back; `tags` are new, `push` publishes them."""

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
    """Restore a release on the branch `rollback/VERSION`, and assign it the stage, if one is given.

    Raises UserError for an unknown version, CheckError where work could be lost or bytes are gone.
    """
    registry.check_stage(stage)
    commit, here = registry.find(version).commit, git.branch() or git.resolve("HEAD")
    _refuse(git.changes(":/", untracked=False), "not committed", "commit it, or use 'git stash'")
    leaving = _leaving()
    other_packages = bool(git.run("diff", "--name-only", commit, "--", "requirements.lock"))
    new = [file for file in storage.recorded(commit) if not os.path.lexists(file.path)]
    branch = _free_branch(version)
    with _returning(here, branch, new):
        storage.fetch(commit)
        target = git.with_folder_of(commit, f"Back to {version}")
        words = ("--quiet", "--no-overwrite-ignore", "-b", branch, target)
        git.run(*git.NO_HOOKS, "checkout", *words)
        storage.checkout(leaving)
        _verify(version)
        restored = [file for file in storage.recorded() if os.path.lexists(file.path)]
        tags = registry.assign(stage, version, f"Back to {version}") if stage else []
    return Restored(
        version=version,
        commit=commit,
        branch=branch,
        files=sum(file.files or 1 for file in restored),
        bytes=sum(file.size or 0 for file in restored),
        metrics=facts(commit)["metrics"],
        other_packages=other_packages,
        tags=tags,
        push=push_command(tags, branch=False) if tags else None,
    )


def _refuse(names: Iterable[str], why: str, remedy: str) -> None:
    if names := list(names):
        raise CheckError(f"{first_names(names)}: {why}, and a rollback would lose it; {remedy}")


def _leaving() -> list[File]:
    """The outputs of DVC that are here. Raises CheckError where the cache lacks one of them."""
    changed = {*storage.changed()}
    leaving = [file for file in storage.kept() if os.path.lexists(file.path)]
    kept = [file.path for file in leaving if file.path in changed]
    _refuse(kept, "not committed", "doctor says how to keep or restore it")
    unsaved = [f.path for f in leaving if not all(map(storage.is_intact, storage.objects(f.hash)))]
    _refuse(unsaved, "not in the cache, or corrupted there", "doctor says how to fix it")
    return leaving


def _verify(version: str) -> None:
    """Raises CheckError, with the command that removes corrupted objects from the cache."""
    if wrong := storage.changed():
        places = [p for f in storage.kept() if f.path in wrong for p in storage.objects(f.hash)]
        bad = [place for place in places if place.is_file() and not storage.is_intact(place)]
        remedy = f"; corrupted in the cache, so type '{set_aside(bad)}' and try again"
        why = f"{first_names(wrong)} did not come back as recorded{remedy if bad else ''}"
        raise CheckError(f"{version}: {why}")


def _free_branch(version: str) -> str:
    taken = git.run("branch", "--list", "--format=%(refname:short)").splitlines()
    first = f"rollback/{version}"
    others = (f"{first}-{number}" for number in count(2))
    return first if first not in taken else next(name for name in others if name not in taken)


@contextmanager
def _returning(here: str, branch: str, new: list[File]) -> Iterator[None]:
    """Go back where it came from, data included, when anything fails or is interrupted.

    Nothing had been changed there before, so nothing is lost. `new` is what the version brings to
    where nothing was: it goes away again.
    """
    try:
        yield
    except BaseException as error:
        try:
            git.run(*git.NO_HOOKS, "checkout", "--quiet", "--force", here)
            if git.run("branch", "--list", branch):
                git.run("branch", "--quiet", "-D", branch)
            storage.checkout(new, allow_missing=True)
        except (UserError, KeyboardInterrupt) as second:
            way = f"'git checkout --force {here} && dvc checkout' leads back"
            why = f"{_said(error)}; the way back failed, too ({_said(second)})"
            raise CheckError(f"{why}: {way}") from error
        if isinstance(error, UserError):
            raise CheckError(f"{error}; {here} is checked out as before") from error
        raise


def _said(error: BaseException) -> str:
    return str(error) or "interrupted"
