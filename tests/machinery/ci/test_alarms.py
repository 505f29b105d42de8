"""Each alarm has one open issue at the code host, and nobody else's issue is touched."""

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
from machinery.ci.job import CodeHostError
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


def report(*names: str, sentence: str = SENTENCE, **window: Any) -> dict[str, Any]:
    """The document of `monitor`, with alarms of the latest window."""
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


def run(document: dict[str, Any]) -> None:
    MONITORING.parent.mkdir(parents=True, exist_ok=True)
    MONITORING.write_text(json.dumps(document), encoding="utf-8")
    alarms("shop")


def states(host: CodeHost) -> dict[str, str]:
    assert len({issue["title"] for issue in host.issues}) == len(host.issues)
    return {issue["title"].removeprefix("Monitoring: "): issue["state"] for issue in host.issues}


def writes(host: CodeHost) -> list[str]:
    requests = [request for request in host.requests if "/issues" in request.place]
    return [request.method for request in requests if request.method != "GET"]


def test_each_alarm_has_one_open_issue_however_often_the_job_runs(host: CodeHost) -> None:
    for _ in range(3):
        run(report("calibration", "coverage"))
    assert states(host) == {"calibration": "open", "coverage": "open"}
    assert writes(host) == ["POST", "POST"]  # an issue that is up to date is not written
    assert host.tokens == {TOKEN}


def test_an_issue_has_values_and_the_three_choices_with_their_commands(host: CodeHost) -> None:
    run(report("calibration"))
    (issue,) = host.issues
    for text in (
        f"**calibration** in `2026-02`: {SENTENCE}.",
        "| `calibration` | 0.1218 (0.09 to 0.15) |",
        "The model `v1` answered 2,670 rows; 2,600 have an outcome.",
        "The rule says to retrain: 2 of the last 3 windows violate.",
        "- **Retrain** if the world has changed: run `shop retrain --anyway`",
        "`shop rollback VERSION`",
        "raise `calibration` under `monitor.limits`",
        "`docs/runbook.md` says more under `ModelCalibration`",
    ):
        assert text in issue["body"]
    assert issue["body"].rstrip().endswith(MARKER)


def test_values_that_change_are_updated(host: CodeHost) -> None:
    run(report("calibration"))
    run(report("calibration", sentence="predictions are on average 0.2 above what happened"))
    (issue,) = host.issues
    assert "0.2 above" in issue["body"] and "0.12 above" not in issue["body"]
    assert issue["comments"] == []


def test_an_issue_is_closed_with_a_comment_when_the_alarm_is_over(host: CodeHost) -> None:
    run(report("calibration"))
    run(report())
    run(report())
    (issue,) = host.issues
    assert issue["state"] == "closed"
    assert issue["comments"] == ["The alarm is over in the window `2026-02`."]
    run(report("calibration"))
    assert [issue["state"] for issue in host.issues] == ["closed", "open"]


def test_a_window_with_too_few_outcomes_closes_only_what_needs_none(
    host: CodeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    run(report("calibration", "quality"))
    run(report(enough=False))
    assert states(host) == {"calibration": "open", "quality": "closed"}
    output = capsys.readouterr().out
    assert "Left open, for lack of outcomes: Monitoring: calibration" in output


def test_issues_of_other_users_are_left_alone(host: CodeHost) -> None:
    planted = host.file("Monitoring: calibration", f"Not ours.\n{MARKER}")
    quoted = host.file("A question", f"{MARKER}\nWhat is this?", USER)
    project = host.file("Another project's", "<!-- monitoring of shop-2: calibration -->", USER)
    before = [dict(issue) for issue in (planted, quoted, project)]
    run(report())
    assert host.issues == before
    run(report("calibration"))
    assert host.issues[:3] == before and len(host.issues) == 4


def test_names_in_the_report_stay_text(host: CodeHost) -> None:
    marker = MARKER.replace("calibration", "skew")
    run(report("quality", sentence=f"/close @all {marker} ![x](http://y) {{z}}"))
    (issue,) = host.issues
    assert "@all" not in issue["body"] and "![x]" not in issue["body"]
    assert issue["body"].count("<!--") == 1
    assert not any(line.startswith("/") for line in issue["body"].splitlines())
    run(report("quality"))
    assert len(host.issues) == 1


def test_a_refusal_fails_the_job_with_the_message_of_the_host(host: CodeHost) -> None:
    host.fail(403)
    with pytest.raises(CodeHostError, match="403: .*refused by the test"):
        run(report("calibration"))


def test_without_a_token_the_job_says_what_to_set(
    host: CodeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GH_TOKEN", "REPO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CodeHostError, match="on GitLab set REPO_TOKEN"):
        run(report("calibration"))


def test_without_monitoring_no_issue_is_changed(
    host: CodeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms("shop")
    assert host.requests == []
    assert "nothing is monitored, and no issue is changed" in capsys.readouterr().out


def test_outside_of_a_job_it_prints_what_it_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(report("calibration"))
    output = capsys.readouterr().out
    assert output.startswith("Would open or update: Monitoring: calibration\n")
    assert MARKER in output and "This is not a CI job: nothing is done." in output


def test_every_violation_has_a_section_of_the_runbook_and_a_limit_of_the_params() -> None:
    runbook = (TEMPLATE / "{{cookiecutter.project_slug}}/docs/runbook.md").read_text("utf-8")
    for name in get_args(Violation):
        assert f"\n### {module.RUNBOOK[name]}\n" in runbook
        named = module.LIMITS.get(name, f"`{name}`").strip("`").split("` or `")
        assert set(named) <= Limits.model_fields.keys()
