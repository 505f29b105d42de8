"""Jobs of GitLab CI, and GitLab's API."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import quote

from .job import Job


@dataclass(frozen=True)
class GitLabJob(Job):
    """A job of GitLab CI."""

    host: ClassVar = "gitlab"
    author: ClassVar = ("author", "username")
    issue: ClassVar = ("iid", "description")
    issue_comments: ClassVar = "notes"
    update: ClassVar = "PUT"
    open: ClassVar = "opened"
    close: ClassVar = {"state_event": "close"}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The job that these variables describe."""
        source = environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
        fork = source != environment.get("CI_MERGE_REQUEST_PROJECT_ID")
        number = environment.get("CI_MERGE_REQUEST_IID", "")
        notes = f"merge_requests/{number}/notes"
        # A fork's job runs in the fork, and its merge request is not there.
        target = environment.get("CI_MERGE_REQUEST_PROJECT_PATH")
        repository = target or environment["CI_PROJECT_PATH"]
        page = f"{environment['CI_SERVER_URL']}/{repository}"
        api = environment["CI_API_V4_URL"]
        token = environment.get("REPO_TOKEN", "")
        job_token = environment.get("CI_JOB_TOKEN", "")  # may publish, and little else
        return cls(
            repository=repository,
            page=page,
            log=environment.get("CI_JOB_URL", ""),
            api=api,
            url=f"{api}/projects/{quote(repository, safe='')}",
            credential=("PRIVATE-TOKEN", token) if token else ("JOB-TOKEN", job_token),
            comments_path=notes,
            comment_path=notes,
            number=int(number) if number else None,
            branch="" if fork else environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
            commit=environment.get("CI_COMMIT_SHA", ""),
            token=token,
            # The clone's remote has the job's token, which may not push.
            push_address=f"{page}.git" if token else None,
            cancelled=environment.get("CI_JOB_STATUS") == "canceled",
        )

    def login(self) -> str:
        """The user of the token."""
        return str(self.call("GET", f"{self.api}/user")["username"])

    def save_pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        """Open the merge request of the branch, or update it."""
        branches = {"source_branch": branch, "target_branch": base}
        text = {"title": title, "description": body}
        query = {"state": "opened", **branches}
        if requests := self.call("GET", "merge_requests", query=query):
            request = self.call("PUT", f"merge_requests/{requests[0]['iid']}", text)
            return f"Updated {request['web_url']}"
        request = self.call("POST", "merge_requests", {**text, **branches})
        return f"Opened {request['web_url']}"

    def publish_release(self, version: str, archive: Path, notes: str) -> str:
        """Upload a generic package, and make a release of the tag that links to it."""
        path = f"packages/generic/model/{version}/{archive.name}"
        self.call("PUT", path, archive.read_bytes())
        if self.call("GET", f"releases/{version}", missing_ok=True) is None:
            link = {"name": archive.name, "url": f"{self.url}/{path}", "link_type": "package"}
            text = {"tag_name": version, "name": version, "description": notes}
            self.call("POST", "releases", {**text, "assets": {"links": [link]}})
        return f"{self.url}/{path}"
