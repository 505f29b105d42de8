"""pull_request: a branch and its report in, one open pull or merge request for it out."""

import sys

from machinery.pipeline.files import CheckError
from machinery.versions import git
from .credentials import git_with_token, remote
from .host import Host, host
from .job import Job
from .retrain import Retraining

LONGEST = 50_000  # bytes of a description that git push can carry


def publish(made: Retraining, body: str) -> str:
    """Push the branch and open its request, or bring both up to date; say in a line what was done.

    Outside a CI job the branch is pushed with the user's own credentials, and that is all.
    """
    where = host()
    if where is None:
        done = "Pushed" if _push(made, None, []) else "There is already"
        return f"{done} {made.branch}; open its pull request, with the report as its text."
    where.job.summarize(body)
    if where.job.host == "github":
        _push(made, where.job, [])
        return _github(made, where, body)
    pushed = _push(made, where.job, _options(made, body))
    done = "Pushed with" if pushed else "There is already"
    return f"{done} a merge request from {made.branch} to {made.base}."


def refuse_others(planned: Retraining) -> None:
    """Raise CheckError where others have committed to the branch: before the run, not after it."""
    where = host()
    _there(planned, where.job if where else None)


def _there(made: Retraining, job: Job | None) -> str:
    """The commit that the branch has where it is pushed to; nothing for no branch."""
    place = remote(job)
    found = git_with_token(job, "ls-remote", place, f"refs/heads/{made.branch}").split()
    if not found:
        return ""
    git_with_token(job, "fetch", "--quiet", place, found[0])
    if others := [sha for sha in _commits(made.start, found[0]) if _subject(sha) != made.title]:
        what = f"{made.branch} has commits of others, as {others[0][:10]}"
        raise CheckError(f"{what}; merge or delete that branch, then retrain again")
    return found[0]


def _push(made: Retraining, job: Job | None, options: list[str]) -> bool:
    """Push what is not there yet; say whether there was something."""
    there = _there(made, job)
    if there and _same(there, made):
        print(f"{made.branch} is there already, with the same content", file=sys.stderr)
        return False
    lease = f"--force-with-lease=refs/heads/{made.branch}:{there}"
    words = [word for option in options for word in ("--push-option", option)]
    words += [remote(job), f"HEAD:refs/heads/{made.branch}"]
    git_with_token(job, "push", "--no-verify", lease, *words)
    return True


def _same(there: str, made: Retraining) -> bool:
    """Whether a commit has the same files and starts from the same."""
    trees = {git.run("rev-parse", f"{sha}^{{tree}}") for sha in (there, made.branch)}
    return len(trees) == 1 and git.run("merge-base", there, made.start) == made.start


def _commits(start: str, there: str) -> list[str]:
    return git.run("log", "--format=%H", f"{start}..{there}").splitlines()


def _subject(sha: str) -> str:
    return git.run("log", "-1", "--format=%s", sha)


def _github(made: Retraining, where: Host, body: str) -> str:
    owner = where.job.repository.partition("/")[0]
    found = where.call("GET", "pulls", head=f"{owner}:{made.branch}", state="open")
    text = {"title": made.title, "body": body}
    if found:
        answer = where.call("PATCH", f"pulls/{found[0]['number']}", text)
        return f"Updated {answer['html_url']}"
    answer = where.call("POST", "pulls", {**text, "head": made.branch, "base": made.base})
    return f"Opened {answer['html_url']}"


def _options(made: Retraining, body: str) -> list[str]:
    """GitLab opens a merge request for a push that asks for it; there `\\n` is a line end."""
    if len(body.encode()) > LONGEST:
        body = "\n\n".join(body.split("\n\n")[:2])
    request = {"target": made.base, "title": made.title, "description": body.replace("\n", "\\n")}
    pairs = [f"merge_request.{name}={value}" for name, value in request.items()]
    return ["merge_request.create", *pairs]
