"""host: a CI job in; requests to the API of its repository, on GitHub or GitLab, out."""

import json
import os
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from machinery.pipeline.files import UserError, first_line
from .job import Job, running

PATIENCE = 60.0  # seconds for one answer
PAUSES = (1.0, 2.0, 4.0)  # seconds before what may pass is tried again, where the host asks nothing
LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After asks for
PAGE = 100
PAGES = 50  # more than that, nobody looks through


class FailedError(UserError):
    """The code host, or a tool that speaks to it, did not do it: one sentence with its words."""


class MissingError(FailedError):
    """There is nothing of that address, or nothing that this token may see."""


@dataclass(frozen=True)
class Refusal:
    """Why a request was not answered as it should be."""

    error: FailedError
    passing: bool = False  # it may work a little later
    pause: float | None = None  # seconds, as the host asks


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
        """The document that answers a request; what may pass is asked again, and never added twice.

        `path` is in the repository, or a whole address; `document` is JSON, or bytes as they are.
        Raises MissingError for 404, else FailedError with what was said.
        """
        address = path if "://" in path else f"{self.api}/{path}"
        address += f"?{urlencode(query)}" if query else ""
        pauses = iter(PAUSES)
        while isinstance(answer := self._ask(method, address, document), Refusal):
            pause = next(pauses, None)
            if pause is None or not answer.passing:
                raise answer.error
            time.sleep(pause if answer.pause is None else min(answer.pause, LONGEST_PAUSE))
        return answer

    def query(self, words: str, **variables: Any) -> Any:
        """What GitHub answers to a query in GraphQL. Raises FailedError with what was said."""
        address = f"{self.job.api.removesuffix('/v3')}/graphql"
        answer = self.call("POST", address, {"query": words, "variables": variables})
        if errors := answer.get("errors"):
            said = "; ".join(str(error.get("message")) for error in errors)
            raise FailedError(self._hidden(f"POST {address} was answered: {said}"))
        return answer["data"]

    def find(self, path: str, **query: str | int) -> Any:
        """The document of a path; None where nothing is there."""
        try:
            return self.call("GET", path, **query)
        except MissingError:
            return None

    def remove(self, path: str) -> None:
        """Delete what is there; what is gone already needs no second time."""
        try:
            self.call("DELETE", path)
        except MissingError:
            return

    def pages(self, path: str, **query: str | int) -> list[Any]:
        """All that a list of many pages has, in its order."""
        found: list[Any] = []
        for page in range(1, PAGES + 1):
            answer = self.call("GET", path, per_page=PAGE, page=page, **query)
            found += answer
            if len(answer) < PAGE:
                break
        return found

    def _ask(self, method: str, address: str, document: Any) -> Any:
        """The document of the answer, or a Refusal."""
        request = self._request(method, address, document)
        what = f"{method} {address}"
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                said = self._hidden(f"{what} was answered with {error.code}: {_said(error)}")
            kind = MissingError if error.code == 404 else FailedError
            passing = _is_passing(error.code, error.headers, method)
            return Refusal(kind(said), passing, _asked(error.headers))
        except (URLError, HTTPException, OSError, ValueError) as error:
            said = self._hidden(f"{what} had no answer: {first_line(error)}")
            # What adds something may have arrived: once more would be twice.
            return Refusal(FailedError(said), passing=method != "POST")

    def _request(self, method: str, address: str, document: Any) -> Request:
        raw = isinstance(document, bytes)
        body = document if raw or document is None else json.dumps(document).encode()
        request = Request(address, body, method=method)
        kind = "application/octet-stream" if raw else "application/json"
        request.add_header("Content-Type", kind)
        request.add_header("Accept", "application/json")
        # Unredirected: wherever an answer sends us, the token stays here.
        for name, value in self._credentials().items():
            request.add_unredirected_header(name, value)
        return request

    def _credentials(self) -> dict[str, str]:
        """The token of the job; GitLab's own may publish, too."""
        if self.job.host == "github":
            return {"Authorization": f"Bearer {self.job.token}"}
        if self.job.token:
            return {"PRIVATE-TOKEN": self.job.token}
        return {"JOB-TOKEN": os.environ.get("CI_JOB_TOKEN", "")}

    def _hidden(self, text: str) -> str:
        """The text without a token, in case the host repeats one."""
        for secret in filter(None, (self.job.token, os.environ.get("CI_JOB_TOKEN"))):
            text = text.replace(secret, "***")
        return text


def host() -> Host | None:
    """The code host that runs this job; None on a laptop."""
    in_ci = os.environ.get("GITHUB_ACTIONS") or os.environ.get("GITLAB_CI")
    return Host(running()) if in_ci else None


def _is_passing(status: int, headers: Message, method: str) -> bool:
    """GitHub says 'too many' with 403, too. A POST that failed inside may have been done."""
    too_many = status == 429 or (status == 403 and "Retry-After" in headers)
    return too_many or (status >= 500 and method != "POST")


def _asked(headers: Message) -> float | None:
    asked = headers.get("Retry-After") or ""
    return float(asked) if asked.isdecimal() else None


def _said(error: HTTPError) -> str:
    """The words of a refusal, on one line."""
    try:
        text = error.read().decode("utf-8", "replace")
    except (HTTPException, OSError):
        text = ""
    return " ".join(text.split())[:300] or error.reason
