"""host: the running CI job in; requests to its repository's API, and git with its token, out."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from ..files import UserError, first_line
from .job import Job, running

PATIENCE = 60.0  # seconds for one answer
# Git asks it for the password: the token stands in no file, no address and no argument.
HELPER = '!f() { echo username=oauth2; echo "password=$JOB_PASSWORD"; }; f'


@dataclass(frozen=True)
class Host:
    """The repository of the running job, where its code host keeps it."""

    job: Job

    @property
    def api(self) -> str:
        """The address of the repository in the API."""
        if self.job.host == "github":
            return f"{self.job.api}/repos/{self.job.repository}"
        return f"{self.job.api}/projects/{quote(self.job.repository, safe='')}"

    def call(self, method: str, path: str, document: Any = None, **query: str) -> Any:
        """The answer to a request; None where a GET finds nothing.

        Raises UserError with what was said.
        """
        address = path if "://" in path else f"{self.api}/{path}"
        address += f"?{urlencode(query)}" if query else ""
        try:
            with urlopen(self._request(method, address, document), timeout=PATIENCE) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                if error.code == 404 and method == "GET":
                    return None
                said = " ".join(error.read().decode("utf-8", "replace").split())[:300]
            raise UserError(f"{method} {address} is answered with {error.code}: {said}") from error
        except (URLError, OSError, ValueError) as error:
            raise UserError(f"{method} {address} has no answer: {first_line(error)}") from error

    def _request(self, method: str, address: str, document: Any) -> Request:
        raw = isinstance(document, bytes)
        body = document if raw or document is None else json.dumps(document).encode()
        request = Request(address, body, method=method)
        kind = "application/octet-stream" if raw else "application/json"
        request.add_header("Content-Type", kind)
        # Unredirected: wherever an answer sends us, the token stays here.
        if self.job.host == "github":
            request.add_unredirected_header("Authorization", f"Bearer {self.job.token}")
        elif self.job.token:
            request.add_unredirected_header("PRIVATE-TOKEN", self.job.token)
        else:
            request.add_unredirected_header("JOB-TOKEN", os.environ.get("CI_JOB_TOKEN", ""))
        return request


def host() -> Host | None:
    """The code host that runs this job; None on a laptop."""
    in_ci = os.environ.get("GITHUB_ACTIONS") or os.environ.get("GITLAB_CI")
    return Host(running()) if in_ci else None


def git(where: Host | None, *words: str) -> str:
    """What git prints, with the token of the job if it has one; git's messages are seen."""
    secret, helper = {}, []
    if where is not None and where.job.token:
        secret = {"JOB_PASSWORD": where.job.token}
        helper = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
    command = ["git", *helper, *words]
    done = subprocess.run(
        command, env=os.environ | secret, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"'git {words[0]}' failed, see above")
    return done.stdout.strip()
