"""Workflows: every `run:` line is executed in a baked project, and fails where it should."""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

import code_host
from code_host import TOKEN, CodeHost
from conftest import BakedProject
from runner import BRIEFLY, NO_HOOKS, WORKFLOWS, Shared, lines, load, not_executed, run, steps

pytestmark = pytest.mark.slow

NOBODY = {"secrets.AWS_ACCESS_KEY_ID": "", "secrets.AWS_SECRET_ACCESS_KEY": ""}
PINNED = {  # which version each commit is, as the actions' own repositories tag it
    "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae": "v5.0.5",
    "actions/cache/restore@27d5ce7f107fe9357f9df03efb73ab90386fccae": "v5.0.5",
    "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1": "v7.0.1",
    "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c": "v8.0.1",
    "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97": "v7.0.0",
    "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f": "v7.0.0",
    "iterative/setup-cml@f12ea7685438c1fc438d50f77519b3860cf5fa98": "v2.0.1",
}
OURS = "github.event.pull_request.head.repo.full_name == github.repository"
FORKS = OURS.replace("==", "!=")
WITHOUT_REMOTE = f"github.event_name == 'pull_request' && {FORKS}"


@pytest.fixture(scope="module")
def shared(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Read-only, except for its own branches."""
    return Shared(small, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeHost]:
    with code_host.start(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture
def host(server: CodeHost) -> CodeHost:
    """An empty code host."""
    server.clear()
    return server


# What the files themselves must be


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_is_pinned_and_may_do_little(path: Path) -> None:
    document, text = load(path.name), path.read_text(encoding="utf-8")
    assert document["permissions"] == {}
    assert "concurrency" in document
    assert all("permissions" in job for job in document["jobs"].values())
    assert all("timeout-minutes" in job for job in document["jobs"].values())
    for uses, version in re.findall(r"uses: *(\S+) *(.*)", text):
        assert version == f"# {PINNED[uses]}"
    for step in steps(path.name):
        if "uses" in step:
            assert step["uses"] in PINNED
        else:  # one command; nothing is spliced into the shell
            assert "\n" not in step["run"].strip()
            assert "${{" not in step["run"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert not re.search(r"pull_request_target|workflow_run|secrets: inherit", text)


PULL_REQUESTS = [  # the jobs that a pull request runs
    pytest.param(job, id=f"{path.stem}-{name}")
    for path in sorted(WORKFLOWS.glob("*.yml"))
    for name, job in load(path.name)["jobs"].items()
    if "pull_request" in load(path.name)[True]  # `on` is a word for true in YAML 1.1
]
READING_KEYS = {"secrets.AWS_ACCESS_KEY_ID", "secrets.AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize("job", PULL_REQUESTS)
def test_no_job_that_runs_the_code_of_a_pull_request_can_write(job: dict[str, Any]) -> None:
    (checkout,) = (step for step in job["steps"] if "checkout@" in step.get("uses", ""))
    revision = checkout["with"].get("ref")
    secrets = set(re.findall(r"(?:secrets|github)\.(?:[A-Z_]+|token)", str(job)))
    uses = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
    inputs = [step.get("with", {}) for step in job["steps"]]
    cached = "actions/cache" in uses or any("cache" in options for options in inputs)
    if revision == "${{ github.event.pull_request.base.sha }}":
        assert OURS in job["if"] and job["needs"] == "report"
        assert not cached and "actions/cache/restore" not in uses  # code of the branch wrote it
        assert job.get("environment") == "record" or secrets == {"github.token"}
        assert job.get("environment") == "record" or job["permissions"]["contents"] == "read"
        for step in job["steps"]:  # what comes from outside lies where no code is
            if "download-artifact" in step.get("uses", ""):
                assert step["with"]["path"] == "run"
    else:
        assert revision in (None, "${{ github.event.pull_request.head.sha }}")
        assert "write" not in job["permissions"].values()
        assert "environment" not in job  # whose secrets would take the place of these
        assert secrets <= READING_KEYS
        assert "actions/cache" not in uses


def test_retraining_runs_the_code_of_the_default_branch_alone() -> None:
    jobs = load("retrain.yml")["jobs"]
    default = "github.ref_name == github.event.repository.default_branch"
    assert {job["if"] for job in jobs.values()} == {default}
    assert jobs["retrain"]["environment"] == "record"


def test_the_job_that_reads_the_log_may_write_nothing_and_issues_have_a_job_of_their_own() -> None:
    jobs = load("retrain.yml")["jobs"]
    assert jobs["monitor"]["permissions"] == {"contents": "read"}
    assert jobs["alarms"]["permissions"] == {"contents": "read", "issues": "write"}
    assert all("environment" not in jobs[name] for name in ("monitor", "alarms"))
    assert "secrets." not in str(jobs["alarms"])
    assert "github.token" not in str(jobs["monitor"])
    assert {jobs[name]["needs"] for name in ("alarms", "retrain")} == {"monitor"}


def test_each_pull_request_has_one_report() -> None:
    jobs = load("report.yml")["jobs"]
    assert [jobs[name]["if"] for name in ("report", "fork")] == [OURS, FORKS]


# check


def test_check_is_green_in_a_clone_whose_data_is_pushed(shared: Shared) -> None:
    clone = shared.checkout("check")
    code, output = run(clone, "check.yml", {**NOBODY, WITHOUT_REMOTE: "false"}, **BRIEFLY)
    assert code == 0, output
    assert all(line.startswith("ok ") for line in lines(output).values())
    assert {"pipeline", "pushed"} <= lines(output).keys()
    assert re.search(r"zizmor\.+Passed", output)
    assert not (clone.path / "data/raw.parquet").exists()


def test_a_forks_check_says_what_it_cannot_see_and_is_green(shared: Shared) -> None:
    clone = shared.checkout("fork")
    code, output = fresh(clone, WITHOUT_REMOTE="true")
    assert code == 0, output
    assert lines(output)["remote"].startswith("--")
    assert lines(output)["pipeline"].startswith("ok")


def test_the_first_build_of_a_fresh_project_is_green_and_honest(
    project: BakedProject, tmp_path: Path
) -> None:
    clone = Shared(project, tmp_path).checkout("ci")
    without_data = BRIEFLY | {"PYTEST_ADDOPTS": "tests/test_data.py tests/test_model.py"}
    code, output = run(clone, "check.yml", {**NOBODY, WITHOUT_REMOTE: "false"}, **without_data)
    assert code == 0, output
    assert re.search(r"^SKIPPED .* tests/test_model.py:\d+: no model here", output, re.M)
    assert "no run is committed, so there is nothing to check yet: dvc repro" in output


def test_a_remote_on_another_machine_is_reported_and_passes(shared: Shared, tmp_path: Path) -> None:
    clone = shared.checkout("elsewhere").copy(tmp_path / "ci" / "flight_delays")
    code, output = fresh(clone)
    assert code == 0, output
    remedy = "dvc remote modify storage url s3://bucket/prefix"
    assert lines(output)["remote"].startswith("--") and remedy in lines(output)["remote"]
    assert lines(output)["pipeline"] == "ok  pipeline   dvc.lock is fresh"


def test_a_stale_lock_fails_the_check_with_what_to_type(shared: Shared) -> None:
    clone = shared.checkout("stale")
    text = (clone.path / "params.yaml").read_text(encoding="utf-8")
    changed = text.replace("hours_before_departure: 2", "hours_before_departure: 3")
    (clone.path / "params.yaml").write_text(changed, encoding="utf-8")
    code, output = fresh(clone)
    assert code != 0
    remedy = "dvc pull && dvc repro && git add . && git commit && dvc push"
    assert lines(output)["pipeline"].endswith(f"dvc.lock is stale at ingest: {remedy}")
    (clone.path / "params.yaml").write_text(text, encoding="utf-8")
    (clone.path / "metrics.json").write_text("{}\n", encoding="utf-8")
    code, output = fresh(clone)
    assert code != 0 and "stale at evaluate" in output


def test_a_forgotten_push_fails_the_check_with_what_to_type(
    work: BakedProject, tmp_path: Path
) -> None:
    recorded = yaml.safe_load((work.path / "dvc.lock").read_text(encoding="utf-8"))
    md5 = recorded["stages"]["ingest"]["outs"][0]["md5"]
    own = Shared(work, tmp_path / "shared")
    (own.remote / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    code, output = fresh(own.checkout("forgotten"))
    assert code != 0
    assert lines(output)["pushed"].endswith("data/raw.parquet not in the remote: dvc push")


def fresh(clone: BakedProject, **environment: str) -> tuple[int, str]:
    done = clone.run("make", "fresh", check=False, **environment)
    return done.returncode, done.stdout


# retrain


@pytest.fixture(scope="module")
def month(shared: Shared) -> BakedProject:
    """A runner's clone, for retraining."""
    return shared.checkout("month")


def retrain(clone: BakedProject, host: CodeHost, until: str = "") -> tuple[int, str]:
    values = {**NOBODY, "inputs.until": until, "inputs.anyway || 'false'": "false"}
    values |= dict.fromkeys(("github.token", "secrets.REPO_TOKEN || github.token"), TOKEN)
    clone.run(*NO_HOOKS, "checkout", "--quiet", "main")  # the clone has no data for DVC's
    return run(clone, "retrain.yml", values, **host.environment(clone.path.parent))


def test_retraining_opens_one_pull_request_with_the_report(
    shared: Shared, month: BakedProject, host: CodeHost
) -> None:
    summary = shared.folder / "summary.md"
    code, output = retrain(month, host)
    assert code == 0, output
    assert f"Opened {host.url}/team/flights/pull/1" in output
    (pull,) = host.pulls
    assert (pull["base"], pull["head"]) == ("main", "retrain/2013-09-01")
    assert pull["title"] == "Retrain on data until 2013-09-01"
    assert re.match(r"\*\*(Better|Worse|No significant difference|Not compared)\*\*", pull["body"])
    assert "ingest.until" in pull["body"]
    assert summary.read_text(encoding="utf-8").strip() == pull["body"].strip()
    assert host.tokens == {TOKEN} and TOKEN not in output

    origin = ("git", "--git-dir", shared.origin)
    log = month.run(*origin, "log", "--format=%s", "main..retrain/2013-09-01").stdout
    assert log.splitlines() == [pull["title"]]
    commits = ("main", "retrain/2013-09-01")
    diff = month.run(*origin, "diff", "-U0", *commits, "--", "params.yaml").stdout
    (old, new) = re.findall(r"^[-+] .*$", diff, re.M)
    assert old.replace("2013-08-01", "2013-09-01")[1:] == new[1:]
    assert " # end of the data window" in old


def test_what_retraining_pushes_is_complete(shared: Shared, month: BakedProject) -> None:
    clone = shared.checkout("retrained", "retrain/2013-09-01")
    code, output = fresh(clone)
    assert code == 0, output
    assert lines(output)["pushed"].endswith("all is in the remote")


def test_commits_of_others_on_the_branch_are_not_overwritten(
    shared: Shared, month: BakedProject, host: CodeHost
) -> None:
    other = shared.checkout("other", "retrain/2013-09-01")
    (other.path / "notes.md").write_text("Mine.\n", encoding="utf-8")
    other.run("git", "add", "notes.md")
    other.run("git", "commit", "--quiet", "--no-verify", "-m", "Mine")
    other.run("git", "push", "--quiet", "--no-verify")
    code, output = retrain(month, host)
    assert code != 0 and "retrain/2013-09-01 has commits of someone else" in output
    assert "Running stage" not in output  # it is seen before the run, not after it
    assert host.pulls == []


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        ("2013-08-01", "the window already ends at 2013-08-01"),
        ("2014-02-01", "data/source ends at 2013-12-31"),
    ],
)
def test_where_there_is_nothing_to_retrain_on_nothing_is_opened(
    shared: Shared, month: BakedProject, host: CodeHost, until: str, reason: str
) -> None:
    code, output = retrain(month, host, until)
    assert code == 0, output
    assert f"Nothing to retrain on: {reason}" in output
    assert host.pulls == []
    assert month.run("git", "status", "--porcelain").stdout == ""
    assert "Nothing is monitored: data/log.dvc imports no log" in output
    assert "nothing is monitored, so there is no rule to follow" in output
    assert host.issues == []
    assert month.run("git", "branch", "--show-current").stdout == "main\n"
    assert until not in month.run("git", "ls-remote", "origin").stdout


