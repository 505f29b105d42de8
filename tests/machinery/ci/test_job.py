"""A CI job: its pull request, and its requests to the API of the code host."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

import code_host
from code_host import TOKEN, CodeHost
from code_host_api import REPOSITORY, USER
from machinery.ci import job as module
from machinery.ci.comment import comment
from machinery.ci.job import CodeHostError, Job, Post, running
from machinery.pipeline.files import UserError

PATHS = {"github": f"/api/v3/repos/{REPOSITORY}", "gitlab": f"/api/v4/projects/{REPOSITORY}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeHost]:
    with code_host.start(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture
def host(server: CodeHost, monkeypatch: pytest.MonkeyPatch) -> CodeHost:
    """An empty code host, whose certificate this process trusts."""
    server.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    return server


def github(host: CodeHost, folder: Path, source: str = REPOSITORY) -> Job:
    return running(host.environment(folder, "change", source, "0a1b") | {"GH_TOKEN": TOKEN})


def gitlab(host: CodeHost, **variables: str) -> Job:
    source = {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "change", "REPO_TOKEN": TOKEN}
    return running(host.gitlab_environment() | source | variables)


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest, host: CodeHost, tmp_path: Path) -> Job:
    """A job on either host."""
    return github(host, tmp_path) if request.param == "github" else gitlab(host)


def test_job_knows_its_pull_request_and_shows_no_token(job: Job) -> None:
    assert (job.number, job.branch, job.token) == (7, "change", TOKEN)
    assert TOKEN not in repr(job)


def test_the_branch_of_a_fork_is_not_ours(host: CodeHost, tmp_path: Path) -> None:
    fork = github(host, tmp_path, "stranger/shop")
    assert (fork.number, fork.branch, fork.commit) == (7, "", "0a1b")
    fork = gitlab(host, CI_MERGE_REQUEST_PROJECT_ID="1", CI_PROJECT_PATH="stranger/shop")
    assert (fork.branch, fork.repository) == ("", REPOSITORY)  # where the merge request is


@pytest.mark.parametrize("pull", [None, {"number": 7, "head": {"ref": "main", "repo": None}}])
def test_an_event_may_have_no_pull_request_or_a_deleted_fork(
    host: CodeHost, tmp_path: Path, pull: Any
) -> None:
    environment = host.environment(tmp_path)
    event = json.dumps({"pull_request": pull})
    Path(environment["GITHUB_EVENT_PATH"]).write_text(event, encoding="utf-8")
    job = running(environment)
    assert (job.number, job.branch) == (pull and 7, "")


def test_there_is_no_job_outside_of_ci() -> None:
    with pytest.raises(UserError, match="not a job of GitHub Actions or GitLab CI"):
        running({})


def test_messages_are_one_line_without_the_token(
    host: CodeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github(host, tmp_path).notify("warning", f"no\n::error::{TOKEN} 5 %\r\nx")
    gitlab(host, REPO_TOKEN="", CI_JOB_TOKEN="of-the-job").notify("notice", "of-the-job\n")
    assert capsys.readouterr().out == "::warning::no ::error::*** 5 %25 x\nnotice: ***\n"


def test_a_refusal_has_the_message_of_the_host(host: CodeHost, job: Job) -> None:
    host.fail(403, message=f"no right for {TOKEN}")
    with pytest.raises(CodeHostError, match=r"failed with 403: .*no right for \*\*\*"):
        job.call("GET", "pulls")
    assert len(host.requests) == 1


def test_a_refusal_without_a_message_has_its_reason(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise HTTPError("", 502, "Bad Gateway", Message(), BytesIO())

    monkeypatch.setattr(module, "urlopen", refuse)
    with pytest.raises(CodeHostError, match="failed with 502: Bad Gateway"):
        job.call("GET", "pulls")


def test_without_cml_the_api_posts_the_comment(
    host: CodeHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    Path("pyproject.toml").write_text("[project]\nname = 'shop'\n", encoding="utf-8")
    Path("report.md").write_text("Better.", encoding="utf-8")
    comment(Path("report.md"), github(host, tmp_path))
    printed = capsys.readouterr().out
    assert "::notice::the API posted the comment, since cml: it is not installed" in printed


def test_a_summary_that_cannot_be_written_is_a_warning(
    host: CodeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = replace(github(host, tmp_path), summary=tmp_path)  # a folder
    job.summarize("text")
    assert "::warning::the job's summary cannot be written" in capsys.readouterr().out


def test_a_silent_host_times_out(
    host: CodeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and sends nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(CodeHostError, match="failed .*timed out"):
            github(host, tmp_path).call("GET", address)


def test_a_missing_document_is_none_or_an_error(job: Job) -> None:
    assert job.call("GET", "releases/v9", missing_ok=True) is None
    with pytest.raises(CodeHostError, match="404"):
        job.call("GET", "releases/v9")


@pytest.mark.parametrize(
    ("variables", "header"),
    [({}, "PRIVATE-TOKEN"), ({"REPO_TOKEN": "", "CI_JOB_TOKEN": TOKEN}, "JOB-TOKEN")],
)
def test_gitlab_gets_our_token_or_that_of_the_job(
    host: CodeHost, variables: dict[str, str], header: str
) -> None:
    job = gitlab(host, **variables)
    assert job.credential == (header, TOKEN)
    assert job.call("GET", "releases/v9", missing_ok=True) is None
    assert [(request.place, request.token) for request in host.requests] == [
        (f"{PATHS['gitlab']}/releases/v9", TOKEN)
    ]


def test_token_does_not_follow_a_redirection(host: CodeHost, job: Job) -> None:
    host.fail(302, lambda request: request.path != "/elsewhere", location="/elsewhere")
    with pytest.raises(CodeHostError, match="401"):
        job.call("GET", "pulls")
    assert [request.token for request in host.requests] == [TOKEN, ""]
    assert host.requests[0].place == f"{PATHS[job.host]}/pulls"


def test_comments_and_open_issues_of_all_pages_are_listed(host: CodeHost, job: Job) -> None:
    for number in range(203):
        host.say("Hello", USER if number else "someone")
        host.file("Title", "Text", USER if number else "someone")
    host.file("Title", "Text")["state"] = "closed"
    for posts in (job.comments(), job.issues()):
        assert [post.own for post in posts] == [False] + [True] * 202
        assert len({post.id for post in posts}) == 203
    assert job.comments()[0].body == "Hello" and job.issues()[0].body == "Text"


def test_an_issue_may_have_no_text_and_its_user_may_be_deleted(job: Job) -> None:
    issue = {job.issue[0]: 1, job.issue[1]: None, job.author[0]: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "call", lambda *_, **__: [issue])
        patch.setattr(type(job), "login", lambda _: USER)
        assert job.issues() == [Post("1", "", own=False)]


def test_a_token_that_graphql_does_not_know_is_an_error(
    host: CodeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = github(host, tmp_path)
    errors = {"data": None, "errors": [{"message": f"Bad credentials {TOKEN}"}]}
    monkeypatch.setattr(Job, "call", lambda *_: errors)
    with pytest.raises(CodeHostError, match=r"Bad credentials \*\*\*"):
        job.login()
