"""Push the branch of a retraining, and keep one open pull request for it."""

from machinery.pipeline.files import CheckError
from machinery.versions import git

from .job import find_job
from .retrain import Retraining
from .shell import git_with_token, remote


def pushed(plan: Retraining) -> str:
    """The commit of the branch in the remote before the run; empty if there is none.

    Raises CheckError if someone else has committed to the branch.
    """
    job = find_job()
    listing = git_with_token(job, "ls-remote", remote(job), f"refs/heads/{plan.branch}")
    if not listing:
        return ""
    commit = listing.split()[0]
    git_with_token(job, "fetch", "--quiet", remote(job), commit)
    for line in git.run("log", "--format=%H %s", f"{plan.start}..{commit}").splitlines():
        sha, _, subject = line.partition(" ")
        if subject != plan.title:
            raise CheckError(
                f"{plan.branch} has commits of someone else, e.g. {sha[:10]}; merge or delete that "
                "branch, then retrain again"
            )
    return commit


def publish(plan: Retraining, before: str, body: str) -> str:
    """Push the branch and open its pull request, or update both; return what was done.

    The push replaces the commit `before` and no other. Outside of a CI job it only pushes the
    branch, with the user's own credentials.
    """
    job = find_job()
    lease = f"--force-with-lease=refs/heads/{plan.branch}:{before}"
    refspec = f"HEAD:refs/heads/{plan.branch}"
    git_with_token(job, "push", "--no-verify", lease, remote(job), refspec)
    if job is None:
        return f"Pushed {plan.branch}; open its pull request, with the report as its text."
    job.summarize(body)
    return job.save_pull_request(plan.branch, plan.base, plan.title, body)
