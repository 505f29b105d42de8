"""rollback: a released version in; its code, data and model on a branch of their own out.

Every byte is hashed anew before it is called restored. A rollback that cannot be completed leaves
the checkout as it was.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from machinery.pipeline.files import CheckError, UserError

from . import git, registry, storage
from .checking import some
from .graph import File
from .hashes import kept_by_dvc, mismatches, recorded
from .history import LOCK
from .notes import facts
from .release import push_command


class StrandedError(CheckError):
    """The way back failed, too."""


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
    _refuse(git.changes(untracked=False), "commit it, or set it aside with 'git stash'")
    leaving = kept_by_dvc(recorded() if Path(LOCK).is_file() else [], git.files("HEAD"))
    outputs, in_git = recorded(commit), git.files(commit)
    coming = kept_by_dvc(outputs, in_git)
    other_packages = bool(git.run("diff", "--name-only", commit, "--", "requirements.lock"))
    try:
        _prepare(version, commit, leaving, coming)
        new = [p for p in {*in_git, *(f.path for f in coming)} if not os.path.lexists(p)]
        branch = _free_branch(version)
        with _returning(here, branch, coming, new):
            words = ("--quiet", "--no-overwrite-ignore", "-b", branch, commit)
            git.run(*git.NO_HOOKS, "checkout", *words)
            owned = storage.checkout(file.path for file in leaving)
            restored = [file for file in outputs if file.path in owned]
            if wrong := [each.path for each in mismatches(restored)]:
                raise CheckError(f"{version}: {some(wrong)} did not come back as recorded")
            tags = registry.assign(stage, version, f"Back to {version}") if stage else []
    except StrandedError:
        raise
    except UserError as error:
        raise CheckError(f"{error}; {here} is checked out as before") from error
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


def _refuse(names: list[str], remedy: str) -> None:
    if names:
        raise CheckError(f"{some(names)}: not committed, and a rollback would lose it; {remedy}")


def _prepare(version: str, commit: str, leaving: list[File], coming: list[File]) -> None:
    """Have all that leaves and all that comes in the cache, before anything is touched."""
    changed = [str(each.path) for each in mismatches(leaving) if each.actual is not None]
    _refuse(changed, "doctor says how to keep or restore it")
    storage.save(leaving)
    if not storage.lacking(coming):
        return
    owned = storage.owned(commit)
    wanted = storage.lacking([file for file in coming if file.path in owned])
    if wanted:
        for place in [place for file in wanted for place in storage.objects(file.hash)]:
            if not storage.is_whole(place):
                place.unlink(missing_ok=True)  # corrupted: DVC would take it for the data
        storage.fetch(commit)
    if gone := [file.path for file in storage.lacking(wanted)]:
        lost = f"neither the cache nor the remote holds {some(gone)} whole"
        raise CheckError(f"{version} cannot be restored: {lost}")


def _free_branch(version: str) -> str:
    taken = git.run("branch", "--list", "--format=%(refname:short)").splitlines()
    first = f"rollback/{version}"
    others = (f"{first}-{number}" for number in count(2))
    return first if first not in taken else next(name for name in others if name not in taken)


@contextmanager
def _returning(here: str, branch: str, coming: list[File], new: list[str]) -> Iterator[None]:
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
            storage.tidy(coming)
            storage.checkout(new, allow_missing=True)
        except (UserError, KeyboardInterrupt) as second:
            way = f"'git checkout --force {here} && dvc checkout' leads back"
            why = f"{_said(error)}; the way back failed, too ({_said(second)})"
            raise StrandedError(f"{why}: {way}") from error
        raise


def _said(error: BaseException) -> str:
    return str(error) or "interrupted"
