"""job: the environment of a CI job in; its code host, pull request, token and summary out."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from machinery.pipeline.files import UserError


@dataclass(frozen=True)
class Job:
    """Where this job runs. GitLab's merge request is a pull request here, too."""

    host: Literal["github", "gitlab"]
    server: str  # https://github.com
    api: str  # https://api.github.com
    repository: str  # owner/name
    number: int | None = None  # of the pull request
    branch: str = ""  # that it brings in, if it is of this repository and no fork; a user's text
    commit: str = ""  # that it brings in
    token: str = field(default="", repr=False)
    job_token: str = field(default="", repr=False)  # of GitLab, which may publish and little else
    summary: Path | None = None  # what is appended here, GitHub shows on the job's page
    page: str = ""  # where its log is
    cancelled: bool = False

    def tell(self, level: Literal["notice", "warning"], sentence: str) -> None:
        """Print one line, which GitHub also shows as an annotation of the job."""
        line = " ".join(self.hidden(sentence).split())
        if self.host == "github":
            print(f"::{level}::{line.replace('%', '%25')}")
        else:
            print(f"{level}: {line}")

    def summarize(self, text: str) -> None:
        """Append to what the job's page shows; a summary that cannot be written fails no job."""
        if self.summary is None:
            return
        try:
            with self.summary.open("a", encoding="utf-8", newline="\n") as summary:
                summary.write(text + "\n")
        except OSError as error:
            self.tell("warning", f"the job's summary cannot be written: {error}")

    def hidden(self, text: str) -> str:
        """The text without a token."""
        for secret in filter(None, (self.token, self.job_token)):
            text = text.replace(secret, "***")
        return text


def running(environment: Mapping[str, str] = os.environ) -> Job:
    """The job that this process is part of. Raises UserError outside of CI."""
    if environment.get("GITHUB_ACTIONS"):
        return _github(environment)
    if environment.get("GITLAB_CI"):
        return _gitlab(environment)
    raise UserError(
        "this is not a job of GitHub Actions or GitLab CI; 'report' shows the same text here"
    )


def _github(environment: Mapping[str, str]) -> Job:
    summary = environment.get("GITHUB_STEP_SUMMARY")
    server, repository = environment["GITHUB_SERVER_URL"], environment["GITHUB_REPOSITORY"]
    number, branch, commit = _pull_request(environment.get("GITHUB_EVENT_PATH"), repository)
    return Job(
        "github",
        server=server,
        api=environment["GITHUB_API_URL"],
        repository=repository,
        number=number,
        branch=branch,
        commit=commit,
        token=environment.get("GH_TOKEN", ""),
        summary=Path(summary) if summary else None,
        page=f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}",
    )


def _gitlab(environment: Mapping[str, str]) -> Job:
    source = environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    ours = source == environment.get("CI_MERGE_REQUEST_PROJECT_ID")
    # A fork's job runs in the fork, and its merge request is not there.
    merged_into = environment.get("CI_MERGE_REQUEST_PROJECT_PATH")
    return Job(
        "gitlab",
        server=environment["CI_SERVER_URL"],
        api=environment["CI_API_V4_URL"],
        repository=merged_into or environment["CI_PROJECT_PATH"],
        number=_number(environment.get("CI_MERGE_REQUEST_IID")),
        branch=environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "") if ours else "",
        commit=environment.get("CI_COMMIT_SHA", ""),
        token=environment.get("REPO_TOKEN", ""),
        job_token=environment.get("CI_JOB_TOKEN", ""),
        page=environment.get("CI_JOB_URL", ""),
        cancelled=environment.get("CI_JOB_STATUS") == "canceled",
    )


def _pull_request(event: str | None, repository: str) -> tuple[int | None, str, str]:
    """Number, branch and commit in GitHub's description of the event, if of a pull request."""
    try:
        pull = json.loads(Path(event or "").read_text(encoding="utf-8"))["pull_request"]
        head = pull.get("head") or {}
        ours = (head.get("repo") or {}).get("full_name") == repository
        branch = str(head["ref"]) if ours else ""
        return _number(pull["number"]), branch, str(head.get("sha") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, "", ""


def _number(value: object) -> int | None:
    return int(str(value)) if str(value).isdecimal() else None
