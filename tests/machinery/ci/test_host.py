"""The code host's client: what is told of a refusal, and where tokens go."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from machinery.ci import host as module
from machinery.ci.host import FailedError, Host, MissingError
from machinery.ci.job import Job

TOKEN = "a-secret-of-the-job"
PLACES = {"github": "/repos/team/shop", "gitlab": "/projects/team%2Fshop"}
Answer = tuple[int, dict[str, str], Any]  # status, headers, document; or bytes as they are


class Server(ThreadingHTTPServer):
    """Gives the answers it is told to, in order, the last one again and again."""

    daemon_threads = True
    answers: list[Answer]
    asked: list[tuple[str, str, dict[str, str]]]

    def host(self, kind: Any = "github", token: str = TOKEN) -> Host:
        address = f"http://127.0.0.1:{self.server_port}"
        return Host(
            Job(kind, address, address, "team/shop", 7, token=token, job_token="of-the-job")
        )


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        answers = self.server.answers
        status, headers, document = answers.pop(0) if len(answers) > 1 else answers[0]
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        if not status:  # hang up
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A code host of this machine."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = [(200, {}, {"id": 1})], []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)


def test_a_refusal_is_told_in_the_words_of_the_host(server: Server) -> None:
    server.answers = [(403, {}, {"message": "Resource not accessible by integration"})]
    with pytest.raises(FailedError, match=r"with 403: .*not accessible by integration"):
        server.host().call("GET", "pulls")
    assert len(server.asked) == 1


def test_a_host_that_is_silent_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.shutdown()  # it takes the connection, and answers nothing
    with pytest.raises(FailedError, match="had no answer: .*timed out"):
        server.host().call("GET", "pulls")


def test_what_is_not_there_is_none_or_said(server: Server) -> None:
    server.answers = [(404, {}, {"message": "Not Found"})]
    host = server.host()
    assert host.find("releases/tags/v1.0.0") is None
    with pytest.raises(MissingError, match="404"):
        host.call("PATCH", "pulls/1", {})


@pytest.mark.parametrize(
    ("kind", "token", "header", "value"),
    [
        ("github", TOKEN, "Authorization", f"Bearer {TOKEN}"),
        ("gitlab", TOKEN, "Private-Token", TOKEN),
        ("gitlab", "", "Job-Token", "of-the-job"),
    ],
)
def test_token_goes_with_the_request_and_into_no_message(
    server: Server, kind: str, token: str, header: str, value: str
) -> None:
    server.answers = [(400, {}, {"message": f"bad credentials {token or 'of-the-job'}"})]
    with pytest.raises(FailedError, match=r"bad credentials \*\*\*"):
        server.host(kind, token).call("GET", "releases")
    ((_, path, headers),) = server.asked
    assert headers[header] == value
    assert path == f"{PLACES[kind]}/releases"


def test_token_does_not_follow_a_redirection(server: Server) -> None:
    server.answers.insert(0, (302, {"Location": "/elsewhere"}, ""))
    assert server.host().call("GET", "pulls") == {"id": 1}
    first, second = (headers for _, _, headers in server.asked)
    assert "Authorization" in first and "Authorization" not in second


def test_comments_of_all_pages_are_found_on_github(server: Server) -> None:
    server.answers = [(200, {}, graphql_page(size, more=size == 100)) for size in (100, 100, 3)]
    assert len(server.host().comments()) == 203
    assert [path for _, path, _ in server.asked] == ["/graphql"] * 3


def test_comments_of_all_pages_are_found_on_gitlab(server: Server) -> None:
    note = {"id": 1, "body": "Hello", "author": {"id": 42}}
    pages = [[note] * size for size in (100, 100, 3)]
    server.answers = [(200, {}, {"id": 42}), *((200, {}, page) for page in pages)]
    found = server.host("gitlab").comments()
    assert len(found) == 203 and all(each.mine for each in found)
    asked = [path.partition("&page=")[2][:1] for _, path, _ in server.asked]
    assert asked == ["", "1", "2", "3"]


def test_open_issues_of_all_pages_are_found(server: Server) -> None:
    page = graphql_page(100, more=True)["data"]["repository"]["pullRequest"]["comments"]
    last = page | {"pageInfo": {"hasNextPage": False, "endCursor": ""}}
    found = [(200, {}, {"data": {"repository": {"issues": each}}}) for each in (page, last)]
    server.answers = list(found)
    assert len(server.host().issues()) == 200
    issue = {"iid": 1, "description": None, "author": {"id": 42}}
    server.answers = [(200, {}, {"id": 42}), (200, {}, [issue] * 100), (200, {}, [issue] * 3)]
    issues = server.host("gitlab").issues()
    assert len(issues) == 103 and all(each.mine and each.body == "" for each in issues)
    assert all("state=opened" in path for _, path, _ in server.asked[-2:])


def test_what_graphql_refuses_is_told_in_the_words_of_the_host(server: Server) -> None:
    errors = [{"message": f"Could not resolve to a PullRequest for {TOKEN}"}]
    server.answers = [(200, {}, {"data": None, "errors": errors})]
    with pytest.raises(FailedError, match=r"answered: Could not resolve .* for \*\*\*$"):
        server.host().comments()


def test_graphql_of_an_enterprise_server_is_beside_its_rest(server: Server) -> None:
    server.answers = [(200, {}, graphql_page(1, more=False))]
    address = f"http://127.0.0.1:{server.server_port}"
    job = Job("github", address, f"{address}/api/v3", "team/shop", 7, token=TOKEN)
    assert len(Host(job).comments()) == 1
    assert server.asked[0][1] == "/api/graphql"


def graphql_page(size: int, *, more: bool) -> Any:
    nodes = [{"id": 1, "body": "Hello", "viewerDidAuthor": False}] * size
    comments = {"nodes": nodes, "pageInfo": {"hasNextPage": more, "endCursor": "next"}}
    return {"data": {"repository": {"pullRequest": {"comments": comments}}}}
