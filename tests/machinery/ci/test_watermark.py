"""Which comment of a pull request is ours, which CML would take for it, and whose branch it is."""

import json
from pathlib import Path

import pytest
from machinery.ci.conversation import Comment
from machinery.ci.job import Job, running
from machinery.pipeline.files import UserError

from machinery.ci import watermark

GITHUB = Job("github", "https://github.com", "https://api.github.com", "team/flights", 7)
GITLAB = Job("gitlab", "https://gitlab.com", "https://gitlab.com/api/v4", "team/flights", 7)
OURS = watermark.signed("Better.", "0a1b2c3d")
QUOTED = "> " + OURS.replace("\n", "\n> ") + "\n\nNice!"
EVENT = {"number": 7, "head": {"ref": "dial", "repo": {"full_name": "team/flights"}}}


PLANTED = Comment("planted", OURS, mine=False)


def comments(*bodies: str) -> list[Comment]:
    return [Comment(str(number), body, mine=True) for number, body in enumerate(bodies)]


def test_ours_is_the_first_that_ends_with_the_watermark() -> None:
    found = watermark.ours(comments("Hello", QUOTED, OURS + "\n", OURS))
    assert found is not None and found.id == "2"
    assert watermark.ours(comments("Hello", QUOTED)) is None


def test_watermark_of_another_project_is_not_ours() -> None:
    assert watermark.ours(comments(OURS.replace(watermark.TITLE, "other report"))) is None


def test_watermark_that_a_stranger_has_planted_is_not_ours() -> None:
    assert watermark.ours([PLANTED]) is None
    found = watermark.ours([PLANTED, *comments(OURS)])
    assert found is not None and found.id == "0"


@pytest.mark.parametrize("job", [GITHUB, GITLAB])
def test_cml_would_take_a_planted_watermark_for_ours(job: Job) -> None:
    assert not watermark.in_reach_of_cml(job, [PLANTED])
    assert not watermark.in_reach_of_cml(GITHUB, [*comments(OURS), PLANTED])


@pytest.mark.parametrize("job", [GITHUB, GITLAB])
def test_cml_may_edit_ours_or_add_the_first(job: Job) -> None:
    assert watermark.in_reach_of_cml(job, [])
    assert watermark.in_reach_of_cml(job, comments("Hello", OURS, "Thanks"))
    assert watermark.in_reach_of_cml(job, comments(*["Hello"] * 90))


def test_cml_does_not_see_what_comes_after_thirty_on_github() -> None:
    assert watermark.in_reach_of_cml(GITHUB, comments(*["Hello"] * 29, OURS))
    assert not watermark.in_reach_of_cml(GITHUB, comments(*["Hello"] * 30, OURS))


def test_cml_does_not_see_what_came_before_the_last_twenty_on_gitlab() -> None:
    assert watermark.in_reach_of_cml(GITLAB, comments(OURS, *["Hello"] * 19))
    assert not watermark.in_reach_of_cml(GITLAB, comments(OURS, *["Hello"] * 20))


def test_cml_would_take_a_quote_for_ours_on_github() -> None:
    assert not watermark.in_reach_of_cml(GITHUB, comments(OURS, QUOTED))
    assert not watermark.in_reach_of_cml(GITHUB, comments(QUOTED))


def environment(folder: Path, pull_request: object) -> dict[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": pull_request}), encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": "https://api.github.com",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "team/flights",
        "GITHUB_SERVER_URL": "https://github.com/",
        "GITHUB_TOKEN": "secret",
    }


def test_job_knows_its_pull_request_and_shows_no_token(tmp_path: Path) -> None:
    job = running(environment(tmp_path, EVENT))
    assert (job.number, job.branch, job.server) == (7, "dial", "https://github.com")
    assert job.token == "secret" and "secret" not in repr(job)


def test_branch_of_a_fork_is_none_of_ours(tmp_path: Path) -> None:
    head = {"ref": "main", "repo": {"full_name": "stranger/flights"}}
    job = running(environment(tmp_path, {"number": 7, "head": head}))
    assert (job.number, job.branch) == (7, "")
    deleted = {"number": 7, "head": {"ref": "main", "repo": None}}
    assert running(environment(tmp_path, deleted)).branch == ""


def test_other_events_have_no_pull_request(tmp_path: Path) -> None:
    assert running(environment(tmp_path, None)).number is None
    assert running(environment(tmp_path, {"number": "7; rm"})).number is None


def gitlab(project: str, **more: str) -> Job:
    """A job of GitLab that runs in a project, for a merge request."""
    merge_request = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_PROJECT_PATH": "team/flights",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "dial",
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
    assert gitlab("team/flights").branch == "dial"
    assert gitlab("stranger/flights", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2").branch == ""


def test_merge_request_of_gitlabs_fork_is_in_the_project_that_it_goes_to() -> None:
    job = gitlab("stranger/flights", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2")
    assert job.repository == "team/flights"
    assert gitlab("team/flights", CI_MERGE_REQUEST_PROJECT_PATH="").repository == "team/flights"


def test_outside_of_a_job_is_said() -> None:
    with pytest.raises(UserError, match="no job of GitHub Actions or GitLab CI"):
        running({})


def test_messages_are_one_line_without_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job("github", "", "", "team/flights", token="secret")
    job.tell("warning", "no\n::error::secret 5 %\r\nx")
    assert capsys.readouterr().out == "::warning::no ::error::*** 5 %25 x\n"
