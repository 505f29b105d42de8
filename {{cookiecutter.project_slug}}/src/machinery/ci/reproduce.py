"""reproduce: runs what a pull request made stale, pushes the data, and commits the record.

Nothing else runs: stages that are as recorded stay without their data, and a training that somebody
has pushed is taken from the remote's run cache. So a parameter edited in the browser gets its
metrics.
"""

import re

from machinery.pipeline.files import CheckError, UserError
from machinery.versions import git, storage
from machinery.versions import remote as remotes
from machinery.versions.checking import some

from .job import Job
from .shell import commit, dvc, dvc_output, git_with_token, remote, require_clean

MESSAGE = "Reproduce the pipeline"
BY_HAND = "'dvc pull --run-cache && dvc repro' takes this run from the remote, then commit and push"


class UnreachableError(CheckError):
    """The data cannot be reached: one sentence with the reason."""


def reproduce(job: Job) -> None:
    """Run what is stale; push its data, then the commit that records it to the branch.

    A token that may not push is a warning: the report is about this run all the same. So is data
    that a fork's job cannot reach: the report is about the run that was committed.
    """
    require_clean()
    try:
        _run()
    except UnreachableError as error:
        if job.branch:
            raise
        job.tell("warning", f"nothing was run, since a fork's job may not have the data: {error}")
        return
    if not git.changes():
        print("dvc.lock is fresh: there is nothing to record.")
        return
    commit(MESSAGE)
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
    if away := remotes.folder_elsewhere():
        raise UnreachableError(", and run and report need the data; ".join(away))
    if stale := storage.changes():
        print(f"Stale: {some(stale)}", flush=True)
        if inputs := _inputs({*stale}):
            _pull(inputs)
        dvc("repro", "--pull", "--allow-missing")


def _pull(inputs: list[str]) -> None:
    try:
        dvc("pull", "--allow-missing", *inputs)
    except CheckError as error:
        raise UnreachableError(str(error)) from None


def _inputs(stale: set[str]) -> list[str]:
    """The stages that will not run, but are read by stale ones or by those that follow them.

    `dvc dag --dot` draws an edge from each stage to those that read it.
    """
    edges = re.findall(r'^"(.+)" -> "(.+)";$', dvc_output("dag", "--dot"), re.MULTILINE)
    running = set(stale)
    while later := {reader for stage, reader in edges if stage in running} - running:
        running |= later
    return sorted({stage for stage, reader in edges if reader in running} - running)


def _push_data(job: Job) -> bool:
    try:
        dvc("push", "--run-cache")
    except UserError:
        job.tell("warning", "the data of this run is not pushed: this job may not write the remote")
        return False
    return True


def _push_commit(job: Job) -> None:
    """Push to the branch as it was checked out; later commits have jobs of their own."""
    place = f"HEAD:refs/heads/{job.branch}"
    try:
        git_with_token(job, "push", "--no-verify", remote(job), place)
    except UserError as error:
        why = f"dvc.lock did not come back to {job.branch}: {error}"
        job.tell("warning", f"{why}; {BY_HAND}")
    else:
        print(f"Pushed dvc.lock and the reports to {job.branch}.")
