"""The report workflow: each line of its jobs, run in a fresh clone as on a runner."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import code_host
from conftest import BakedProject
from runner import Shared, load, not_executed
from runner import run as run_workflow

pytestmark = pytest.mark.slow

BRANCH = 'dial;"$(touch${IFS}hacked)"'  # git takes such a name
VALUES = {
    "github.event.pull_request.base.ref": "main",
    "github.token": code_host.TOKEN,
    "secrets.REPO_TOKEN || github.token": code_host.TOKEN,
    "secrets.AWS_ACCESS_KEY_ID": "",
    "secrets.AWS_SECRET_ACCESS_KEY": "",
}
LINK = "models/model.json"
RESULTS = {"dvc.lock", "metrics.json", "models/model.json", "reports/gate.json"}


@pytest.fixture(scope="module")
def shared(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A project with a branch where params.yaml was edited without a run."""
    shared = Shared(small, tmp_path_factory.mktemp("shared"))
    shared.change_a_parameter(BRANCH)
    return shared


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[code_host.CodeHost]:
    """The code host, for all tests of this file, in their order."""
    with code_host.start(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture(scope="module")
def first(shared: Shared, host: code_host.CodeHost) -> tuple[BakedProject, str]:
    """The clone of the first run, and its output."""
    clone = shared.checkout("first", BRANCH)
    return clone, run_all(shared, clone, host)


def run_all(shared: Shared, clone: BakedProject, host: code_host.CodeHost) -> str:
    """Run the jobs of a pull request of this repository, which must succeed; returns the output."""
    return run(clone, "report", host) + run_writing(shared, clone, host)


def run_writing(shared: Shared, clone: BakedProject, host: code_host.CodeHost) -> str:
    """Run the jobs that write after this clone's report job, which must succeed."""
    output = ""
    for job in ("comment", "record"):
        target, environment = base(shared, clone, job, host)
        output += run(target, job, host, **environment)
    return output


def base(
    shared: Shared, clone: BakedProject, job: str, host: code_host.CodeHost, of_run: str = ""
) -> tuple[BakedProject, dict[str, str]]:
    """A checkout of the base branch with the report job's artifact, and its environment."""
    target = shared.checkout(f"{clone.path.name}-{job}")
    (clone.path / "run").mkdir(exist_ok=True)
    shutil.copytree(clone.path / "run", target.path / "run")
    if not of_run:
        of_run = "HEAD~" if clone.has_file("run/commit.bundle") else "HEAD"
    commit = clone.run("git", "rev-parse", of_run).stdout.strip()
    return target, host.environment(clone.path.parent, BRANCH, commit=commit)


def run(clone: BakedProject, job: str, host: code_host.CodeHost, **environment: str) -> str:
    """Run each `run:` line of a job in order; all must succeed."""
    settings = environment or host.environment(clone.path.parent, BRANCH)
    code, output = run_workflow(clone, "report.yml", VALUES, job, **settings)
    assert code == 0, output
    assert code_host.TOKEN not in output
    assert not list(clone.path.parent.rglob("hacked"))
    return output


def test_job_runs_what_the_pull_request_made_stale_and_nothing_else(
    first: tuple[BakedProject, str],
) -> None:
    clone, output = first
    ran = re.findall(r"^Running stage '(\S+)':", output, re.MULTILINE)
    assert ran[0] == "train@schedule-linear"
    assert {*ran} <= {"train@schedule-linear", "select", "evaluate", "gate", "card"}
    assert not clone.has_file("data/raw.parquet")  # nor was more pulled than they read


def test_record_of_the_run_comes_back_to_the_branch(
    shared: Shared, first: tuple[BakedProject, str]
) -> None:
    clone, _ = first
    origin = ("git", "--git-dir", shared.origin)
    log = clone.run(*origin, "log", "--format=%s", f"main..{BRANCH}").stdout.splitlines()
    assert log == ["Reproduce the pipeline", "Change a parameter"]
    changed = clone.run(*origin, "diff", "--name-only", f"{BRANCH}~", BRANCH).stdout.splitlines()
    assert RESULTS & {*changed} >= {"dvc.lock", "metrics.json"}
    assert not [name for name in changed if name.endswith((".parquet", ".onnx"))]


def test_comment_and_summary_say_what_it_did_to_the_model(
    first: tuple[BakedProject, str], host: code_host.CodeHost
) -> None:
    clone, _ = first
    (body,) = host.bodies()
    assert re.match(r"\*\*(Better|Worse|No significant difference)\*\*", body)
    assert "train.hyperparameters.linear.C" in body
    assert body.startswith((clone.path / "run/report.md").read_text(encoding="utf-8"))
    summary = (clone.path.parent / "summary.md").read_text(encoding="utf-8")
    assert body.startswith(summary.rstrip())


def test_data_of_the_run_comes_to_the_remote(
    shared: Shared, first: tuple[BakedProject, str]
) -> None:
    clone = shared.checkout("data", BRANCH)
    clone.run("dvc", "pull", "models/model.onnx", "data/predictions.parquet")


def test_code_of_the_branch_can_write_nothing_through_the_record_job(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost
) -> None:
    commit = "commit.bundle"
    clone = shared.checkout("hostile", BRANCH)
    (clone.path / "run").mkdir()
    for path in ("src/flight_delays/features.py", "Makefile", "reports/page.html", LINK):
        changed = clone.path / path
        changed.unlink(missing_ok=True)
        if path == LINK:
            changed.symlink_to("../README.md")
        else:
            changed.write_text("hostile\n", encoding="utf-8")
        clone.run("git", "add", "--force", path)
        clone.run("git", "commit", "--quiet", "--no-verify", "-m", "Reproduce the pipeline")
        clone.run("git", "bundle", "create", "--quiet", f"run/{commit}", "HEAD~..HEAD")
        reason = f"makes {path} a link" if path == LINK else f"changes {path}, which is no output"
        refused(shared, clone, host, f"the run {reason}")
        clone.run("git", "reset", "--quiet", "--hard", "HEAD~")
    # Two commits, of which the first could be anything.
    for text in ("one", "two"):
        (clone.path / "metrics.json").write_text(f'{{"{text}": 1}}', encoding="utf-8")
        clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", text)
    clone.run("git", "bundle", "create", "--quiet", f"run/{commit}", "HEAD~2..HEAD")
    refused(shared, clone, host, "the run is not one commit on", of_run="HEAD~2")


def test_data_whose_hash_is_not_its_name_is_not_pushed(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost
) -> None:
    clone = shared.checkout("forged", BRANCH)
    shutil.copytree(first[0].path / "run", clone.path / "run")
    (place, *_) = sorted((clone.path / "run/objects").glob("*/*"))
    place.write_bytes(b"forged")
    refused(shared, clone, host, "does not match the hash in its name")


def refused(
    shared: Shared, clone: BakedProject, host: code_host.CodeHost, reason: str, of_run: str = ""
) -> None:
    """Check that the record job of this run fails, gives the reason, and pushes nothing."""
    origin = ("git", "--git-dir", shared.origin, "rev-parse", BRANCH)
    before = clone.run(*origin).stdout
    target, environment = base(shared, clone, "record", host, of_run)
    code, output = run_workflow(target, "report.yml", VALUES, "record", **environment)
    assert code != 0 and reason in output, output
    assert clone.run(*origin).stdout == before
    shutil.rmtree(target.path)


def test_fresh_branch_runs_nothing_and_edits_the_comment(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost
) -> None:
    output = run_all(shared, shared.checkout("second", BRANCH), host)
    assert "Running stage" not in output and "there is nothing to record" in output
    assert len(host.bodies()) == 1


def test_run_that_somebody_pushed_is_taken_and_a_refused_push_is_a_warning(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost
) -> None:
    first[0].run("dvc", "push", "--run-cache")
    clone = shared.checkout("third", BRANCH)
    clone.run("git", "reset", "--quiet", "--hard", "HEAD~")  # the branch has moved on since
    output = run_all(shared, clone, host)
    assert "Stage 'train@schedule-linear' is cached" in output
    assert "stages train" not in output  # of stages that write files for git, DVC keeps no runs
    assert "::warning::dvc.lock was not pushed to" in output
    assert len(host.bodies()) == 1


def test_run_that_fails_takes_the_report_of_an_earlier_one_away(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost, tmp_path: Path
) -> None:
    clone = shared.checkout("broken", BRANCH)
    module = clone.path / "src/flight_delays/candidates.py"
    module.write_text("raise SystemExit('a broken stage')\n", encoding="utf-8")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Break the candidates")
    environment = host.environment(tmp_path, BRANCH)
    code, output = run_workflow(clone, "report.yml", VALUES, "report", **environment)
    assert code != 0 and "a broken stage" in output
    (clone.path.parent / "summary.md").unlink()
    output = run_writing(shared, clone, host)
    assert "There is nothing to record." in output and "a broken stage" not in output
    (body,) = host.bodies()
    commit = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    assert body.startswith(f"**No report** for {commit}: the run failed, see [its log](")
    assert "Better" not in body and "roc_auc" not in body
    summary = (clone.path.parent / "summary.md").read_text(encoding="utf-8")
    assert body.startswith(summary.rstrip())


def test_set_up_that_fails_takes_the_report_away_too(
    shared: Shared, host: code_host.CodeHost, tmp_path: Path
) -> None:
    clone = shared.checkout("no-venv", BRANCH)
    (clone.path / ".venv").unlink()
    bare = host.environment(tmp_path, BRANCH) | {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    done = clone.run("make", "comment", check=True, GH_TOKEN=code_host.TOKEN, **bare)
    assert "Posted by" in done.stdout
    assert not (clone.path / ".venv").exists()
    assert host.bodies()[0].startswith("**No report** for ")


FORK = "stranger/flights"


def fork(clone: BakedProject, host: code_host.CodeHost, folder: Path) -> tuple[str, str]:
    """The output of the fork's job, and its summary."""
    output = run(clone, "fork", host, **host.environment(folder, BRANCH, FORK))
    return output, (folder / "summary.md").read_text(encoding="utf-8")


def test_fork_has_no_secret_and_its_report_is_in_the_summary(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost, tmp_path: Path
) -> None:
    document = load("report.yml")["jobs"]["fork"]
    assert document["permissions"] == {"contents": "read"}
    assert "secrets" not in str(document["steps"]) and "token" not in str(document["steps"])
    clone = shared.checkout("fork", BRANCH)
    before = host.bodies()
    output, summary = fork(clone, host, tmp_path)
    assert "::warning::no comment: the job has no token" in output
    assert host.bodies() == before
    assert re.match(r"\*\*(Better|Worse|No significant difference)\*\*", summary)
    assert summary == (clone.path / "report.md").read_text(encoding="utf-8") + "\n"


def test_fork_that_cannot_reach_the_data_has_a_report_of_what_is_in_git(
    shared: Shared, first: tuple[BakedProject, str], host: code_host.CodeHost, tmp_path: Path
) -> None:
    clone = shared.checkout("far", BRANCH)
    clone.run(
        "git", "reset", "--quiet", "--hard", "HEAD~"
    )  # the parameter is changed, and nothing run
    for name, value in {"url": "s3://bucket/data", "endpointurl": "http://127.0.0.1:9"}.items():
        clone.run("dvc", "remote", "modify", "--local", "storage", name, value)
    output, summary = fork(clone, host, tmp_path)
    assert "::warning::nothing was run, since a fork's job cannot read the data" in output
    assert summary.startswith("**Not compared**: the remote cannot be read")
    assert "**Stale**: train" in summary
    assert "train.hyperparameters.linear.C" in summary
    (figures,) = re.findall(r"^\| `roc_auc` \| (.+?) \| (.+?) \|$", summary, re.MULTILINE)
    assert figures[0] == figures[1] != "–"  # of the commit that both start from
    done = clone.run("flight-delays", "report", "--check", check=False)
    assert done.returncode == 1 and "there are no test predictions" in done.stdout


def test_report_needs_no_against_in_the_repository_of_its_creator(shared: Shared) -> None:
    own = shared.own
    head = own.run("git", "rev-parse", "--verify", "origin/HEAD", check=False)
    assert head.returncode != 0  # 'git remote add' and 'git push' do not make it
    own.run("make", "report")
    assert own.file_contains("report.md", "Against `origin/main (")


def test_clone_without_its_remote_says_what_to_type(
    shared: Shared, host: code_host.CodeHost, tmp_path: Path
) -> None:
    clone = shared.checkout("away", BRANCH)
    clone.run("git", "reset", "--quiet", "--hard", "HEAD~")
    moved = clone.copy(tmp_path / "away" / clone.path.name)
    environment = host.environment(tmp_path, BRANCH)
    done = moved.run("flight-delays", "reproduce", check=False, **environment)
    assert done.returncode == 1
    assert "dvc remote modify storage url s3://bucket/prefix" in done.stdout


def test_every_line_of_the_workflow_was_executed_by_a_test_above() -> None:
    left = not_executed("report.yml")
    assert left == set(), "run this file whole; if it was, these lines want a test"
