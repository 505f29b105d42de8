"""shell: DVC and git as commands, whose progress is seen; git with the token of the job."""

import os
import subprocess
import sys
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError
from machinery.versions import git
from machinery.versions.checking import some

from .job import Job

# Git asks it for the password: the token is in no file, no address and no argument.
HELPER = '!f() { echo username=oauth2; echo "password=$JOB_PASSWORD"; }; f'


def dvc(*words: str) -> None:
    """Run DVC; its stages find this Python. Raises CheckError where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", *words]
    if subprocess.run(command, env=os.environ | {"PATH": path}, check=False).returncode:
        raise CheckError(f"'dvc {' '.join(words)}' failed, see above")


def dvc_output(*words: str) -> str:
    """What DVC prints. Raises CheckError with what it says where it fails."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckError(f"'dvc {' '.join(words)}' failed: {' '.join(done.stderr.split())}")
    return done.stdout


def require_clean(except_for: str = "") -> None:
    """Refuse a checkout with changes: all that a run writes is committed. Raises UserError."""
    if changed := [path for path in git.changes(":/") if path != except_for]:
        raise UserError(f"not committed: {some(changed)}; commit it, or git stash")


def commit(message: str) -> None:
    """Commit all that the run wrote; the tree was clean before. Hooks are for people."""
    git.run("add", "--all", ".")
    git.run(*git.NO_HOOKS, "commit", "--quiet", "--message", message)


def git_with_token(job: Job | None, *words: str) -> str:
    """What git prints, with the token of the job if it has one. Raises UserError."""
    secret, helper = {}, []
    if job is not None and job.token:
        secret = {"JOB_PASSWORD": job.token}
        helper = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
    command = ["git", *helper, *words]
    done = subprocess.run(
        command, env=os.environ | secret, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"'git {words[0]}' failed, see above")
    return done.stdout.strip()


def remote(job: Job | None) -> str:
    """Where to push: a name; on GitLab with a token of ours, the address, as origin has another."""
    if job is not None and job.host == "gitlab" and job.token:
        return f"{job.server}/{job.repository}.git"
    return git.remote()
