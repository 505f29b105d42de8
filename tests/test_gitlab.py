"""GitLab's jobs, run by gitlab-ci-local in clones like a runner's."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import code_host
from code_host import TOKEN, CodeHost, signed
from code_host_api import REPOSITORY, USER
from conftest import TEMPLATE, BakedProject
from runner import BRIEFLY, NO_HOOKS, Shared, lines

pytestmark = [pytest.mark.slow, pytest.mark.needs("gitlab-ci-local", "rsync")]
PIPELINE = TEMPLATE / "{{cookiecutter.project_slug}}" / ".gitlab-ci.yml"
SCRIPTS = ("before_script", "script", "after_script")


@pytest.fixture(scope="module")
def shared(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A project released as v1.0.0."""
    shared = Shared(small, tmp_path_factory.mktemp("gitlab"))
    output = shared.own.run("flight-delays", "release", "v1.0.0").stdout
    (push,) = re.findall(r"^    (git push .*)$", output, re.M)
    shared.own.run("sh", "-c", push.replace("git push", "git push --no-verify"))
    return shared


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeHost]:
    with code_host.start(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture
def host(server: CodeHost) -> CodeHost:
    """An empty code host."""
    server.clear()
    return server


def scripts() -> set[tuple[str, str]]:
    """Every command of the pipeline with its job."""
    document = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    return {
        (name, line)
        for name, about in document.items()
        if isinstance(about, dict)
        for key in SCRIPTS
        for line in about.get(key, [])
    }


MERGE_REQUEST = {
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_PIPELINE_SOURCE": "merge_request_event",
}
FORKS_MERGE_REQUEST = MERGE_REQUEST | {
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2",
    "CI_PROJECT_PATH": "stranger/flights",
}
EXECUTED: set[tuple[str, str]] = set()  # with success


def job(
    clone: BakedProject, name: str, **variables: str | Path
) -> "subprocess.CompletedProcess[str]":
    """Run one job of the pipeline with the variables that GitLab would set."""
    exclude = clone.path / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text(".gitlab-ci-local\n", encoding="utf-8")
    settings = {"GITLAB_CI": "true", "PYTHONPATH": clone.path / "src", **variables}
    words = [word for key, value in settings.items() for word in ("--variable", f"{key}={value}")]
    quiet = {"FORCE_COLOR": "0", "HOME": os.environ["HOME"]}
    command = ("gitlab-ci-local", "--force-shell-executor", *words, name)
    done = clone.run(*command, check=False, **quiet)
    if done.returncode == 0:
        printed = {line.partition("$ ")[2].strip() for line in done.stdout.splitlines()}
        EXECUTED.update(
            script for script in scripts() if script[0] == name and script[1] in printed
        )
    return done


def test_check_is_green(shared: Shared) -> None:
    clone = shared.checkout("check")
    done = job(clone, "check", CI_PIPELINE_SOURCE="merge_request_event", **BRIEFLY)
    assert done.returncode == 0, done.stdout
    assert re.search(r"ok +pushed +all is in the remote", done.stdout)


def test_report_comes_as_a_comment_and_its_record_to_the_branch(
    shared: Shared, host: CodeHost
) -> None:
    shared.change_a_parameter("dial")
    clone = shared.checkout("report", "dial")
    address = f"{host.url}/{REPOSITORY}.git"  # the job's own origin takes no pushes on GitLab
    clone.run("git", "config", f"url.{shared.origin}.insteadOf", address)
    clone.run("git", "remote", "set-url", "origin", f"{shared.origin}-that-takes-no-pushes")
    source = {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "dial"}
    done = job(clone, "report", **host.gitlab_environment() | MERGE_REQUEST | source)
    assert done.returncode == 0, done.stdout
    output = record(shared, clone, host, **source)
    assert "Pushed dvc.lock and the reports to dial." in output
    (body,) = host.bodies()
    assert body.startswith((clone.path / "run/report.md").read_text(encoding="utf-8"))
    assert "train.hyperparameters.linear.C" in body and "Against `origin/main (" in body
    origin = ("git", "--git-dir", shared.origin)
    log = clone.run(*origin, "log", "--format=%s", "main..dial").stdout.splitlines()
    assert log == ["Reproduce the pipeline", "Change a parameter"]


def record(shared: Shared, clone: BakedProject, host: CodeHost, **variables: str) -> str:
    """Run the record job after the report job of this clone, and return its output."""
    target = shared.checkout(f"{clone.path.name}-record", "dial")
    (clone.path / "run").mkdir(exist_ok=True)
    shutil.copytree(clone.path / "run", target.path / "run")
    of_run = "HEAD~" if clone.has_file("run/commit.bundle") else "HEAD"
    commit = clone.run("git", "rev-parse", of_run).stdout.strip()
    for name, value in (
        (f"url.{shared.origin}.insteadOf", f"{host.url}/{REPOSITORY}.git"),
        ("remote.origin.url", f"{shared.origin}-that-takes-no-pushes"),
    ):
        target.run("git", "config", name, value)
    settings = {"REPO_TOKEN": TOKEN, "CI_COMMIT_SHA": commit, **variables}
    done = job(target, "record", **host.gitlab_environment() | MERGE_REQUEST | settings)
    assert done.returncode == 0, done.stdout
    assert TOKEN not in done.stdout
    main, here = (
        target.run("git", "rev-parse", revision).stdout for revision in ("origin/main", "HEAD")
    )
    assert here == main  # the code of the target branch ran
    return done.stdout


def test_no_job_that_runs_the_code_of_a_merge_request_has_what_writes() -> None:
    document = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    assert document["workflow"]["rules"][0]["variables"] == {"CACHE_POLICY": "pull"}
    assert {cache["policy"] for cache in document["default"]["cache"]} == {"$CACHE_POLICY"}
    scoped = {name for name, job in document.items() if "environment" in job}
    assert scoped == {"record", "alarms", "retrain"}
    assert all(document[name]["environment"]["name"] == "record" for name in scoped)
    first, *_ = document["record"]["script"]
    assert first == (
        "git checkout --quiet --force --detach origin/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME"
    )
    assert document["record"]["cache"] == []
    for name in ("monitor", "alarms", "retrain"):
        assert "merge_request_event" not in str(document[name]["rules"])


def test_run_that_fails_takes_the_report_of_an_earlier_one_away(
    shared: Shared, host: CodeHost
) -> None:
    comment = host.say(signed("**Better**: roc_auc\n"), USER)
    clone = shared.checkout("broken")
    module = clone.path / "src/flight_delays/candidates.py"
    module.write_text("raise SystemExit('a broken stage')\n", encoding="utf-8")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Break the candidates")
    done = job(clone, "report", **host.gitlab_environment() | MERGE_REQUEST)
    assert done.returncode != 0 and "a broken stage" in done.stdout
    assert "There is nothing to record." in record(shared, clone, host)
    assert host.bodies() == [comment["body"]]
    assert comment["body"].startswith("**No report** for ")


# A merge request of a fork: GitLab runs it in the fork, with what the fork has set.


def test_check_of_a_fork_does_not_ask_for_the_remote(shared: Shared) -> None:
    clone = shared.checkout("fork-check")
    done = job(clone, "check", **FORKS_MERGE_REQUEST, **BRIEFLY)
    assert done.returncode == 0, done.stdout
    assert re.search(r"-- +remote +a fork.s code gets no secrets", done.stdout)


def test_report_of_a_fork_that_cannot_reach_the_data_is_its_artifact(
    shared: Shared, host: CodeHost
) -> None:
    clone = shared.checkout("fork-report")
    base = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    clone.run("git", "remote", "remove", "origin")  # the fork's own main may be anything
    for name, value in {"url": "s3://bucket/data", "endpointurl": "http://127.0.0.1:9"}.items():
        clone.run("dvc", "remote", "modify", "--local", "storage", name, value)
    variables = host.gitlab_environment() | FORKS_MERGE_REQUEST
    done = job(clone, "report", **variables, CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert done.returncode == 0, done.stdout
    assert host.requests == []
    text = (clone.path / "run/report.md").read_text(encoding="utf-8")
    assert text.startswith("**Not compared**: the remote cannot be read")
    assert f"Against `{base}`" in text


def test_report_of_a_fork_may_fail() -> None:
    fork, own = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["report"]["rules"]
    assert fork["allow_failure"] is True and "allow_failure" not in own
    source, _, project = fork["if"].rpartition("&& ")[2].partition(" != ")
    assert source == "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID"
    assert project == "$CI_MERGE_REQUEST_PROJECT_ID"


def test_every_job_runs_in_an_image_pinned_by_digest() -> None:
    images = re.findall(
        r"^ *(?:image|name): *(\S+:\S+)$", PIPELINE.read_text(encoding="utf-8"), re.M
    )
    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)


def test_reports_of_one_merge_request_are_not_made_at_once() -> None:
    group = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["report"]["resource_group"]
    assert group == "report-$CI_MERGE_REQUEST_IID"


def test_retraining_opens_one_merge_request_with_the_report(shared: Shared, host: CodeHost) -> None:
    clone = shared.checkout("retrain")
    variables = host.gitlab_environment() | {"CI_JOB_TOKEN": TOKEN}
    for verb in ("Opened", "Updated"):
        done = job(clone, "retrain", **variables | {"CI_PIPELINE_SOURCE": "schedule"})
        assert done.returncode == 0, done.stdout
        assert f"{verb} {host.url}" in done.stdout
        clone.run(*NO_HOOKS, "checkout", "--quiet", "main")
    for name in ("monitor", "alarms"):
        done = job(clone, name, **variables | {"CI_PIPELINE_SOURCE": "schedule"})
        assert done.returncode == 0 and "othing is monitored" in done.stdout, done.stdout
    (request,) = host.pulls
    assert request["source_branch"] == "retrain/2013-09-01"
    assert request["target_branch"] == "main"
    assert request["title"] == "Retrain on data until 2013-09-01"
    assert request["description"].startswith("**")


def test_a_tag_is_verified_packed_and_published(shared: Shared, host: CodeHost) -> None:
    clone = shared.checkout("release", "v1.0.0")
    variables = {"CI_JOB_TOKEN": TOKEN, "CI_COMMIT_TAG": "v1.0.0", "PUBLISH": "release"}
    for _ in range(2):
        done = job(clone, "release", **host.gitlab_environment(), **variables)
        assert done.returncode == 0, done.stdout
    assert list(host.releases) == ["v1.0.0"]
    ((path, content),) = host.files.items()
    assert path == "packages/generic/model/v1.0.0/flight-delays-v1.0.0.tar.gz"
    assert content == (clone.path / "dist/flight-delays-v1.0.0.tar.gz").read_bytes()
    assert host.tokens == {TOKEN}
    findings = lines(re.sub(r"^release +> ", "", done.stdout, flags=re.M))
    assert len(findings) == 7
    assert all(line.startswith("ok ") for line in findings.values())


def test_every_line_of_the_pipeline_was_executed_by_a_test_above() -> None:
    left = scripts() - EXECUTED
    assert left == set(), "run this file whole; if it was, these lines want a test"
