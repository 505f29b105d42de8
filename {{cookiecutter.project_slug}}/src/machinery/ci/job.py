"""The CI job that runs this process, and the API of its code host.

A merge request of GitLab is called a pull request here, too.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from machinery.pipeline.files import UserError, first_line

TIMEOUT = 60.0  # seconds for one response
PAGE = 100


class CodeHostError(UserError):
    """The code host refused a request: one sentence with its own words."""


@dataclass(frozen=True)
class Post:
    """A comment or an issue; `own` if the job's token wrote it."""

    id: str
    body: str
    own: bool


@dataclass(frozen=True)
class Job(ABC):
    """A CI job and the repository that it belongs to."""

    repository: str  # owner/name
    page: str  # of the repository
    log: str  # address of the job's log
    api: str  # https://api.github.com
    url: str  # of the repository in the API
    credential: tuple[str, str] = field(repr=False)  # header of requests: name and value
    comments_path: str  # of the pull request
    comment_path: str  # of one comment, without its number
    number: int | None = None  # of the pull request
    branch: str = ""  # of the pull request; empty for a fork's. Untrusted text
    commit: str = ""  # head of the pull request
    token: str = field(default="", repr=False)
    push_address: str | None = None  # None: the remote of the clone
    summary: Path | None = None  # GitHub shows this file on the job's page
    cancelled: bool = False

    host: ClassVar[str]
    author: ClassVar[tuple[str, str]]  # keys of the login that wrote a comment or an issue
    issue: ClassVar[tuple[str, str]]  # keys of an issue's number and text
    issue_comments: ClassVar[str]  # path below an issue
    update: ClassVar[str]  # HTTP method
    open: ClassVar[str]  # state of an issue or pull request
    close: ClassVar[dict[str, str]]  # fields that close an issue

    @abstractmethod
    def login(self) -> str:
        """The user whom the token belongs to."""

    @abstractmethod
    def save_pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        """Open the pull request of a branch or update the open one; return what was done."""

    @abstractmethod
    def publish_release(self, version: str, archive: Path, notes: str) -> str:
        """Publish the archive in a release of the tag, or replace it; return the address."""

    def comments(self) -> list[Post]:
        """All comments of the pull request, oldest first. Raises CodeHostError."""
        order = {"sort": "asc", "order_by": "created_at"}
        return list(self._posts(self.comments_path, ("id", "body"), **order))

    def save_comment(self, body: str, comment: Post | None) -> None:
        """Edit the comment, or add one. Raises CodeHostError."""
        if comment is None:
            self.call("POST", self.comments_path, {"body": body})
        else:
            self.call(self.update, f"{self.comment_path}/{comment.id}", {"body": body})

    def issues(self) -> list[Post]:
        """All open issues of the repository. Raises CodeHostError."""
        return list(self._posts("issues", self.issue, state=self.open))

    def save_issue(self, title: str, body: str, issue: Post | None) -> None:
        """Edit the issue, or open one. Raises CodeHostError."""
        if issue is None:
            self.call("POST", "issues", {"title": title, self.issue[1]: body})
        else:
            self.call(self.update, f"issues/{issue.id}", {self.issue[1]: body})

    def close_issue(self, issue: Post, comment: str) -> None:
        """Add a comment and close the issue. Raises CodeHostError."""
        self.call("POST", f"issues/{issue.id}/{self.issue_comments}", {"body": comment})
        self.call(self.update, f"issues/{issue.id}", self.close)

    def notify(self, level: Literal["notice", "warning"], message: str) -> None:
        """Print one line."""
        print(f"{level}: {self.hide_tokens(message)}")

    def summarize(self, text: str) -> None:
        """Append to the summary on the job's page, if the code host has one.

        A summary that cannot be written is only a warning, so that the comment is still posted.
        """
        if self.summary is None:
            return
        try:
            with self.summary.open("a", encoding="utf-8", newline="\n") as summary:
                summary.write(text + "\n")
        except OSError as error:
            self.notify("warning", f"the job's summary cannot be written: {error}")

    def hide_tokens(self, text: str) -> str:
        """The text on one line, without tokens."""
        for secret in filter(None, (self.token, self.credential[1])):
            text = text.replace(secret, "***")
        return " ".join(text.split())

    def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        missing_ok: bool = False,
    ) -> Any:
        """Send a request and return the JSON of the response. Nothing is retried.

        `path` is relative to the repository, or a whole address; `document` is sent as JSON, bytes
        as they are. With `missing_ok`, 404 gives None. Raises CodeHostError with the host's
        message.
        """
        address = path if "://" in path else f"{self.url}/{path}"
        address += f"?{urlencode(query)}" if query else ""
        raw = isinstance(document, bytes)
        body = document if raw or document is None else json.dumps(document).encode()
        request = Request(address, body, method=method)
        request.add_header("Content-Type", f"application/{'octet-stream' if raw else 'json'}")
        request.add_unredirected_header(*self.credential)  # a redirect must not get the token
        try:
            with urlopen(request, timeout=TIMEOUT) as response:
                return json.loads(response.read() or b"null")
        except HTTPError as error:
            with error:
                if error.code == 404 and missing_ok:
                    return None
                text = error.read().decode("utf-8", "replace")[:300]
                message = f"with {error.code}: {text or error.reason}"
        except (HTTPException, OSError, ValueError) as error:
            message = first_line(error)
        raise CodeHostError(self.hide_tokens(f"{method} {address} failed {message}"))

    def _posts(self, path: str, keys: tuple[str, str], **query: str) -> Iterator[Post]:
        """The comments or issues of all pages."""
        login, (author, name), (number, body) = self.login(), self.author, keys
        for page in count(1):
            query |= {"per_page": str(PAGE), "page": str(page)}
            posts = self.call("GET", path, query=query)
            for post in posts:
                own = post[author] is not None and post[author][name] == login
                yield Post(str(post[number]), post[body] or "", own)
            if len(posts) < PAGE:
                return


def find_job(environment: Mapping[str, str] = os.environ) -> Job | None:
    """The CI job that runs this process; None outside of CI."""
    from .github import GitHubJob
    from .gitlab import GitLabJob

    if environment.get("GITHUB_ACTIONS"):
        return GitHubJob.from_environment(environment)
    if environment.get("GITLAB_CI"):
        return GitLabJob.from_environment(environment)
    return None


def running(environment: Mapping[str, str] = os.environ) -> Job:
    """The CI job that runs this process. Raises UserError outside of CI."""
    if (job := find_job(environment)) is None:
        raise UserError(
            "this is not a job of GitHub Actions or GitLab CI; 'report' prints the same text here"
        )
    return job
