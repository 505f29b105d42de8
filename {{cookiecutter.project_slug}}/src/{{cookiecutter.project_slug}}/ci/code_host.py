"""code_host: a pull request in, its comments out; written through the API of GitHub or GitLab."""

import json
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from .job import Job

TRIES = 4
LONGEST_WAIT = 60.0  # seconds, whatever Retry-After asks for
PATIENCE = 30.0  # seconds for one answer
PAGE = 100
PAGES = 50  # more comments than that, nobody looks for ours among


class FailedError(Exception):
    """The code host, or a tool that speaks to it, did not do it: one sentence with its words."""


class PassingError(FailedError):
    """It may work a little later: too many requests, or a server's own mistake."""


@dataclass(frozen=True)
class Comment:
    """One comment of the conversation."""

    id: int
    body: str


class CodeHost:
    """The comments of one pull request."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def comments(self) -> list[Comment]:
        """All comments, the oldest first. Raises FailedError."""
        found: list[Comment] = []
        for page in range(1, PAGES + 1):
            query = f"?per_page={PAGE}&page={page}&sort=asc&order_by=created_at"
            answer = self._send("GET", self._all + query)
            found += [Comment(each["id"], each.get("body") or "") for each in answer]
            if len(answer) < PAGE:
                break
        return found

    def write(self, body: str, comment: Comment | None) -> None:
        """Edit the comment, or add one. Raises FailedError."""
        if comment is None:
            self._send("POST", self._all, {"body": body})
        elif self.job.host == "github":
            place = f"/repos/{self.job.repository}/issues/comments/{comment.id}"
            self._send("PATCH", place, {"body": body})
        else:
            self._send("PUT", f"{self._all}/{comment.id}", {"body": body})

    @property
    def _all(self) -> str:
        if self.job.host == "github":
            return f"/repos/{self.job.repository}/issues/{self.job.number}/comments"
        project = quote(self.job.repository, safe="")
        return f"/projects/{project}/merge_requests/{self.job.number}/notes"

    def _send(self, method: str, place: str, document: Any = None) -> Any:
        """The answer's document; what is passing is tried again, as late as the host asks."""
        for attempt in range(1, TRIES + 1):
            try:
                with urlopen(self._request(method, place, document), timeout=PATIENCE) as answer:
                    return json.load(answer)
            except HTTPError as error:
                with error:
                    said = f"{method} was answered with {error.code} {error.reason}"
                    passing = _is_passing(error.code, error.headers, method)
                    wait = _wait(error.headers, attempt)
                if not passing:
                    raise FailedError(said) from error
            except (URLError, HTTPException, OSError, ValueError) as error:
                said, wait = f"{method} had no answer: {error}", _wait(Message(), attempt)
                if method == "POST":  # it may have arrived: twice would be two comments
                    raise FailedError(said) from error
            if attempt < TRIES:
                time.sleep(wait)
        raise PassingError(f"{said}, {TRIES} times")

    def _request(self, method: str, place: str, document: Any) -> Request:
        data = None if document is None else json.dumps(document).encode()
        request = Request(self.job.api + place, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        # Unredirected: wherever an answer sends us, the token stays here.
        if self.job.host == "github":
            request.add_unredirected_header("Authorization", f"Bearer {self.job.token}")
        else:
            request.add_unredirected_header("PRIVATE-TOKEN", self.job.token)
        return request


def _is_passing(status: int, headers: Message, method: str) -> bool:
    """GitHub says 'too many' with 403, too. A POST that failed inside may have been done."""
    too_many = status == 429 or (status == 403 and "Retry-After" in headers)
    return too_many or (status >= 500 and method != "POST")


def _wait(headers: Message, attempt: int) -> float:
    asked = headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 2.0 ** (attempt - 1), LONGEST_WAIT)
