"""record: what `reproduce` left in; its data in the remote and its commit on the branch, out.

The run is the work of code that nobody has looked at yet, and this job may write. So it runs in a
checkout of the base branch and takes the run as data: no code, no configuration and no package of
the branch is used here. The commit may change what stages write and nothing else, and every file of
data has the hash that it is recorded by.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError, parse_yaml
from machinery.pipeline.paths import PARAMS
from machinery.versions import git, storage
from machinery.versions.graph import within
from machinery.versions.versions import LOCK

from .job import Job
from .reproduce import COMMIT, OBJECTS
from .shell import dvc, git_with_token, remote

PIPELINE = "dvc.yaml"
BY_HAND = "'dvc repro' makes this run on the branch, then commit and push"
CHECKED = ("-c", "fetch.fsckObjects=true")


def record(run: Path, job: Job) -> None:
    """Push the data of the run, then the commit that records it.

    A token that may not push is a warning: the report is about this run all the same.

    Raises:
        CheckError: when the run holds what no run writes.
    """
    if not (run / COMMIT).is_file():
        print("There is nothing to record.")
        return
    commit = _commit(run / COMMIT, job.commit)
    _cache(run / OBJECTS)
    git.run("restore", f"--source={commit}", "--", LOCK, PIPELINE, PARAMS.as_posix())
    if _push_data(job):
        _push_commit(job, commit)


def _commit(bundle: Path, parent: str) -> str:
    """The commit in the bundle, whose parent is that of the pull request."""
    git.run(*CHECKED, "fetch", "--quiet", "--no-tags", bundle.as_posix(), "HEAD")
    commit = git.resolve("FETCH_HEAD")
    if git.run("rev-parse", f"{commit}^@").splitlines() != [parent]:
        raise CheckError(f"the run is not one commit on {parent}")
    outputs = {LOCK, *_outputs(git.file(parent, PIPELINE) or b"")}
    here = git.prefix()
    # Each file is ':OLD-MODE NEW-MODE OLD-BLOB NEW-BLOB STATUS' and its path.
    changes = git.run("diff", "--raw", "-z", "--no-renames", parent, commit).split("\0")[:-1]
    for about, path in zip(changes[::2], changes[1::2], strict=True):
        if about.split()[1] not in ("100644", "000000"):
            raise CheckError(f"the run makes {path} a link or a program: it is not recorded")
        inside = path.removeprefix(here) if path.startswith(here) else ""
        if not any(inside == output or within(inside, output) for output in outputs):
            raise CheckError(f"the run changes {path}, which is no output in {PIPELINE}")
    return commit


def _outputs(text: bytes) -> Iterator[str]:
    """The paths that stages write."""
    for stage in parse_yaml(text, PIPELINE).get("stages", {}).values():
        about = stage.get("do", stage)
        for kind in ("outs", "metrics", "plots"):
            for out in about.get(kind, []):
                yield out if isinstance(out, str) else next(iter(out))


def _cache(objects: Path) -> None:
    """Move the data of the run into the cache."""
    for place in sorted(objects.glob("*/*")):
        if place.is_symlink() or not storage.is_whole(place):
            raise CheckError(f"{place} has not the hash that is its name: the run is not recorded")
        kept = storage.cached(place.parent.name + place.name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place, kept)


def _push_data(job: Job) -> bool:
    try:
        dvc("push")
    except UserError:
        job.tell("warning", "the data of this run is not pushed: this job may not write the remote")
        return False
    return True


def _push_commit(job: Job, commit: str) -> None:
    """Push to the branch as it was checked out; later commits have jobs of their own."""
    place = f"{commit}:refs/heads/{job.branch}"
    try:
        git_with_token(job, "push", "--no-verify", remote(job), place)
    except UserError as error:
        why = f"dvc.lock did not come back to {job.branch}: {error}"
        job.tell("warning", f"{why}; {BY_HAND}")
    else:
        print(f"Pushed dvc.lock and the reports to {job.branch}.")
