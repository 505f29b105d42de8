"""Which comment of a pull request is ours, which CML would take for it, and whose branch it is."""

import json
from pathlib import Path

import pytest

from machinery.ci.comment import ours, seen_alone_by_cml, signed
from machinery.ci.host import Comment
from machinery.ci.job import Job, running
from machinery.pipeline.files import UserError

GITHUB = Job("github", "https://github.com", "https://api.github.com", "team/shop", 7)
GITLAB = Job("gitlab", "https://gitlab.com", "https://gitlab.com/api/v4", "team/shop", 7)
TITLE = "shop report"
OURS = signed("Better.", "0a1b2c3d", TITLE)
QUOTED = "> " + OURS.replace("\n", "\n> ") + "\n\nNice!"
EVENT = {"number": 7, "head": {"ref": "change", "repo": {"full_name": "team/shop"}}}


PLANTED = Comment("planted", OURS, mine=False)


def comments(*bodies: str) -> list[Comment]:
    return [Comment(str(number), body, mine=True) for number, body in enumerate(bodies)]


def test_ours_is_the_first_that_ends_with_the_watermark() -> None:
    found = ours(comments("Hello", QUOTED, OURS + "\n", OURS), TITLE)
    assert found is not None and found.id == "2"
    assert ours(comments("Hello", QUOTED), TITLE) is None


def test_watermark_of_another_project_is_not_ours() -> None:
    assert ours(comments(OURS.replace(TITLE, "other report")), TITLE) is None


def test_watermark_that_a_stranger_has_planted_is_not_ours() -> None:
    assert ours([PLANTED], TITLE) is None
    found = ours([PLANTED, *comments(OURS)], TITLE)
    assert found is not None and found.id == "0"


@pytest.mark.parametrize("job", [GITHUB, GITLAB])
def test_cml_would_take_a_planted_watermark_for_ours(job: Job) -> None:
    assert not seen_alone_by_cml(job.host, [PLANTED], TITLE)
    assert not seen_alone_by_cml(GITHUB.host, [*comments(OURS), PLANTED], TITLE)


@pytest.mark.parametrize("job", [GITHUB, GITLAB])
def test_cml_may_edit_ours_or_add_the_first(job: Job) -> None:
    assert seen_alone_by_cml(job.host, [], TITLE)
    assert seen_alone_by_cml(job.host, comments("Hello", OURS, "Thanks"), TITLE)
    assert seen_alone_by_cml(job.host, comments(*["Hello"] * 90), TITLE)


def test_cml_does_not_see_what_comes_after_thirty_on_github() -> None:
    assert seen_alone_by_cml(GITHUB.host, comments(*["Hello"] * 29, OURS), TITLE)
    assert not seen_alone_by_cml(GITHUB.host, comments(*["Hello"] * 30, OURS), TITLE)


def test_cml_does_not_see_what_came_before_the_last_twenty_on_gitlab() -> None:
    assert seen_alone_by_cml(GITLAB.host, comments(OURS, *["Hello"] * 19), TITLE)
    assert not seen_alone_by_cml(GITLAB.host, comments(OURS, *["Hello"] * 20), TITLE)


def test_cml_would_take_a_quote_for_ours_on_github() -> None:
    assert not seen_alone_by_cml(GITHUB.host, comments(OURS, QUOTED), TITLE)
    assert not seen_alone_by_cml(GITHUB.host, comments(QUOTED), TITLE)


def environment(folder: Path, pull_request: object) -> dict[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": pull_request}), encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": "https://api.github.com",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "team/shop",
        "GITHUB_SERVER_URL": "https://github.com/",
        "GITHUB_TOKEN": "secret",
    }


def test_job_knows_its_pull_request_and_shows_no_token(tmp_path: Path) -> None:
    job = running(environment(tmp_path, EVENT))
    assert (job.number, job.branch, job.server) == (7, "change", "https://github.com")
    assert job.token == "secret" and "secret" not in repr(job)


def test_branch_of_a_fork_is_none_of_ours(tmp_path: Path) -> None:
    head = {"ref": "main", "repo": {"full_name": "stranger/shop"}}
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
