"""Alarms: one open issue for each, on a code host that speaks HTTP; never two, never another's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import code_host
from code_host import TOKEN, CodeHost
from code_host_api import USER
from machinery.ci import alarms as module
from machinery.ci.alarms import alarms
from machinery.ci.host import FailedError
from machinery.ci.retrain import MONITORING
from machinery.pipeline.params import Limits, Violation

TEMPLATE = Path(__file__).parents[3]
SENTENCE = "predictions are on average 0.12 above what happened"
MARKER = "<!-- monitoring of shop: calibration -->"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeHost]:
    with code_host.start(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture(params=["github", "gitlab"])
def host(
    request: pytest.FixtureRequest,
    server: CodeHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CodeHost:
    """A code host without issues; this process is one of its jobs, in an empty folder."""
    server.clear()
    monkeypatch.chdir(tmp_path)
    environment = (
        server.environment(tmp_path) | {"GH_TOKEN": TOKEN}
        if request.param == "github"
        else server.gitlab_environment() | {"REPO_TOKEN": TOKEN}
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return server


def found(*names: str, sentence: str = SENTENCE, **window: Any) -> dict[str, Any]:
    """What `monitor` found: alarms of the latest window."""
    figure = {"value": 0.1218, "low": 0.09, "high": 0.15}
    latest = {"name": "2026-02", "over": True, "enough": True, "rows": 2670, "labelled": 2600}
    latest |= {"model_version": "v1", "figures": {"calibration": figure}, **window}
    rule = {"answer": True, "why": "2 of the last 3 windows violate", "rule": "2 of the last 3"}
    return {
        "latest": "2026-02",
        "windows": [{**latest, "name": "2026-01"}, latest],
        "alarms": [{"name": name, "window": "2026-02", "sentence": sentence} for name in names],
        "retrain": rule,
    }


def run(report: dict[str, Any]) -> None:
    MONITORING.parent.mkdir(parents=True, exist_ok=True)
    MONITORING.write_text(json.dumps(report), encoding="utf-8")
    alarms("shop")


def states(host: CodeHost) -> dict[str, str]:
    assert len({each["title"] for each in host.issues}) == len(host.issues)
    return {each["title"].removeprefix("Monitoring: "): each["state"] for each in host.issues}


def writes(host: CodeHost) -> list[str]:
    asked = [each for each in host.requests if "/issues" in each.place]
    return [each.method for each in asked if each.method != "GET"]


def test_each_alarm_has_one_open_issue_however_often_the_job_runs(host: CodeHost) -> None:
    for _ in range(3):
        run(found("calibration", "coverage"))
    assert states(host) == {"calibration": "open", "coverage": "open"}
    assert writes(host) == ["POST", "POST"]  # and nothing is written that stands there
    assert host.tokens == {TOKEN}


def test_an_issue_has_figures_and_the_three_choices_with_what_to_type(host: CodeHost) -> None:
    run(found("calibration"))
    (issue,) = host.issues
    for text in (
        f"**calibration** in `2026-02`: {SENTENCE}.",
        "| `calibration` | 0.1218 (0.09 to 0.15) |",
        "2,670 rows were answered by the model `v1`; 2,600 have an outcome.",
        "The rule says to retrain: 2 of the last 3 windows violate.",
        "- **Retrain**, when the world has changed: `shop retrain --anyway`",
        "`shop rollback VERSION`",
        "raise `calibration` under `monitor.limits`",
        "`docs/runbook.md` says more under `ModelCalibration`",
    ):
        assert text in issue["body"]
    assert issue["body"].rstrip().endswith(MARKER)


def test_figures_that_change_are_brought_up_to_date(host: CodeHost) -> None:
    run(found("calibration"))
    run(found("calibration", sentence="predictions are on average 0.2 above what happened"))
    (issue,) = host.issues
    assert "0.2 above" in issue["body"] and "0.12 above" not in issue["body"]
    assert issue["said"] == []


def test_an_issue_is_closed_with_a_comment_when_the_alarm_is_over(host: CodeHost) -> None:
    run(found("calibration"))
    run(found())
    run(found())
    (issue,) = host.issues
    assert issue["state"] == "closed"
    assert issue["said"] == ["The alarm is over in the window `2026-02`."]
    run(found("calibration"))
    assert [each["state"] for each in host.issues] == ["closed", "open"]


def test_a_window_with_too_few_outcomes_closes_only_what_needs_none(
    host: CodeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    run(found("calibration", "quality"))
    run(found(enough=False))
    assert states(host) == {"calibration": "open", "quality": "closed"}
    said = capsys.readouterr().out
    assert "Open as it was, for lack of outcomes: Monitoring: calibration" in said


def test_issues_of_others_are_left_alone(host: CodeHost) -> None:
    planted = host.file("Monitoring: calibration", f"Not ours.\n{MARKER}")
    quoted = host.file("A question", f"{MARKER}\nWhat is this?", USER)
    project = host.file("Another project's", "<!-- monitoring of shop-2: calibration -->", USER)
    before = [dict(each) for each in (planted, quoted, project)]
    run(found())
    assert host.issues == before
    run(found("calibration"))
    assert host.issues[:3] == before and len(host.issues) == 4


def test_text_of_others_stays_text(host: CodeHost) -> None:
    marker = MARKER.replace("calibration", "skew")
    run(found("quality", sentence=f"/close @all {marker} ![x](http://y) {{z}}"))
    (issue,) = host.issues
    assert "@all" not in issue["body"] and "![x]" not in issue["body"]
    assert issue["body"].count("<!--") == 1
    assert not any(line.startswith("/") for line in issue["body"].splitlines())
    run(found("quality"))
    assert len(host.issues) == 1


def test_a_refusal_fails_the_job_in_the_words_of_the_host(host: CodeHost) -> None:
    host.fail(403)
    with pytest.raises(FailedError, match="403: .*refused by the test"):
        run(found("calibration"))


def test_without_a_token_the_job_says_what_to_set(
    host: CodeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GH_TOKEN", "REPO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FailedError, match="on GitLab set REPO_TOKEN"):
        run(found("calibration"))


def test_where_nothing_is_monitored_no_issue_is_touched(
    host: CodeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms("shop")
    assert host.requests == []
    assert "nothing is monitored, and no issue is touched" in capsys.readouterr().out


def test_outside_of_a_job_it_prints_what_it_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(found("calibration"))
    said = capsys.readouterr().out
    assert said.startswith("Would open or update: Monitoring: calibration\n")
    assert MARKER in said and "This is no CI job: nothing is done." in said


def test_every_violation_has_a_section_of_the_runbook_and_a_limit_of_the_params() -> None:
    runbook = (TEMPLATE / "{{cookiecutter.project_slug}}/docs/runbook.md").read_text("utf-8")
    for name in get_args(Violation):
        assert f"\n### {module.RUNBOOK[name]}\n" in runbook
        named = module.LIMITS.get(name, f"`{name}`").strip("`").split("` or `")
        assert set(named) <= Limits.model_fields.keys()
