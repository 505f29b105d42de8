"""Run what a pull request made stale, and leave the run in a folder for `record` to push.

Nothing else runs: stages that are up to date do without their data, and a training that somebody
has pushed comes from the remote's run cache. So a parameter edited in the browser gets its metrics.
The job runs code that nobody has reviewed yet, so it has no right to write.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from machinery.pipeline.files import CheckError
from machinery.versions import git, storage
from machinery.versions import remote as remotes
from machinery.versions.checking import first_names
from machinery.versions.versions import LOCK

from .job import Job
from .shell import commit, dvc, require_clean

RUN = Path("run")  # with what the job leaves:
COMMIT = "commit.bundle"  # of git
OBJECTS = "objects"  # of DVC's cache


def reproduce(job: Job) -> None:
    """Run what is stale; leave the commit that records it in RUN, with its data.

    Data that a fork's job cannot reach is only a warning: the report is then about the run that was
    committed.
    """
    require_clean()
    try:
        stale = _pull_inputs()
    except CheckError as error:
        if job.branch:
            raise
        job.notify("warning", f"nothing was run, since a fork's job cannot read the data: {error}")
        return
    if stale:
        dvc("repro", "--pull", "--allow-missing")
    if not git.changes():
        print("dvc.lock is up to date: there is nothing to record.")
        return
    commit("Reproduce the pipeline")
    if job.branch:
        _leave()
    else:
        job.notify("notice", "dvc.lock stays here: the branch is a fork's; run 'dvc repro' there")


def _pull_inputs() -> bool:
    """Pull the inputs of all stages that will run; return whether any will.

    `dvc repro --pull` alone would take a folder that several stages fill for complete once the
    first of them has run. Raises CheckError if the data cannot be reached.
    """
    if problem := remotes.folder_elsewhere():
        raise CheckError(", and run and report need the data; ".join(problem))
    if stale := storage.changes():
        print(f"Stale: {first_names(stale)}", flush=True)
        if inputs := _inputs({*stale}):
            dvc("pull", "--allow-missing", *inputs)
    return bool(stale)


def _inputs(stale: set[str]) -> list[str]:
    """The stages that will not run, but whose outputs are read by stages that will.

    `dvc dag --dot` has an edge from each stage to those that read it.
    """
    command = [sys.executable, "-m", "dvc", "dag", "--dot"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckError(f"'dvc dag' failed: {' '.join(done.stderr.split())}")
    edges = re.findall(r'^"(.+)" -> "(.+)";$', done.stdout, re.MULTILINE)
    running = set(stale)
    while readers := {reader for stage, reader in edges if stage in running} - running:
        running |= readers
    return sorted({stage for stage, reader in edges if reader in running} - running)


def _leave() -> None:
    """Put the last commit into RUN, with the data that it records and its parent does not."""
    parent = storage.recorded("HEAD~") if git.file("HEAD~", LOCK) is not None else []
    for md5 in {out.hash for out in storage.recorded()} - {out.hash for out in parent}:
        for path in filter(Path.is_file, storage.objects(md5)):
            copy = RUN / OBJECTS / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    RUN.mkdir(exist_ok=True)
    git.run("bundle", "create", "--quiet", str(RUN / COMMIT), "HEAD~..HEAD")
    print(f"The run is in {RUN}/; the job 'record' pushes it.")
