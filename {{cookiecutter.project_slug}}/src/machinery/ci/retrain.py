"""retrain: a later end of the data window in; a branch with its run, and the report, out.

No clock decides: the new end is given, or counted from the end that params.yaml has.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from machinery.pipeline import params
from machinery.pipeline.data import contract
from machinery.pipeline.files import CheckError, UserError, read_table, write_text
from machinery.pipeline.params import Gate, Ingest
from machinery.pipeline.paths import PARAMS, RAW
from machinery.versions import git, storage
from machinery.versions import remote as remotes
from machinery.versions.versions import read

from . import window
from .shell import commit, dvc, require_clean

RUN = ("repro", "--pull", "--allow-missing")


class NothingToDo(Exception):  # noqa: N818
    """The reason why there is nothing to retrain on."""


@dataclass(frozen=True)
class Retraining:
    """A run of a later window, to be one commit on a branch of its own."""

    base: str  # the branch that it starts from
    start: str  # its commit
    end: datetime  # of the later window

    @property
    def branch(self) -> str:
        return f"retrain/{window.name(self.end)}".replace(":", "")

    @property
    def title(self) -> str:
        return f"Retrain on data until {window.name(self.end)}"


def plan(end: datetime | None, months: int) -> Retraining:
    """The retraining of the branch that is checked out. Raises NothingToDo for no later window."""
    base, start = _base(), git.resolve("HEAD")
    require_clean()
    end = _end(end, months)
    if away := remotes.folder_elsewhere():
        raise CheckError("; ".join(away))
    return Retraining(base, start, end)


def retrain(planned: Retraining) -> None:
    """Move the end of the data window, run the pipeline, commit it on a branch, push the data.

    Raises NothingToDo where the later window would hold no more rows, or more than there are yet.
    """
    with _undone_on_failure():
        _move(PARAMS.read_text(encoding="utf-8"), planned.end)
        dvc(*RUN)
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "-B", planned.branch)
        commit(planned.title)
        dvc("push")


def _base() -> str:
    base = git.branch() or os.environ.get("CI_COMMIT_BRANCH")
    if not base:
        raise UserError("no branch is checked out; 'git checkout main' names what to retrain")
    return base


def _end(end: datetime | None, months: int) -> datetime:
    now = params.load(Ingest).until
    if contract.load().time is None:
        raise NothingToDo("contract.yaml names no time column, so there is no window to move")
    if end is None:
        if now is None:
            raise NothingToDo("ingest.until is null, so the window takes all of data/source")
        return window.later(now, months)
    end = end.replace(tzinfo=now.tzinfo) if now and end.tzinfo is None else end
    if now is not None and end <= now:
        raise NothingToDo(f"the window ends at {window.name(now)} already")
    return end


def _move(text: str, end: datetime) -> None:
    """Write the new end, run ingest, and check that the window is full."""
    before = read().graph.find(RAW.as_posix())
    write_text(window.moved(text, end), PARAMS)
    dvc(*RUN, "ingest")
    if read().graph.find(RAW.as_posix()) == before:
        raise NothingToDo(f"data/source has no row between the window and {window.name(end)}")
    column = contract.load().time
    if not RAW.exists():
        dvc("pull", RAW.as_posix())
    newest = read_table(RAW, [str(column)])[column].max()
    if newest + timedelta(days=params.load(Gate).max_age_days) < end:
        reach = f"data/source reaches {newest}, and the window would end at {window.name(end)}"
        raise NothingToDo(f"{reach}; 'retrain --until' takes an earlier end")


@contextmanager
def _undone_on_failure() -> Iterator[None]:
    """Leave the checkout as it was when there is nothing to do, or something fails."""
    here = git.branch() or git.resolve("HEAD")
    try:
        yield
    except BaseException:
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "--force", here)
        storage.checkout(allow_missing=True)
        raise
