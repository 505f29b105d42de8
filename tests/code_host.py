"""A stand-in for the API of GitHub and GitLab, over HTTPS on 127.0.0.1.

It has the comments of one pull request, new pull requests, issues and releases, as far as `cml` and
our own commands need them, and fails on demand. GitHub's paths are those of a GitHub Enterprise
server: `/api/v3`, `/api/graphql`.
"""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from code_host_api import NUMBER, REPOSITORY, routed

TOKEN = "ghs_a-secret-of-the-job"
CREDENTIALS = ("Authorization", "PRIVATE-TOKEN", "JOB-TOKEN")


@dataclass(frozen=True)
class Request:
    """A request, with the token of the client."""

    method: str
    path: str
    token: str
    body: Any = None

    @property
    def place(self) -> str:
        """The path without the query."""
        return unquote(urlsplit(self.path).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass(frozen=True)
class Failure:
    """A status in place of the right response, to the requests that it fits."""

    status: int
    fits: Callable[[Request], bool]
    message: str = "refused by the test"
    location: str = ""  # of a redirection


@dataclass
class CodeHost:
    """The comments, pull requests, issues and releases, and all requests."""

    url: str = ""
    certificate: Path = Path()
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def tokens(self) -> set[str]:
        """The tokens of all requests."""
        return {request.token for request in self.requests}

    def clear(self) -> None:
        """Forget everything: a new test."""
        for content in (self.comments, self.pulls, self.issues, self.releases, self.files):
            content.clear()
        self.requests.clear()
        self.failures.clear()

    def say(self, body: str, user: str = "a-reviewer") -> dict[str, Any]:
        """Add a comment of a user."""
        number = 1000 + len(self.comments)
        address = f"{self.url}/{REPOSITORY}/pull/{NUMBER}#issuecomment-{number}"
        self.comments.append(
            {"id": number, "body": body, "user": {"login": user}, "html_url": address}
        )
        return self.comments[-1]

    def file(self, title: str, body: str, user: str = "a-reviewer") -> dict[str, Any]:
        """Open an issue of a user."""
        number = 101 + len(self.issues)
        issue = {"number": number, "title": title, "body": body, "state": "open", "comments": []}
        self.issues.append({**issue, "user": {"login": user}})
        return self.issues[-1]

    def edit(self, number: str, body: str) -> dict[str, Any] | None:
        """Change a comment; None if there is none of that number."""
        for comment in self.comments:
            if str(comment["id"]) == number:
                comment["body"] = body
                return comment
        return None

    def bodies(self) -> list[str]:
        """All comments, oldest first."""
        return [comment["body"] for comment in self.comments]

    def fail(
        self, status: int, fits: Callable[[Request], bool] = lambda _: True, **fields: str
    ) -> None:
        """Respond with a status from now on, to the requests that fit."""
        self.failures.append(Failure(status, fits, **fields))

    def environment(
        self, folder: Path, branch: str = "", source: str = REPOSITORY, commit: str = ""
    ) -> dict[str, str]:
        """The environment of a job of GitHub Actions: of a push, or a branch's pull request."""
        event, summary = folder / "event.json", folder / "summary.md"
        head = {"ref": branch, "sha": commit, "repo": {"full_name": source}}
        document: dict[str, Any] = {"ref": "refs/heads/main"}
        if branch:
            document = {"pull_request": {"number": NUMBER, "head": head}}
        event.write_text(json.dumps(document), encoding="utf-8")
        return self._certified() | {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"{self.url}/api/v3",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "42",
            "GITHUB_SERVER_URL": self.url,
            "GITHUB_STEP_SUMMARY": str(summary),
        }

    def gitlab_environment(self) -> dict[str, str]:
        """The environment of a job of GitLab CI for the merge request."""
        return self._certified() | {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{self.url}/api/v4",
            "CI_JOB_URL": f"{self.url}/{REPOSITORY}/-/jobs/42",
            "CI_MERGE_REQUEST_IID": str(NUMBER),
            "CI_MERGE_REQUEST_PROJECT_PATH": REPOSITORY,
            "CI_PROJECT_PATH": REPOSITORY,
            "CI_SERVER_URL": self.url,
        }

    def _certified(self) -> dict[str, str]:
        certificate = str(self.certificate)
        return {"SSL_CERT_FILE": certificate, "NODE_EXTRA_CA_CERTS": certificate}


def signed(text: str) -> str:
    """The text as CML would post it."""
    return (
        f'{text}\n\n![](https://cml.dev/watermark.png#0a1b2c "CML watermark flight-delays report")'
    )


@contextmanager
def start(folder: Path) -> Iterator[CodeHost]:
    """Run the server on a free port until the end of the block."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    host = CodeHost(certificate=certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, host))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    host.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
        + ["/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


class _Handler(BaseHTTPRequestHandler):
    """Records a request, and fails or responds."""

    protocol_version = "HTTP/1.1"

    def __init__(self, host: CodeHost, *arguments: Any) -> None:
        self.host = host
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802
        self._answer()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""

    def _answer(self) -> None:
        request = self._read()
        self.host.requests.append(request)
        for failure in self.host.failures:
            if failure.fits(request):
                self._send(failure.status, {"message": failure.message}, failure.location)
                return
        if request.token != TOKEN:
            self._send(401, {"message": "Bad credentials"})
        elif (document := routed(self.host, request)) is None:
            self._send(404, {"message": "Not Found"})
        else:
            self._send(200, document)

    def _read(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        body: Any = raw or None
        if raw and "json" in kind:
            body = json.loads(raw)
        elif raw and "form" in kind:
            body = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
        credentials = [self.headers.get(name, "") for name in CREDENTIALS]
        token = next(filter(None, credentials), "").rpartition(" ")[2]
        return Request(self.command, self.path, token, body)

    def _send(self, status: int, document: Any, location: str = "") -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(raw)
