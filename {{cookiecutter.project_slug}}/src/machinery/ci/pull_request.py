"""pull_request: a retraining's branch and report in; one open pull or merge request for it out."""

from machinery.pipeline.files import CheckError
from machinery.versions import git

from .host import Host, host
from .retrain import Retraining
from .shell import git_with_token, remote


def pushed(planned: Retraining) -> str:
    """The commit of the branch in the remote before the run; empty where there is none.

    Raises CheckError where others have committed to it.
    """
    where = host()
    job = where.job if where else None
    place = remote(job)
    listed = git_with_token(job, "ls-remote", place, f"refs/heads/{planned.branch}").split()
    if not listed:
        return ""
    git_with_token(job, "fetch", "--quiet", place, listed[0])
    for line in git.run("log", "--format=%H %s", f"{planned.start}..{listed[0]}").splitlines():
        sha, _, subject = line.partition(" ")
        if subject != planned.title:
            what = f"{planned.branch} has commits of others, e.g. {sha[:10]}"
            raise CheckError(f"{what}; merge or delete that branch, then retrain again")
    return listed[0]


def publish(made: Retraining, before: str, body: str) -> str:
    """Push the branch and open its request, or update both; return what was done.

    The push replaces the commit `before` and no other. Outside a CI job the branch is pushed with
    the user's own credentials, and that is all.
    """
    where = host()
    job = where.job if where else None
    lease = f"--force-with-lease=refs/heads/{made.branch}:{before}"
    place = f"HEAD:refs/heads/{made.branch}"
    git_with_token(job, "push", "--no-verify", lease, remote(job), place)
    if where is None:
        return f"Pushed {made.branch}; open its pull request, with the report as its text."
    where.job.summarize(body)
    return (_on_github if where.job.host == "github" else _on_gitlab)(made, where, body)


def _on_github(made: Retraining, where: Host, body: str) -> str:
    owner = where.job.repository.partition("/")[0]
    listed = where.call("GET", "pulls", head=f"{owner}:{made.branch}", state="open")
    text = {"title": made.title, "body": body}
    if listed:
        answer = where.call("PATCH", f"pulls/{listed[0]['number']}", text)
        return f"Updated {answer['html_url']}"
    answer = where.call("POST", "pulls", {**text, "head": made.branch, "base": made.base})
    return f"Opened {answer['html_url']}"


def _on_gitlab(made: Retraining, where: Host, body: str) -> str:
    branches = {"source_branch": made.branch, "target_branch": made.base}
    listed = where.call("GET", "merge_requests", state="opened", **branches)
    text = {"title": made.title, "description": body}
    if listed:
        answer = where.call("PUT", f"merge_requests/{listed[0]['iid']}", text)
        return f"Updated {answer['web_url']}"
    answer = where.call("POST", "merge_requests", {**text, **branches})
    return f"Opened {answer['web_url']}"
