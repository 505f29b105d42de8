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
from .notes import facts
from .release import push_command

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")  # they would check out the data a second time
LOCK = Path("dvc.lock")


class DamagedError(CheckError):
    """Restored files are not as recorded; their damaged bytes are gone, so that a fetch helps."""


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


@dataclass(frozen=True)
class Move:
    """A way from one commit to another, and what DVC keeps at its two ends."""

    here: str  # branch, or commit
    version: str
    commit: str
    leaving: list[File]  # in the cache; what git keeps, git moves
    coming: list[File]
    outputs: list[File]  # all that dvc.lock records there, candidates of old included
    new: list[str]  # what it brings to where nothing is: the way back takes it away again


def rollback(version: str, stage: str | None = None) -> Restored:
    """Restore a release on the branch `rollback/VERSION`, and assign it the stage, if one is given.

    Raises UserError for an unknown version, CheckError where work could be lost or bytes are gone.
    """
    registry.check_stage(stage)
    commit, here = registry.find(version).commit, git.branch() or git.resolve("HEAD")
    _refuse(git.changes(untracked=False), "commit it, or put it aside with 'git stash'")
    leaving = kept_by_dvc(recorded() if LOCK.is_file() else [], git.files("HEAD"))
    outputs, in_git = recorded(commit), git.files(commit)
    coming = kept_by_dvc(outputs, in_git)
    move = Move(here, version, commit, leaving, coming, outputs, _new(in_git, coming))
    other_packages = bool(git.run("diff", "--name-only", commit, "--", "requirements.lock"))
    try:
        branch, restored, tags = _go(move, stage)
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


def _new(in_git: set[str], coming: list[File]) -> list[str]:
    paths = in_git | {file.path for file in coming}
    return sorted(path for path in paths if not os.path.lexists(path))


def _go(move: Move, stage: str | None) -> tuple[str, list[File], list[str]]:
    """Prepare, switch, restore, verify, assign; a second time where the cache was damaged."""
    try:
        return _try(move, stage)
    except DamagedError:
        return _try(move, stage)


def _try(move: Move, stage: str | None) -> tuple[str, list[File], list[str]]:
    _prepare(move)
    branch = _free_branch(move.version)
    words = ("--quiet", "--no-overwrite-ignore", "-b", branch, move.commit)
    with _returning(move, branch):
        git.run(*NO_HOOKS, "checkout", *words)
        owned = storage.checkout(file.path for file in move.leaving)
        restored = [file for file in move.outputs if file.path in owned]
        _verify(move, restored)
        tags = registry.assign(stage, move.version, f"Back to {move.version}") if stage else []
    return branch, restored, tags


def _prepare(move: Move) -> None:
    """Have all that leaves and all that comes in the cache, before anything is touched."""
    with storage.opened("the cache cannot be read") as repo:
        changed = storage.unsaved(repo, move.leaving)
        _refuse(changed, "'dvc commit' keeps it, 'dvc checkout' drops it")
        storage.drop_damaged(repo, move.leaving, spared=move.coming)
        storage.save(repo, storage.lacking(repo, move.leaving))
    if not _absent(move.coming):
        return
    owned = storage.owned(move.commit)
    wanted = [file for file in move.coming if file.path in owned]
    if _absent(wanted):
        storage.fetch(move.commit)
    if gone := _absent(wanted):
        lost = f"neither the cache nor the remote holds {some(gone)} whole"
        raise CheckError(f"{move.version} cannot be restored: {lost}")


def _absent(files: list[File]) -> list[str]:
    with storage.opened("the cache cannot be read") as repo:
        return [file.path for file in storage.lacking(repo, files)]


def _free_branch(version: str) -> str:
    taken = git.run("branch", "--list", "--format=%(refname:short)").splitlines()
    first = f"rollback/{version}"
    others = (f"{first}-{number}" for number in count(2))
    return first if first not in taken else next(name for name in others if name not in taken)


@contextmanager
def _returning(move: Move, branch: str) -> Iterator[None]:
    """Go back where it came from, data included, when anything fails or is interrupted."""
    try:
        yield
    except BaseException as error:
        try:
            _return(move, branch)
        except (UserError, KeyboardInterrupt) as second:
            way = f"'git checkout --force {move.here} && dvc checkout' leads back"
            why = f"{_said(error)}; the way back failed, too ({_said(second)})"
            raise StrandedError(f"{why}: {way}") from error
        raise


def _return(move: Move, branch: str) -> None:
    """Go back from wherever it was ended; nothing was changed here before, so nothing is lost."""
    git.run(*NO_HOOKS, "checkout", "--quiet", "--force", move.here)
    if git.run("branch", "--list", branch):
        git.run("branch", "--quiet", "-D", branch)
    storage.tidy(move.coming)
    storage.checkout(move.new, allow_missing=True)


def _said(error: BaseException) -> str:
    return str(error) or "interrupted"


def _verify(move: Move, restored: list[File]) -> None:
    if wrong := {str(each.path) for each in mismatches(restored)}:
        storage.discard([file for file in move.coming if file.path in wrong])
        raise DamagedError(f"{move.version}: {some(sorted(wrong))} did not come back as recorded")
