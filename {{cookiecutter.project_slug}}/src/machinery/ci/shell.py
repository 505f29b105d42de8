"""Run DVC and git as commands, git with the token of the job."""

import os
import subprocess
import sys
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError
from machinery.versions import git
from machinery.versions.checking import first_names

from .job import Job

# Git asks it for the password, so that the token is in no file, address or argument.
HELPER = '!f() { echo username=oauth2; echo "password=$JOB_PASSWORD"; }; f'


def dvc(*arguments: str) -> None:
    """Run DVC, whose stages find this Python. Raises CheckError if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", *arguments]
    if subprocess.run(command, env=os.environ | {"PATH": path}, check=False).returncode:
        raise CheckError(f"'dvc {' '.join(arguments)}' failed, see above")


def require_clean(except_for: str = "") -> None:
    """Refuse a checkout with changes, since `commit` commits everything. Raises UserError."""
    if changes := [path for path in git.changes(":/") if path != except_for]:
        raise UserError(f"not committed: {first_names(changes)}; commit it, or git stash")


def commit(message: str) -> None:
    """Commit all that the run wrote; the tree was clean before it. Hooks are for people."""
    git.run("add", "--all", ".")
    git.run(*git.NO_HOOKS, "commit", "--quiet", "--message", message)


def git_with_token(job: Job | None, *arguments: str) -> str:
    """The output of git, run with the token of the job if it has one. Raises UserError."""
    command, environment = ["git", *arguments], {**os.environ}
    if job and job.token:
        command[1:1] = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
        environment["JOB_PASSWORD"] = job.token
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"'git {arguments[0]}' failed, see above")
    return done.stdout.strip()


def remote(job: Job | None) -> str:
    """The name or address to push to."""
    return (job and job.push_address) or git.remote()
