"""repository_host: a stand-in for a code host's pull requests and releases, on 127.0.0.1."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "team/flights"
TOKEN = "ghs_a-secret-of-the-job"


@dataclass
class RepositoryHost:
    """What is open and published on the host, and who asked with which token."""

    url: str = ""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        """What a job of GitHub Actions finds in its environment."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"{self.url}/api",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": self.url,
        }

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        """The document of the answer; None for 404."""
        prefix = f"/api/repos/{REPOSITORY}/"
        gitlab = f"/api/v4/projects/{REPOSITORY}/"
        if path.startswith(prefix):
            return self._github(method, path.removeprefix(prefix), query, body)
        if unquote(path).startswith(gitlab):
            return self._gitlab(method, unquote(path).removeprefix(gitlab), body)
        return None

    def _github(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        if path == "pulls" and method == "GET":
            branch = query["head"][0].removeprefix(f"{REPOSITORY.partition('/')[0]}:")
            return [each for each in self.pulls if each["head"] == branch]
        if path == "pulls":
            number = len(self.pulls) + 1
            address = f"{self.url}/{REPOSITORY}/pull/{number}"
            self.pulls.append({**json.loads(body), "number": number, "html_url": address})
            return self.pulls[-1]
        if match := re.fullmatch(r"pulls/(\d+)", path):
            self.pulls[int(match[1]) - 1].update(json.loads(body))
            return self.pulls[int(match[1]) - 1]
        if path.startswith("releases/tags/"):
            return self.releases.get(path.rpartition("/")[2])
        if path == "releases":
            made = json.loads(body)
            upload = f"{self.url}/api/repos/{REPOSITORY}/upload/{made['tag_name']}"
            place = {"html_url": f"{self.url}/{made['tag_name']}", "assets": []}
            made |= {**place, "upload_url": upload + "{?name,label}"}
            return self.releases.setdefault(made["tag_name"], made)
        if match := re.fullmatch(r"upload/(.*)", path):
            assets = self.releases[match[1]]["assets"]
            assets.append({"id": len(self.files) + 1, "name": query["name"][0]})
            self.files[str(assets[-1]["id"])] = body
            return assets[-1]
        if match := re.fullmatch(r"releases/assets/(\d+)", path):
            for release in self.releases.values():
                kept = [each for each in release["assets"] if str(each["id"]) != match[1]]
                release["assets"] = kept
            return {}
        return None

    def _gitlab(self, method: str, path: str, body: bytes) -> Any:
        if path.startswith("packages/") and method == "PUT":
            self.files[path] = body
            return {"message": "201 Created"}
        if path == "releases" and method == "POST":
            made = json.loads(body)
            return self.releases.setdefault(made["tag_name"], made)
        return self.releases.get(path.rpartition("/")[2])


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, host: RepositoryHost, *others: Any) -> None:
        self.host = host
        super().__init__(*others)

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for name in ("Authorization", "PRIVATE-TOKEN", "JOB-TOKEN"):
            if given := self.headers.get(name):
                self.host.tokens.add(given.removeprefix("Bearer "))
        address = urlsplit(self.path)
        found = self.host.answer(self.command, address.path, parse_qs(address.query), body)
        text = json.dumps({"message": "Not Found"} if found is None else found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def start() -> Iterator[RepositoryHost]:
    """Run the host on a free port until the end of the block."""
    host = RepositoryHost()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, host))
    server.daemon_threads = True
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
