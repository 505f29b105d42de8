"""reproduce: runs what a pull request made stale, and leaves the run for `record` to push.

Nothing else runs: stages that are as recorded stay without their data, and a training that somebody
has pushed is taken from the remote's run cache. So a parameter edited in the browser gets its
metrics. The job runs code that nobody has looked at yet, so it has no right to write.
"""

import re
import shutil
from pathlib import Path

from machinery.pipeline.files import CheckError
from machinery.versions import git, storage
from machinery.versions import remote as remotes
from machinery.versions.checking import some
from machinery.versions.versions import LOCK

from .job import Job
from .shell import commit, dvc, dvc_output, require_clean

MESSAGE = "Reproduce the pipeline"
RUN = Path("run")  # what the job leaves
COMMIT = "commit.bundle"  # in it, of git
OBJECTS = "objects"  # in it, of DVC's cache


class UnreachableError(CheckError):
    """The data cannot be reached: one sentence with the reason."""


def reproduce(job: Job) -> None:
    """Run what is stale; leave the commit that records it in RUN, with its data.

    Data that a fork's job cannot reach is a warning: the report is about the run that was
    committed.
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
    if job.branch:
        _leave()
    else:
        job.tell("notice", "dvc.lock stays here: no branch of this repository; 'dvc repro' there")


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


def _leave() -> None:
    """Put the last commit into RUN, with the data that it records and the one before does not."""
    known = git.file("HEAD~", LOCK) is not None
    before = {out.hash for out in storage.recorded("HEAD~")} if known else set()
    for each in {out.hash for out in storage.recorded()} - before:
        for place in filter(Path.is_file, storage.objects(each)):
            copy = RUN / OBJECTS / place.parent.name / place.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, copy)
    RUN.mkdir(exist_ok=True)
    git.run("bundle", "create", "--quiet", str(RUN / COMMIT), "HEAD~..HEAD")
    print(f"The run is in {RUN}/; the job 'record' pushes it.")
