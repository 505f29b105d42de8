"""Retraining by the rule: the log of the autumn leads to an issue and a pull request."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import code_host
from code_host import TOKEN, CodeHost
from conftest import BakedProject
from runner import NO_HOOKS, Shared, lines, run

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("replayed_log.py")
NOBODY = {"secrets.AWS_ACCESS_KEY_ID": "", "secrets.AWS_SECRET_ACCESS_KEY": ""}
BRANCH = "retrain/2013-11-01"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeHost]:
    with code_host.start(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A project whose source ends in July and that imports the log of August to October."""
    shared = Shared(small, tmp_path_factory.mktemp("retraining"))
    own, log = shared.own, shared.folder / "log"
    own.run("python", PROGRAM, log, "2013-08-01", "2013-11-01")
    for path in (own.path / "data/source").rglob("2013-*.parquet"):
        if path.stem > "2013-07":
            path.unlink()
    own.run("dvc", "add", "data/source")
    own.run("dvc", "import-url", log, "data/log")
    limit(own, "0.05", "0.03")
    own.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "A log, and no later source")
    own.run("dvc", "push")
    shared.push("HEAD:main")
    return shared


def limit(project: BakedProject, before: str, after: str) -> None:
    """Change the limit of calibration."""
    path = project.path / "params.yaml"
    text = path.read_text(encoding="utf-8")
    changed = text.replace(f"calibration: {before} # mean", f"calibration: {after} # mean")
    assert changed != text
    path.write_text(changed, encoding="utf-8")


@pytest.fixture(scope="module")
def runner(shared: Shared) -> BakedProject:
    return shared.checkout("runner")


@pytest.fixture
def clone(runner: BakedProject) -> BakedProject:
    """A runner's clone of the host's main."""
    back(runner)
    return runner


def back(clone: BakedProject) -> None:
    """Go back to main, with the data that is in the cache."""
    clone.run(*NO_HOOKS, "checkout", "--quiet", "--force", "-B", "main", "origin/main")
    clone.run("dvc", "checkout", "--quiet", "--force", "--allow-missing")


def job(
    clone: BakedProject, host: CodeHost, name: str | None = None, **inputs: str
) -> tuple[int, str]:
    """Run the workflow, or one of its jobs."""
    values = {**NOBODY, "inputs.until": inputs.get("until", "")}
    values["inputs.anyway || 'false'"] = inputs.get("anyway", "false")
    values |= dict.fromkeys(("github.token", "secrets.REPO_TOKEN || github.token"), TOKEN)
    return run(clone, "retrain.yml", values, name, **host.environment(clone.path.parent))


def test_autumn_opens_one_issue_and_one_pull_request(clone: BakedProject, host: CodeHost) -> None:
    for verb, issue in (("Opened", "Opened"), ("Updated", "Unchanged")):
        back(clone)
        code, output = job(clone, host)
        assert code == 0, output
        assert "The rule says yes: 2 of the last 3 windows violate (2013-09: calibration" in output
        assert f"{issue}: Monitoring: calibration" in output
        assert re.search(rf"^{verb} .*/pull/1$", output, re.M)
    (pull,) = host.pulls
    assert (pull["head"], pull["title"]) == (BRANCH, "Retrain on data until 2013-11-01")
    assert re.match(r"\*\*(Better|Worse|No significant difference)\*\*: roc_auc", pull["body"])
    assert "data/source/logged has 8,449 rows of the prediction log" in pull["body"]
    assert [opened["title"] for opened in host.issues].count("Monitoring: calibration") == 1
    assert TOKEN not in output


def test_the_pull_request_has_the_logged_rows_and_the_log_that_they_are_of(
    shared: Shared, clone: BakedProject
) -> None:
    branch = shared.checkout("branch", BRANCH)
    done = branch.run("make", "fresh")
    assert lines(done.stdout)["pushed"].endswith("all is in the remote")
    changed = branch.run("git", "show", "--format=", "--name-only", "HEAD").stdout.split()
    assert {"data/source.dvc", "params.yaml", "dvc.lock"} <= {*changed}
    for path in ("data/source.dvc", "data/raw.parquet"):
        branch.run("dvc", "pull", path)
    names = sorted(path.name for path in (branch.path / "data/source/logged").iterdir())
    assert names == ["2013-08.parquet", "2013-09.parquet", "2013-10.parquet"]
    count = "import pandas as pd; raw = pd.read_parquet('data/raw.parquet'); "
    count += "late = raw[raw.scheduled_departure >= '2013-08-01']; "
    count += "print(len(late), late.air_time.notna().sum(), late.late.notna().all())"
    assert branch.run("python", "-c", count).stdout.split() == ["8449", "0", "True"]


