"""Push what `reproduce` left: its data to the remote, and its commit to the branch.

The run comes from code that nobody has reviewed yet, and this job may write. So it runs in a
checkout of the base branch and treats the run as data: it uses no code, configuration or package
of the branch. The commit may only change what stages write, and every data file must match its
hash.
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


def record(run: Path, job: Job) -> None:
    """Push the data of the run, then the commit that records it.

    A token that may not push is only a warning: the report is valid all the same.

    Raises:
        CheckError: if the run contains anything that stages do not write.
    """
    if not (run / COMMIT).is_file():
        print("There is nothing to record.")
        return
    commit = _fetch_commit(run / COMMIT, job.commit)
    _fill_cache(run / OBJECTS)
    git.run("restore", f"--source={commit}", "--", LOCK, PIPELINE, PARAMS.as_posix())
    try:
        dvc("push")
    except UserError:
        job.notify("warning", "the data of this run is not pushed: this job may not write it")
    else:
        _push_commit(job, commit)


def _fetch_commit(bundle: Path, parent: str) -> str:
    """The commit in the bundle, checked to be one valid commit on the pull request's head."""
    check = ("-c", "fetch.fsckObjects=true")
    git.run(*check, "fetch", "--quiet", "--no-tags", bundle.as_posix(), "HEAD")
    commit = git.resolve("FETCH_HEAD")
    if git.run("rev-parse", f"{commit}^@").splitlines() != [parent]:
        raise CheckError(f"the run is not one commit on {parent}")
    outputs = {LOCK, *_outputs(git.file(parent, PIPELINE) or b"")}
    here = git.prefix()
    # Each file is ':OLD-MODE NEW-MODE OLD-BLOB NEW-BLOB STATUS' and its path.
    changes = git.run("diff", "--raw", "-z", "--no-renames", parent, commit).split("\0")[:-1]
    for status, path in zip(changes[::2], changes[1::2], strict=True):
        if status.split()[1] not in ("100644", "000000"):
            raise CheckError(f"the run makes {path} a link or an executable: it is not recorded")
        name = path.removeprefix(here) if path.startswith(here) else ""
        if not any(name == output or within(name, output) for output in outputs):
            raise CheckError(f"the run changes {path}, which is no output in {PIPELINE}")
    return commit


def _outputs(text: bytes) -> Iterator[str]:
    """The paths that the stages of dvc.yaml write."""
    for stage in parse_yaml(text, PIPELINE).get("stages", {}).values():
        stage = stage.get("do", stage)
        for key in ("outs", "metrics", "plots"):
            for out in stage.get(key, []):
                yield out if isinstance(out, str) else next(iter(out))


def _fill_cache(objects: Path) -> None:
    """Move the data of the run into DVC's cache."""
    for path in sorted(objects.glob("*/*")):
        if path.is_symlink() or not storage.is_intact(path):
            raise CheckError(f"{path} does not match the hash in its name: it is not recorded")
        target = storage.cache_path(path.parent.name + path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def _push_commit(job: Job, commit: str) -> None:
    """Push to the branch unless it has moved: later commits have jobs of their own."""
    try:
        git_with_token(job, "push", "--no-verify", remote(job), f"{commit}:refs/heads/{job.branch}")
    except UserError as error:
        job.notify(
            "warning",
            f"dvc.lock was not pushed to {job.branch}: {error}; run 'dvc repro' on the branch, "
            "then commit and push",
        )
    else:
        print(f"Pushed dvc.lock and the reports to {job.branch}.")
