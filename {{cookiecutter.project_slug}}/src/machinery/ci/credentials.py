"""credentials: a git command in; what it printed, run with the token of the job, out."""

import os
import subprocess

from machinery.pipeline.files import UserError
from machinery.versions import git
from .job import Job

# Git asks it for the password: the token stands in no file, no address and no argument.
HELPER = '!f() { echo username=oauth2; echo "password=$JOB_PASSWORD"; }; f'


def git_with_token(job: Job | None, *words: str) -> str:
    """What git prints, with the token of the job if it has one; git's messages are seen."""
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
    remotes = git.run("remote").splitlines()
    return remotes[0] if remotes and "origin" not in remotes else "origin"