def test_a_window_past_all_rows_is_nothing_to_retrain_on(
    shared: Shared, month: BakedProject, host: CodeHost
) -> None:
    clone = shared.checkout("past").copy(shared.folder / "past-2")
    text = (clone.path / "params.yaml").read_text(encoding="utf-8")
    (clone.path / "params.yaml").write_text(text.replace("2013-08-01", "2014-01-01"), "utf-8")
    clone.run("dvc", "repro", "--pull", "--allow-missing", "ingest")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "All of 2013")
    done = clone.run("flight-delays", "retrain")
    assert "Nothing to retrain on: data/source has no row between the window and 20" in done.stdout


@pytest.mark.parametrize("until", ["soon", '"; touch hacked; "', "$(touch hacked)"])
def test_what_is_typed_into_the_form_is_a_date_or_refused(
    month: BakedProject, host: CodeHost, until: str
) -> None:
    code, output = retrain(month, host, until)
    assert code != 0 and "Invalid value" in output
    assert not (month.path / "hacked").exists()


def test_work_that_is_not_committed_is_not_swept_into_the_branch(
    shared: Shared, host: CodeHost
) -> None:
    clone = shared.checkout("dirty")
    (clone.path / "notes.md").write_text("Mine.\n", encoding="utf-8")
    code, output = retrain(clone, host)
    assert code != 0 and "not committed: notes.md" in output