def test_where_the_window_cannot_be_filled_nothing_is_left_behind(
    clone: BakedProject, host: CodeHost
) -> None:
    before = clone.run("dvc", "status").stdout
    code, output = job(clone, host, "retrain", until="2014-02-01")
    assert code == 0 and "Nothing to retrain on: data/source ends at 2013-10-31" in output
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert clone.run("git", "branch", "--show-current").stdout == "main\n"
    assert not (clone.path / "data/source/logged").exists()
    assert clone.run("dvc", "status").stdout == before


def test_source_files_that_are_not_recorded_are_not_swept_in(
    shared: Shared, clone: BakedProject, host: CodeHost
) -> None:
    unrecorded = clone.path / "data/source/2013-08.parquet"
    unrecorded.write_bytes((clone.path / "data/source/2013-07.parquet").read_bytes())
    code, output = job(clone, host, "retrain")
    assert code != 0 and "data/source has changes that are not recorded" in output
    assert unrecorded.exists()


def test_a_failed_run_is_undone(clone: BakedProject, host: CodeHost) -> None:
    module = clone.path / "src/flight_delays/candidates.py"
    module.write_text("raise SystemExit('a broken stage')\n", encoding="utf-8")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Break the candidates")
    code, output = job(clone, host, "retrain")
    assert code != 0 and "a broken stage" in output, output
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert not (clone.path / "data/source/logged").exists()


def test_too_few_new_rows_are_nothing_to_retrain_on(clone: BakedProject, host: CodeHost) -> None:
    code, output = job(clone, host, "retrain", until="2013-08-03")
    assert code == 0, output
    assert re.search(
        r"Nothing to retrain on: \d+ new rows until 2013-08-03 are fewer than monitor.min_rows"
        r" \(500\)", output
    )  # fmt: skip


def test_columns_that_the_log_lacks_are_named_and_the_source_alone_counts(
    clone: BakedProject, host: CodeHost
) -> None:
    path = clone.path / "contract.yaml"
    text = path.read_text(encoding="utf-8")
    head, tail = text.split("  air_time:\n")
    path.write_text(f"{head}  air_time:\n{tail.replace('true', 'false', 1)}", encoding="utf-8")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Air time is always there")
    code, output = job(clone, host, "retrain")
    assert code == 0, output
    assert "mark air_time nullable: true in contract.yaml, which the log does not have" in output
    assert (
        "Nothing to retrain on: data/source has no row between the window and 2013-09-01" in output
    )


def test_an_accepted_alarm_closes_its_issue_and_the_rule_says_no(
    clone: BakedProject, host: CodeHost
) -> None:
    pushes = clone.run("git", "ls-remote", "origin").stdout
    limit(clone, "0.03", "0.5")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Accept the calibration")
    code, output = job(clone, host)
    assert code == 0, output
    assert "No need to retrain: none of the last 3 windows violates" in output
    assert "Closed: Monitoring: calibration" in output
    assert clone.run("git", "ls-remote", "origin").stdout == pushes
    code, output = job(clone, host, "retrain", anyway="true")
    assert code == 0 and "The rule says no: none of the last 3 windows violates" in output
    assert re.search(r"^Updated .*/pull/1$", output, re.M)


def test_a_challenger_that_the_gate_refuses_says_so_and_is_blocked(
    shared: Shared, clone: BakedProject, host: CodeHost
) -> None:
    shared.push("--delete", BRANCH)  # it is on a commit that is not main's
    path = clone.path / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("floor: 0.65 #", "floor: 0.99 #"), encoding="utf-8")
    clone.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "A higher floor")
    code, output = job(clone, host)
    assert code == 0 and "/pull/1" in output, output
    verdict, _, notes = host.pulls[0]["body"].partition("\n")
    assert verdict.startswith("**") and "roc_auc" in verdict
    assert "**The gate failed**: `floor`" in notes.partition("<details>")[0]
    assert clone.run("make", "show", check=False).returncode != 0  # what the job `report` ends with
