"""host: a CI job in; requests to the API of its repository, on GitHub or GitLab, out."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from machinery.pipeline.files import UserError, first_line

from .job import Job, running

TIMEOUT = 60.0  # seconds for one answer
PAGE = 100
MAX_PAGES = 50
# REST does not say what the token of a job has written.
COMMENTS = """\
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    comments(first: 100, after: $after) {
      nodes { id: databaseId body viewerDidAuthor }
      pageInfo { hasNextPage endCursor }
    }
  } }
}"""
ISSUES = """\
query($owner: String!, $name: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    issues(first: 100, after: $after, states: OPEN) {
      nodes { id: number body viewerDidAuthor }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""


class FailedError(UserError):
    """The code host did not do it: one sentence with its words."""


class MissingError(FailedError):
    """Nothing has that address, or nothing that this token may see."""


@dataclass(frozen=True)
class Comment:
    """A comment or an issue, by its number; `mine` when the job's token has written it."""

    id: str
    body: str
    mine: bool


@dataclass(frozen=True)
class Host:
    """The repository of a job, where its code host keeps it."""

    job: Job

    @property
    def api(self) -> str:
        """The address of the repository in the API."""
        if self.job.host == "github":
            return f"{self.job.api}/repos/{self.job.repository}"
        return f"{self.job.api}/projects/{quote(self.job.repository, safe='')}"

    def call(self, method: str, path: str, document: Any = None, **query: str | int) -> Any:
        """The document that answers a request.

        `path` is in the repository, or a whole address; `document` is JSON, or bytes as they are.
        Nothing is asked twice: who runs the job again takes what is done already.

        Raises:
            MissingError: for 404.
            FailedError: for any other refusal, with what was said.
        """
        address = path if "://" in path else f"{self.api}/{path}"
        address += f"?{urlencode(query)}" if query else ""
        try:
            with urlopen(self._request(method, address, document), timeout=TIMEOUT) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                said = " ".join(error.read().decode("utf-8", "replace").split())[:300]
            why = f"{method} {address} was answered with {error.code}: {said or error.reason}"
            kind = MissingError if error.code == 404 else FailedError
        except (HTTPException, OSError, ValueError) as error:
            why, kind = f"{method} {address} had no answer: {first_line(error)}", FailedError
        raise kind(self.job.hidden(why))

    def find(self, path: str, **query: str | int) -> Any:
        """The document of a path; None where nothing is there."""
        try:
            return self.call("GET", path, **query)
        except MissingError:
            return None

    def comments(self) -> list[Comment]:
        """All comments of the job's pull request, oldest first. Raises FailedError."""
        number = self.job.number
        if self.job.host == "github":
            return list(self._on_github(COMMENTS, "pullRequest", "comments", number=number))
        order = {"sort": "asc", "order_by": "created_at"}
        return list(self._on_gitlab(f"merge_requests/{number}/notes", "id", "body", **order))

    def issues(self) -> list[Comment]:
        """All open issues of the repository. Raises FailedError."""
        if self.job.host == "github":
            return list(self._on_github(ISSUES, "issues"))
        return list(self._on_gitlab("issues", "iid", "description", state="opened"))

    def write(self, body: str, comment: Comment | None) -> None:
        """Edit the comment, or add one. Raises FailedError."""
        number = self.job.number
        kind = "issues" if self.job.host == "github" else "merge_requests"
        place = f"{kind}/{number}/{'comments' if self.job.host == 'github' else 'notes'}"
        if comment is None:
            self.call("POST", place, {"body": body})
        elif self.job.host == "github":
            self.call("PATCH", f"issues/comments/{comment.id}", {"body": body})
        else:
            self.call("PUT", f"{place}/{comment.id}", {"body": body})

    def _on_github(self, query: str, *way: str, **variables: Any) -> Iterator[Comment]:
        """All nodes that a query of GraphQL finds on its way through the repository."""
        owner, _, name = self.job.repository.partition("/")
        address = f"{self.job.api.removesuffix('/v3')}/graphql"
        after: Any = None
        for _ in range(MAX_PAGES):
            place = {"owner": owner, "name": name, "after": after, **variables}
            answer = self.call("POST", address, {"query": query, "variables": place})
            if errors := answer.get("errors"):
                said = "; ".join(str(error.get("message")) for error in errors)
                raise FailedError(self.job.hidden(f"POST {address} was answered: {said}"))
            page = answer["data"]["repository"]
            for key in way:
                page = page[key]
            for each in page["nodes"]:
                yield Comment(str(each["id"]), each["body"], each["viewerDidAuthor"])
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def _on_gitlab(self, place: str, id_: str, body: str, **query: str) -> Iterator[Comment]:
        me = self.call("GET", f"{self.job.api}/user")["id"]
        for number in range(1, MAX_PAGES + 1):
            page = self.call("GET", place, **query, per_page=PAGE, page=number)
            for each in page:
                yield Comment(str(each[id_]), each[body] or "", each["author"]["id"] == me)
            if len(page) < PAGE:
                return

    def _request(self, method: str, address: str, document: Any) -> Request:
        raw = isinstance(document, bytes)
        body = document if raw or document is None else json.dumps(document).encode()
        request = Request(address, body, method=method)
        request.add_header("Content-Type", f"application/{'octet-stream' if raw else 'json'}")
        request.add_header("Accept", "application/json")
        # Unredirected: wherever an answer sends us, the token stays here.
        if self.job.host == "github":
            request.add_unredirected_header("Authorization", f"Bearer {self.job.token}")
        elif self.job.token:
            request.add_unredirected_header("PRIVATE-TOKEN", self.job.token)
        else:
            request.add_unredirected_header("JOB-TOKEN", self.job.job_token)
        return request


def host() -> Host | None:
    """The code host that runs this job; None on a laptop."""
    in_ci = os.environ.get("GITHUB_ACTIONS") or os.environ.get("GITLAB_CI")
    return Host(running()) if in_ci else None
