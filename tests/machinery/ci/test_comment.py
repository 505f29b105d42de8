"""Which comment of a pull request is ours, which CML would take for it, and whose branch it is."""

import json
from pathlib import Path

import pytest

from machinery.ci.comment import ours, seen_alone_by_cml, signed
from machinery.ci.host import Comment
from machinery.ci.job import Job, running
from machinery.pipeline.files import UserError

TITLE = "shop report"
OURS = signed("Better.", "0a1b2c3d", TITLE)
QUOTED = "> " + OURS.replace("\n", "\n> ") + "\n\nNice!"
EVENT = {"number": 7, "head": {"ref": "change", "repo": {"full_name": "team/shop"}}}


PLANTED = Comment("planted", OURS, mine=False)


def comments(*bodies: str) -> list[Comment]:
    return [Comment(str(number), body, mine=True) for number, body in enumerate(bodies)]


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (comments("Hello", QUOTED, OURS + "\n", OURS), "2"),  # the first that ends with it
        ([PLANTED, *comments(OURS)], "0"),
        (comments("Hello", QUOTED), None),
        (comments(OURS.replace(TITLE, "other report")), None),
        ([PLANTED], None),
    ],
)
def test_ours_is_what_our_token_wrote_and_ends_with_our_watermark(
    there: list[Comment], wanted: str | None
) -> None:
    found = ours(there, TITLE)
    assert (found and found.id) == wanted


@pytest.mark.parametrize(
    ("there", "safe"),
    [
        ([], True),
        (comments("Hello", OURS, "Thanks"), True),
        (comments(OURS, *["Hello"] * 19), True),
        (comments(OURS, *["Hello"] * 20), False),  # the next page is never read
        ([PLANTED], False),
        ([*comments(OURS), PLANTED], False),
        (comments(QUOTED), False),
        (comments(OURS, QUOTED), False),
    ],
)
def test_cml_may_post_where_it_would_take_no_comment_but_ours(
    there: list[Comment], safe: bool
) -> None:
    assert seen_alone_by_cml(there, TITLE) == safe


def environment(folder: Path, pull_request: object) -> dict[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": pull_request}), encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": "https://api.github.com",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "team/shop",
        "GITHUB_SERVER_URL": "https://github.com",
        "GH_TOKEN": "secret",
    }


def test_job_knows_its_pull_request_and_shows_no_token(tmp_path: Path) -> None:
    job = running(environment(tmp_path, EVENT))
    assert (job.number, job.branch, job.server) == (7, "change", "https://github.com")
    assert job.token == "secret" and "secret" not in repr(job)


@pytest.mark.parametrize(
    ("pull_request", "number"),
    [
        ({"number": 7, "head": {"ref": "main", "repo": {"full_name": "stranger/shop"}}}, 7),
        ({"number": 7, "head": {"ref": "main", "repo": None}}, 7),  # a deleted fork
        (None, None),
        ({"number": "7; rm"}, None),
    ],
)
def test_no_branch_is_ours_without_a_pull_request_of_this_repository(
    tmp_path: Path, pull_request: object, number: int | None
) -> None:
    job = running(environment(tmp_path, pull_request))
    assert (job.number, job.branch) == (number, "")


def gitlab(project: str, **more: str) -> Job:
    """A job of GitLab that runs in a project, for a merge request."""
    merge_request = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_PROJECT_PATH": "team/shop",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "change",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
    }
    here = {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": "https://gitlab.com/api/v4",
        "CI_PROJECT_PATH": project,
        "CI_SERVER_URL": "https://gitlab.com",
    }
    return running(here | merge_request | more)


def test_gitlabs_fork_has_no_branch_of_ours() -> None:
    assert gitlab("team/shop").branch == "change"
    assert gitlab("stranger/shop", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2").branch == ""


def test_merge_request_of_gitlabs_fork_is_in_the_project_that_it_goes_to() -> None:
    job = gitlab("stranger/shop", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2")
    assert job.repository == "team/shop"
    assert gitlab("team/shop", CI_MERGE_REQUEST_PROJECT_PATH="").repository == "team/shop"


def test_outside_of_a_job_is_said() -> None:
    with pytest.raises(UserError, match="not a job of GitHub Actions or GitLab CI"):
        running({})


def test_messages_are_one_line_without_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job("github", "", "", "team/shop", token="secret")
    job.tell("warning", "no\n::error::secret 5 %\r\nx")
    assert capsys.readouterr().out == "::warning::no ::error::*** 5 %25 x\n"


def test_a_summary_that_cannot_be_written_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Job("github", "", "", "team/shop", summary=tmp_path).summarize("text")  # a folder
    assert "::warning::the job's summary cannot be written" in capsys.readouterr().out
