"""Jobs of GitHub Actions, and GitHub's API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from .job import CodeHostError, Job


@dataclass(frozen=True)
class GitHubJob(Job):
    """A job of GitHub Actions."""

    host: ClassVar = "github"
    author: ClassVar = ("user", "login")
    issue: ClassVar = ("number", "body")
    issue_comments: ClassVar = "comments"
    update: ClassVar = "PATCH"
    open: ClassVar = "open"
    close: ClassVar = {"state": "closed"}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The job that these variables describe."""
        repository = environment["GITHUB_REPOSITORY"]
        page = f"{environment['GITHUB_SERVER_URL']}/{repository}"
        api, token = environment["GITHUB_API_URL"], environment.get("GH_TOKEN", "")
        summary = environment.get("GITHUB_STEP_SUMMARY")
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        pull = event.get("pull_request") or {}
        head = pull.get("head") or {}
        origin = head.get("repo") or {}  # none if the fork was deleted
        return cls(
            repository=repository,
            page=page,
            log=f"{page}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}",
            api=api,
            comments_path=f"issues/{pull.get('number')}/comments",
            comment_path="issues/comments",
            number=pull.get("number"),
            branch=head["ref"] if origin.get("full_name") == repository else "",
            commit=head.get("sha", ""),
            url=f"{api}/repos/{repository}",
            credential=("Authorization", f"Bearer {token}"),
            token=token,
            summary=Path(summary) if summary else None,
        )

    def notify(self, level: str, message: str) -> None:
        """Print one line, which GitHub also shows as an annotation of the job."""
        print(f"::{level}::{self.hide_tokens(message).replace('%', '%25')}")

    def login(self) -> str:
        """The user of the token, by GraphQL, since REST does not know a job's token."""
        address = f"{self.api.removesuffix('/v3')}/graphql"
        response = self.call("POST", address, {"query": "{ viewer { login } }"})
        try:
            return str(response["data"]["viewer"]["login"])
        except (KeyError, TypeError):
            message = f"{address} does not know the token: {response}"
            raise CodeHostError(self.hide_tokens(message)) from None

    def save_pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        """Open the pull request of the branch, or update it."""
        owner, text = self.repository.partition("/")[0], {"title": title, "body": body}
        query = {"head": f"{owner}:{branch}", "state": "open"}
        if pulls := self.call("GET", "pulls", query=query):
            pull = self.call("PATCH", f"pulls/{pulls[0]['number']}", text)
            return f"Updated {pull['html_url']}"
        pull = self.call("POST", "pulls", {**text, "head": branch, "base": base})
        return f"Opened {pull['html_url']}"

    def publish_release(self, version: str, archive: Path, notes: str) -> str:
        """Upload the archive to the release of the tag, in place of one of the same name."""
        release = self.call("GET", f"releases/tags/{version}", missing_ok=True)
        if release is None:
            text = {"tag_name": version, "name": version, "body": notes}
            release = self.call("POST", "releases", text)
        for asset in release.get("assets", []):
            if asset["name"] == archive.name:
                self.call("DELETE", f"releases/assets/{asset['id']}")
        address = release["upload_url"].partition("{")[0]
        self.call("POST", address, archive.read_bytes(), {"name": archive.name})
        return str(release["html_url"])
