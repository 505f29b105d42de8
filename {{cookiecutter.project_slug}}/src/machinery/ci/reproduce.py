"""reproduce: a pull request's checkout without data in; what it made stale run, pushed, committed.

Nothing else runs: stages that are as recorded stay without their data, and a training that somebody
has pushed is taken from the remote's run cache. So a dial turned in the browser gets its metrics.
"""

import os
import subprocess
import sys
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError
from machinery.versions import clone, git, storage
from machinery.versions.checking import some
from .credentials import git_with_token, remote
from .job import Job

MESSAGE = "Reproduce the pipeline"
BY_HAND = "'dvc pull --run-cache && dvc repro' takes this run from the remote, then commit and push"


class UnreachableError(CheckError):
    """The data cannot be had: one sentence with why."""


def reproduce(job: Job) -> None:
    """Run what is stale; push its data, then the commit that records it to the branch.

    A token that may not push is a warning: the report tells of this run all the same. So is data
    that a fork's job cannot reach: the report tells of the run that was committed.
    """
    if changed := git.changes():
        raise UserError(f"not committed: {some(changed)}; only a clean checkout is reproduced")
    try:
        _run()
    except UnreachableError as error:
        if job.branch:
            raise
        job.tell("warning", f"nothing was run, since a fork's job may not have the data: {error}")
        return
    if not git.changes():
        print("dvc.lock is fresh: nothing was to be recorded.")
        return
    _commit()
    if not _push_data(job):
        return
    if job.branch:
        _push_commit(job)
    else:
        job.tell("notice", f"dvc.lock stays here: no branch of this repository; {BY_HAND}")


def _run() -> None:
    """Pull what the stale stages and those behind them read of the others; run them.

    `dvc repro --pull` alone would take a folder that several stages fill for complete when the
    first of them has run.
    """
    if found := clone.folder_elsewhere():
        name, folder = found
        why = f"{folder} is a folder on another machine, and run and report need the data"
        raise UnreachableError(f"{why}; {clone.MOVE.format(name)}")
    if stale := storage.changes(without_data=True):
        print(f"Stale: {some(stale)}", flush=True)
        if inputs := _inputs({*stale}):
            _pull(inputs)
        _dvc("repro", "--pull", "--allow-missing")


def _pull(inputs: list[str]) -> None:
    try:
        _dvc("pull", "--allow-missing", *inputs)
    except CheckError as error:
        raise UnreachableError(str(error)) from None


def _inputs(stale: set[str]) -> list[str]:
    """The stages that will not run, but are read by stale ones or by those that follow them."""
    with storage.opened("the pipeline cannot be read") as repo:
        graph = repo.index.graph  # from each stage to those that it reads
        running = {stage for stage in graph if stage.addressing in stale}
        while later := {each for stage in running for each in graph.predecessors(stage)} - running:
            running |= later
        read = {each for stage in running for each in graph.successors(stage)}
        return sorted(stage.addressing for stage in read - running)


def _commit() -> None:
    """All that the run wrote; the tree was clean before. Hooks were for people."""
    git.run("add", "--all")
    git.run("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", MESSAGE)


def _push_data(job: Job) -> bool:
    try:
        _dvc("push", "--run-cache")
    except UserError:
        job.tell("warning", "the data of this run is not pushed: this job may not write the remote")
        return False
    return True


def _push_commit(job: Job) -> None:
    """Push to the branch as it was checked out; what came later has a job of its own."""
    place = f"HEAD:refs/heads/{job.branch}"
    try:
        git_with_token(job, "push", "--no-verify", remote(job), place)
    except UserError as error:
        why = f"dvc.lock did not come back to {job.branch}: {error}"
        job.tell("warning", f"{why}; {BY_HAND}")
    else:
        print(f"Pushed dvc.lock and the reports to {job.branch}.")


def _dvc(*words: str) -> None:
    """Run DVC as a command, so that its progress is seen; its stages find this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", *words]
    if subprocess.run(command, env=os.environ | {"PATH": path}, check=False).returncode:
        raise CheckError(f"'dvc {words[0]}' failed, see above")
