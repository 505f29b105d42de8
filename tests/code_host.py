"""code_host: a stand-in for the API of GitHub and GitLab, over HTTPS on 127.0.0.1.

It speaks of one pull request's comments, as much as `cml`, `gh` and our own command ask for, and
fails on demand. GitHub's paths are those of a GitHub Enterprise server: `/api/v3`, `/api/graphql`.
"""

import json
import re
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
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "team/flights"
NUMBER = 7
TOKEN = "ghs_a-secret-of-the-job"
USER = "github-actions[bot]"  # whose token it is


@dataclass(frozen=True)
class Request:
    """What somebody asked for."""

    method: str
    path: str
    agent: str
    body: Any = None


@dataclass(frozen=True)
class Failure:
    """An answer in place of the right one, to the requests that it fits, so many times."""

    status: int
    times: int = 1_000
    retry_after: str | None = None
    fits: Callable[[Request], bool] = lambda _: True


@dataclass
class CodeHost:
    """The server's side of one pull request."""

    url: str = ""
    certificate: Path = Path()
    comments: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def say(self, body: str, user: str = "a-reviewer") -> dict[str, Any]:
        """Add a comment, as somebody."""
        number = 1000 + len(self.comments)
        address = f"{self.url}/{REPOSITORY}/pull/{NUMBER}#issuecomment-{number}"
        self.comments.append(
            {"id": number, "body": body, "user": {"login": user}, "html_url": address}
        )
        return self.comments[-1]

    def edit(self, number: str, body: str) -> dict[str, Any] | None:
        """Change a comment; None where there is none of that number."""
        for each in self.comments:
            if str(each["id"]) == number:
                each["body"] = body
                return each
        return None

    def bodies(self) -> list[str]:
        """All comments, the oldest first."""
        return [each["body"] for each in self.comments]

    def fail(self, status: int, **how: Any) -> None:
        """Answer with a status from now on: `times`, `retry_after`, `fits`."""
        self.failures.append(Failure(status, **how))

    def failure(self, request: Request) -> Failure | None:
        """The failure that is due for this request."""
        for place, failure in enumerate(self.failures):
            if failure.times and failure.fits(request):
                left = Failure(failure.status, failure.times - 1, failure.retry_after, failure.fits)
                self.failures[place] = left
                return failure
        return None

    def environment(self, folder: Path, branch: str = "dial") -> dict[str, str]:
        """What a job of GitHub Actions for this pull request finds in its environment."""
        event, summary = folder / "event.json", folder / "summary.md"
        head = {"ref": branch, "repo": {"full_name": REPOSITORY}}
        document = {"pull_request": {"number": NUMBER, "head": head}}
        event.write_text(json.dumps(document), encoding="utf-8")
        return self._certified() | {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"{self.url}/api/v3",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": self.url,
            "GITHUB_STEP_SUMMARY": str(summary),
            "GH_TOKEN": TOKEN,
        }

    def gitlab_environment(self) -> dict[str, str]:
        """What a job of GitLab CI for this merge request finds in its environment."""
        return self._certified() | {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{self.url}/api/v4",
            "CI_MERGE_REQUEST_IID": str(NUMBER),
            "CI_PROJECT_PATH": REPOSITORY,
            "CI_SERVER_URL": self.url,
            "REPO_TOKEN": TOKEN,
        }

    def _certified(self) -> dict[str, str]:
        certificate = str(self.certificate)
        return {"SSL_CERT_FILE": certificate, "NODE_EXTRA_CA_CERTS": certificate}


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
    """One request: recorded, refused if it is to be, else answered by the first route that fits."""

    protocol_version = "HTTP/1.1"

    def __init__(self, host: CodeHost, *arguments: Any) -> None:
        self.host = host
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802
        self._answer()

    do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""

    def _answer(self) -> None:
        request = self._read()
        self.host.requests.append(request)
        if failure := self.host.failure(request):
            headers = {"Retry-After": failure.retry_after} if failure.retry_after else {}
            self._send(failure.status, {"message": "refused by the test"}, headers)
        elif TOKEN not in str(self.headers):
            self._send(401, {"message": "Bad credentials"}, {})
        else:
            answer, headers = _routed(self.host, request)
            self._send(404 if answer is None else 200, answer, headers)

    def _read(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        kind = self.headers.get("Content-Type", "")
        body: Any = json.loads(raw) if raw and "json" in kind else None
        if raw and body is None:
            body = {name: values[0] for name, values in parse_qs(raw).items()}
        return Request(self.command, self.path, self.headers.get("User-Agent", ""), body)

    def _send(self, status: int, document: Any, headers: dict[str, str]) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _routed(host: CodeHost, request: Request) -> tuple[Any, dict[str, str]]:
    where = urlsplit(request.path)
    query = {name: values[0] for name, values in parse_qs(where.query).items()}
    project, issue = f"/api/v4/projects/{REPOSITORY}", f"/api/v3/repos/{REPOSITORY}/issues"
    path = where.path.replace("%2F", "/").replace("%2f", "/")
    notes = f"{project}/merge_requests/{NUMBER}/notes"
    comments = f"{issue}/{NUMBER}/comments"
    if path == "/api/graphql":
        return _graphql(host, request.body), {}
    if path == "/api/v4/version":
        return {"version": "17.0.0"}, {}
    if request.method == "GET" and path == comments:
        return _page(host.comments, query, 30), {}
    if request.method == "GET" and path == notes:
        rising = query.get("sort") == "asc"
        return _page(host.comments if rising else host.comments[::-1], query, 20), {}
    if request.method == "POST" and path in (comments, notes):
        return host.say(request.body["body"], USER), {}
    if found := re.fullmatch(rf"(?:{issue}/comments|{notes})/(\d+)", path):
        return host.edit(found[1], request.body["body"]), {}
    return None, {}


def _page(comments: list[Any], query: dict[str, str], default: int) -> list[Any]:
    size, page = int(query.get("per_page", default)), int(query.get("page", 1))
    return comments[(page - 1) * size : page * size]


def _graphql(host: CodeHost, asked: dict[str, Any]) -> dict[str, Any]:
    """What gh asks for; the nodes have all that it may choose from."""
    words, given = asked["query"], asked.get("variables", {}).get("input", {})
    if "updateIssueComment" in words:
        edited = host.edit(given["id"], given["body"]) or {}
        return {"data": {"updateIssueComment": {"issueComment": {"url": edited["html_url"]}}}}
    if "addComment" in words:
        made = host.say(given["body"], USER)
        return {"data": {"addComment": {"commentEdge": {"node": {"url": made["html_url"]}}}}}
    nodes = [_node(each) for each in host.comments]
    comments = {"nodes": nodes, "totalCount": len(nodes), "pageInfo": {"hasNextPage": False}}
    pull = {"id": "PR_7", "number": NUMBER, "url": f"{host.url}/{REPOSITORY}/pull/{NUMBER}"}
    return {"data": {"repository": {"pullRequest": {**pull, "comments": comments}}}}


def _node(comment: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(comment["id"]),
        "author": {"login": comment["user"]["login"]},
        "body": comment["body"],
        "url": comment["html_url"],
        "viewerDidAuthor": comment["user"]["login"] == USER,
    }