def test_without_a_remote_retraining_says_what_is_missing(
    shared: Shared, host: CodeHost, tmp_path: Path
) -> None:
    clone = shared.checkout("away").copy(tmp_path / "ci" / "flight_delays")
    code, output = retrain(clone, host)
    assert code != 0 and "dvc remote modify storage url s3://bucket/prefix" in output


# release


@pytest.fixture(scope="module")
def released(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """v1.0.0, released as in the README."""
    folder = tmp_path_factory.mktemp("released")
    shared = Shared(small, folder)
    output = shared.own.run("flight-delays", "release", "v1.0.0").stdout
    (push,) = re.findall(r"^    (git push .*)$", output, re.M)
    shared.own.run("sh", "-c", push.replace("git push", "git push --no-verify"))
    return shared


def release(
    clone: BakedProject, host: CodeHost, publish: str, version: str = "v1.0.0"
) -> tuple[int, str]:
    values = {**NOBODY, "github.ref_name": version, "vars.PUBLISH": publish, "github.token": TOKEN}
    return run(clone, "release.yml", values, **host.environment(clone.path.parent))


def test_a_tag_is_verified_packed_and_published(released: Shared, host: CodeHost) -> None:
    clone = released.checkout("tag", "v1.0.0")
    archive = clone.path / "dist" / "flight-delays-v1.0.0.tar.gz"
    contents = set()
    for _ in range(2):  # run again: the same bytes, the same release
        code, output = release(clone, host, "release")
        assert code == 0, output
        assert len(lines(output)) == 7
        assert all(line.startswith("ok ") for line in lines(output).values())
        contents.add(archive.read_bytes())
    (content,) = contents
    (published,) = host.releases.values()
    assert published["tag_name"] == "v1.0.0" and "## Metrics on the test table" in published["body"]
    (asset,) = published["assets"]
    assert asset["name"] == archive.name
    assert host.files[str(asset["id"])] == content


def test_the_archive_holds_what_serves_the_model(released: Shared) -> None:
    clone = released.checkout("archive", "v1.0.0")
    clone.run("flight-delays", "distribution", "v1.0.0", "--output", "dist")
    with tarfile.open(clone.path / "dist" / "flight-delays-v1.0.0.tar.gz") as archive:
        archive.extractall(released.folder / "unpacked", filter="data")
    (folder,) = (released.folder / "unpacked").iterdir()
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder, check=True)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "SHA256SUMS", "contract.yaml", "metrics.json", "models/examples.json", "models/model.json",
        "models/model.onnx", "reports/data_quality.json", "reports/gate.json",
        "reports/model_card.md", "version.json",
    }  # fmt: skip
    about = json.loads((folder / "version.json").read_text(encoding="utf-8"))
    assert about["version"] == "v1.0.0"
    assert about["commit"] == clone.run("git", "rev-parse", "HEAD").stdout.strip()
    model = json.loads((folder / "models/model.json").read_text(encoding="utf-8"))
    assert sha256((folder / "models/model.onnx").read_bytes()).hexdigest() == model["sha256"]


