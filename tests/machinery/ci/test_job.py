"""A CI job: which pull request it is of, and its requests to the API of the code host."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from machinery.ci import job as module
from machinery.ci.job import CodeHostError, Job, running
from machinery.pipeline.files import UserError

TOKEN = "a-secret-of-the-job"
PATHS = {"github": "/repos/team/shop", "gitlab": "/projects/team%2Fshop"}
HEAD = {"ref": "change", "sha": "0a1b", "repo": {"full_name": "team/shop"}}
Response = tuple[int, dict[str, str], Any]  # status, headers, document


def github(folder: Path, api: str = "https://api.github.com", **changes: Any) -> Job:
    """A job of GitHub Actions for pull request 7, unless the event is changed."""
    event = {"pull_request": {"number": 7, "head": HEAD}, **changes}
    (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
    return running(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": api,
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_REPOSITORY": "team/shop",
            "GITHUB_SERVER_URL": "https://github.com",
            "GH_TOKEN": TOKEN,
        }
    )


def gitlab(project: str = "team/shop", **variables: str) -> Job:
    """A job of GitLab CI that runs in a project, for merge request 7 of team/shop."""
    environment = {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": "https://gitlab.com/api/v4",
        "CI_JOB_TOKEN": "of-the-job",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_PROJECT_PATH": "team/shop",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "change",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
        "CI_PROJECT_PATH": project,
        "CI_SERVER_URL": "https://gitlab.com",
    }
    return running(environment | variables)


def test_job_knows_its_pull_request_and_shows_no_token(tmp_path: Path) -> None:
    job = github(tmp_path)
    assert (job.number, job.branch, job.commit) == (7, "change", "0a1b")
    assert job.token == TOKEN and TOKEN not in repr(job)


@pytest.mark.parametrize(
    ("pull_request", "number"),
    [
        ({"number": 7, "head": {"ref": "main", "repo": {"full_name": "stranger/shop"}}}, 7),
        ({"number": 7, "head": {"ref": "main", "repo": None}}, 7),  # a deleted fork
        (None, None),
    ],
)
def test_only_a_pull_request_of_this_repository_has_a_branch(
    tmp_path: Path, pull_request: object, number: int | None
) -> None:
    job = github(tmp_path, pull_request=pull_request)
    assert (job.number, job.branch) == (number, "")


def test_a_gitlab_fork_has_no_branch_and_its_merge_request_is_in_the_target_project() -> None:
    assert gitlab().branch == "change"
    fork = gitlab("stranger/shop", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2")
    assert (fork.branch, fork.repository) == ("", "team/shop")
    assert gitlab(CI_MERGE_REQUEST_PROJECT_PATH="").repository == "team/shop"


def test_there_is_no_job_outside_of_ci() -> None:
    with pytest.raises(UserError, match="not a job of GitHub Actions or GitLab CI"):
        running({})


def test_messages_are_one_line_without_the_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github(tmp_path).notify("warning", f"no\n::error::{TOKEN} 5 %\r\nx")
    assert capsys.readouterr().out == "::warning::no ::error::*** 5 %25 x\n"


class Server(ThreadingHTTPServer):
    """Sends the responses that it is given, in order, and repeats the last one."""

    daemon_threads = True
    responses: list[Response]
    requests: list[tuple[str, str, dict[str, str]]]
    folder: Path

    def job(self, host: str = "github", token: str = TOKEN) -> Job:
        address = f"http://127.0.0.1:{self.server_port}"
        if host == "github":
            return github(self.folder, address)
        return gitlab(CI_API_V4_URL=address, REPO_TOKEN=token)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        responses = self.server.responses
        status, headers, document = responses.pop(0) if len(responses) > 1 else responses[0]
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep the output clean."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A code host on this machine."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.responses, server.requests, server.folder = [(200, {}, {"id": 1})], [], tmp_path
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)


def test_a_refusal_has_the_message_of_the_host(server: Server) -> None:
    server.responses = [(403, {}, {"message": "Resource not accessible by integration"})]
    with pytest.raises(CodeHostError, match=r"with 403: .*not accessible by integration"):
        server.job().call("GET", "pulls")
    assert len(server.requests) == 1


def test_a_silent_host_times_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.shutdown()  # it accepts the connection, and sends nothing
    with pytest.raises(CodeHostError, match="failed .*timed out"):
        server.job().call("GET", "pulls")


def test_a_missing_document_is_none_or_an_error(server: Server) -> None:
    server.responses = [(404, {}, {"message": "Not Found"})]
    job = server.job()
    assert job.call("GET", "releases/tags/v1.0.0", missing_ok=True) is None
    with pytest.raises(CodeHostError, match="404"):
        job.call("PATCH", "pulls/1", {})


@pytest.mark.parametrize(
    ("host", "token", "header", "value"),
    [
        ("github", TOKEN, "Authorization", f"Bearer {TOKEN}"),
        ("gitlab", TOKEN, "Private-Token", TOKEN),
        ("gitlab", "", "Job-Token", "of-the-job"),
    ],
)
def test_token_goes_with_the_request_and_into_no_message(
    server: Server, host: str, token: str, header: str, value: str
) -> None:
    server.responses = [(400, {}, {"message": f"bad credentials {token or 'of-the-job'}"})]
    with pytest.raises(CodeHostError, match=r"bad credentials \*\*\*"):
        server.job(host, token).call("GET", "releases")
    ((_, path, headers),) = server.requests
    assert headers[header] == value
    assert path == f"{PATHS[host]}/releases"


def test_token_does_not_follow_a_redirection(server: Server) -> None:
    server.responses.insert(0, (302, {"Location": "/elsewhere"}, ""))
    assert server.job().call("GET", "pulls") == {"id": 1}
    first, second = (headers for _, _, headers in server.requests)
    assert "Authorization" in first and "Authorization" not in second


@pytest.mark.parametrize(
    ("host", "user", "post"),
    [
        (
            "github",
            {"data": {"viewer": {"login": "ci[bot]"}}},
            {"id": 1, "number": 1, "body": None, "user": {"login": "ci[bot]"}},
        ),
        (
            "gitlab",
            {"username": "ci"},
            {"id": 1, "iid": 1, "body": "", "description": None, "author": {"username": "ci"}},
        ),
    ],
)
def test_comments_and_open_issues_of_all_pages_are_listed(
    server: Server, host: str, user: Any, post: Any
) -> None:
    for posts in ("comments", "issues"):
        pages = [[post] * size for size in (100, 100, 3)]
        server.responses = [(200, {}, document) for document in (user, *pages)]
        listed = getattr(server.job(host), posts)()
        assert len(listed) == 203 and all(post.own and post.body == "" for post in listed)
        paths = [path for _, path, _ in server.requests[-3:]]
        assert [path[-1] for path in paths] == ["1", "2", "3"]
    assert all("state=open" in path for path in paths)


def test_a_comment_of_another_or_a_deleted_user_is_not_ours(server: Server) -> None:
    posts = [{"id": 1, "body": "", "user": user} for user in ({"login": "someone"}, None)]
    viewer = {"data": {"viewer": {"login": "ci[bot]"}}}
    server.responses = [(200, {}, viewer), (200, {}, posts)]
    assert [post.own for post in server.job().comments()] == [False, False]


def test_a_token_without_a_user_is_an_error_with_the_message_of_the_host(server: Server) -> None:
    errors = [{"message": f"Bad credentials {TOKEN}"}]
    server.responses = [(200, {}, {"data": None, "errors": errors})]
    with pytest.raises(CodeHostError, match=r"Bad credentials \*\*\*"):
        server.job().comments()


def test_graphql_of_an_enterprise_server_is_beside_its_rest_api(
    server: Server, tmp_path: Path
) -> None:
    server.responses = [(200, {}, {"data": {"viewer": {"login": "ci[bot]"}}})]
    job = github(tmp_path, f"http://127.0.0.1:{server.server_port}/api/v3")
    assert job.login() == "ci[bot]"
    assert server.requests[0][1] == "/api/graphql"