def test_without_the_setting_nothing_is_published(released: Shared, host: CodeHost) -> None:
    clone = released.checkout("quiet", "v1.0.0")
    code, output = release(clone, host, "")
    assert code == 0 and "set the variable PUBLISH" in output
    assert host.releases == {} and host.tokens == set()
    assert clone.has_file("dist/flight-delays-v1.0.0.tar.gz")
    code, output = release(clone, host, "everywhere")
    assert code != 0 and "PUBLISH is 'everywhere'" in output


def test_a_tag_that_is_not_a_release_is_refused(released: Shared, host: CodeHost) -> None:
    released.own.run("git", "tag", "v9.0.0")
    released.push("v9.0.0")
    clone = released.checkout("no-release", "v9.0.0")
    code, output = release(clone, host, "release", "v9.0.0")
    assert code != 0 and "no release v9.0.0 (released: v1.0.0)" in output
    assert host.releases == {}


def test_a_release_whose_model_is_not_as_recorded_is_refused(
    released: Shared, host: CodeHost
) -> None:
    own = released.own
    (own.path / "README.md").write_text("Another.\n", encoding="utf-8")
    info = own.path / "models/model.json"
    digits = json.loads(info.read_text(encoding="utf-8"))["sha256"]
    info.write_text(info.read_text(encoding="utf-8").replace(digits, "0" * 64), encoding="utf-8")
    own.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Forged")
    for tag in ("v1.0.1", "model@v1.0.1"):
        own.run("git", "tag", "--annotate", "-m", "Forged", tag)
    released.push("v1.0.1", "model@v1.0.1")
    clone = released.checkout("forged", "v1.0.1")
    code, output = release(clone, host, "release", "v1.0.1")
    assert code != 0
    assert lines(output)["model"].startswith("NO") and "0" * 64 in lines(output)["model"]
    assert lines(output)["pipeline"].startswith("NO")
    assert host.releases == {}


# all


def test_every_line_of_the_workflows_was_executed_by_a_test_above() -> None:
    names = {path.name for path in WORKFLOWS.glob("*.yml")} - {"report.yml"}  # has its own tests
    assert not_executed(*names) == set(), "run this file whole; if it was, these lines want a test"
