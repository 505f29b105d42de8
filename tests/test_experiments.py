"""Experiments with DVC: a grid is queued, run in parallel, compared, and the best applied."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from conftest import BakedProject

pytestmark = pytest.mark.slow

GRID = ("train.hyperparameters.linear.C=0.01,1", "select.coverage=0.8,0.9")
TABLE = "dvc exp show --only-changed --sort-by roc_auc.value --sort-order desc".split()
COLUMNS = ("--drop", r"^(?!Experiment|roc_auc|train\.|select\.)")


PATIENCE = 600  # seconds


@pytest.fixture(scope="module")
def explored(
    small: BakedProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BakedProject]:
    """A project after a grid of four experiments, queued by one command and run by another."""
    copy = small.copy(tmp_path_factory.mktemp("explored") / small.path.name)
    queue = [word for dial in GRID for word in ("-S", dial)]
    assert copy.run("dvc", "exp", "run", "--queue", *queue).stdout.count("Queued experiment") == 4
    assert copy.run("git", "status", "--porcelain").stdout == ""
    copy.run("dvc", "exp", "run", "--run-all", "--jobs", "2")
    yield copy
    copy.run("dvc", "queue", "stop", "--kill", check=False)


def rows(project: BakedProject, *options: str) -> list[dict[str, str]]:
    """The table of experiments below their commit."""
    table = csv.DictReader(io.StringIO(project.run(*TABLE, *options, "--csv").stdout))
    return [row for row in table if row["rev"] not in ("workspace", "main", "")]


def test_experiments_leave_nothing_behind_in_git(explored: BakedProject) -> None:
    assert explored.run("git", "status", "--porcelain").stdout == ""
    assert explored.run("git", "branch", "--list").stdout.split() == ["*", "main"]
    assert explored.run("git", "stash", "list").stdout == ""
    assert "up to date" in explored.run("dvc", "status").stdout


def test_the_table_is_sorted_by_the_headline_metric_with_its_interval(
    explored: BakedProject,
) -> None:
    table = rows(explored)
    values = [float(row["roc_auc.value"]) for row in table]
    assert len(table) == 4
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    for row in table:
        assert float(row["roc_auc.low"]) < float(row["roc_auc.value"]) < float(row["roc_auc.high"])
    grid = {(row["train.hyperparameters.linear.C"], row["select.coverage"]) for row in table}
    assert grid == {("0.01", "0.8"), ("0.01", "0.9"), ("1", "0.8"), ("1", "0.9")}


def test_the_documented_table_shows_no_other_columns(explored: BakedProject) -> None:
    shown = explored.run(*TABLE, *COLUMNS, "--md").stdout.splitlines()[0]
    assert [cell.strip() for cell in shown.strip("|").split("|")] == [
        "Experiment",
        "roc_auc.value",
        "roc_auc.low",
        "roc_auc.high",
        "train.hyperparameters.linear.C",
        "select.coverage",
    ]


def test_the_best_is_applied_and_is_then_a_run_like_any_other(
    explored: BakedProject, small: BakedProject
) -> None:
    best = rows(explored)[0]
    explored.run("dvc", "exp", "apply", best["Experiment"])
    changed = explored.run("git", "diff", "--unified=0", "HEAD", "params.yaml").stdout
    lines = [line[1:].strip() for line in changed.splitlines() if line.startswith("+ ")]
    assert {line.split(":")[0] for line in lines} <= {"C", "coverage"}
    explored.run("pre-commit", "run", "--files", "params.yaml", "dvc.lock")
    assert "up to date" in explored.run("dvc", "status").stdout
    metrics = json.loads((explored.path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["roc_auc"]["value"] == pytest.approx(float(best["roc_auc.value"]), abs=1e-5)
    explored.run("git", "reset", "--quiet", "--hard")
    explored.run("dvc", "checkout", "--quiet", "--force")
    assert (explored.path / "dvc.lock").read_bytes() == (small.path / "dvc.lock").read_bytes()


def test_a_direct_experiment_runs_in_the_users_files_and_the_guide_says_how_to_have_them_back(
    work: BakedProject, small: BakedProject
) -> None:
    work.run("dvc", "exp", "run", "--name", "direct", "-S", GRID[0].replace("0.01,1", "0.01"))
    assert work.file_contains("params.yaml", "C: 0.01")
    assert [row["Experiment"] for row in rows(work)] == ["direct"]
    changed = work.run("git", "status", "--porcelain").stdout.split()
    assert {"params.yaml", "dvc.lock", "metrics.json"} <= set(changed)
    line = "git reset --hard && dvc checkout"
    assert work.file_contains("docs/guide/models.md", f"`{line}`")
    work.run("sh", "-c", line)
    assert work.run("git", "status", "--porcelain").stdout == ""
    assert (work.path / "dvc.lock").read_bytes() == (small.path / "dvc.lock").read_bytes()
    assert "up to date" in work.run("dvc", "status").stdout


def in_background(project: BakedProject, *command: str) -> None:
    """Run a command that leaves workers running, which would keep a pipe open."""
    nowhere = subprocess.DEVNULL
    subprocess.run(
        command,
        cwd=project.path,
        env=project.environment,
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
        check=True,
        timeout=PATIENCE,
    )


def test_a_queue_runs_in_the_background_two_at_a_time(work: BakedProject) -> None:
    work.run("dvc", "exp", "run", "--queue", "-S", GRID[0])
    in_background(work, "dvc", "queue", "start", "--jobs", "2")
    for _ in range(PATIENCE):
        states = work.run("dvc", "queue", "status").stdout
        if not re.search("Queued|Running", states.partition("Worker status")[0]):
            break
        time.sleep(1)
    assert states.count("Success") == 2, states
    assert len(rows(work)) == 2
    assert work.run("git", "status", "--porcelain").stdout == ""
    for worker in work.path.glob(".dvc/tmp/exps/celery/*.pid"):  # done, and slow to see it
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(worker.read_text()), signal.SIGKILL)


def test_an_experiment_runs_the_code_that_it_was_queued_with(work: BakedProject) -> None:
    code = work.path / "src/flight_delays/candidates.py"
    text = code.read_text(encoding="utf-8")
    model = (work.path / "models/model.onnx").read_bytes()
    changed = text.replace("LogisticRegression()", "LogisticRegression(fit_intercept=False)")
    assert changed != text
    code.write_text(changed, encoding="utf-8")
    work.run("dvc", "exp", "run", "--queue", "--name", "no-intercept")
    code.write_text(text, encoding="utf-8")
    work.run("dvc", "exp", "run", "--run-all")
    assert work.run("git", "status", "--porcelain").stdout == ""
    work.run("dvc", "exp", "apply", "no-intercept")
    assert (work.path / "models/model.onnx").read_bytes() != model


RANGES = """search:
  linear:
    C:
      low: 0.001
      high: 100.0
      log: true
"""


@pytest.fixture
def searched(work: BakedProject) -> BakedProject:
    """A project with a search range for the linear model, whose current value is poor."""
    params = work.path / "params.yaml"
    text = params.read_text(encoding="utf-8").replace("      C: 1.0\n", "      C: 0.0001\n")
    params.write_text(re.sub(r"(?ms)^search:.*?(?=^select:)", RANGES, text), encoding="utf-8")
    work.run("dvc", "repro", "train@schedule-linear")
    work.run("git", "commit", "--quiet", "--all", "--no-verify", "--message", "Ranges")
    return work


def trials(project: BakedProject) -> list[str]:
    listed = project.run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout
    return sorted(name for name in listed.split() if name.startswith("search-"))


def test_a_search_goes_on_and_ends_with_a_branch_that_differs_in_hyperparameters_alone(
    searched: BakedProject,
) -> None:
    first = searched.run("flight-delays", "search", "linear", "--minutes", "0.1").stdout
    before = trials(searched)
    assert before[0] == "search-schedule-linear-1" and "C 0.0001" in first
    output = searched.run("flight-delays", "search", "linear", "--minutes", "0.05").stdout
    assert f"Going on after {len(before)} trials" in output
    assert len(trials(searched)) > len(before)
    assert searched.run("git", "status", "--porcelain").stdout == ""

    (branch,) = set(re.findall(r"git switch (\S+)", output))
    assert searched.run("git", "diff", "--name-only", "HEAD", branch).stdout.split() == [
        "dvc.lock",
        "params.yaml",
    ]
    lines = searched.run("git", "diff", "-U0", "HEAD", branch, "--", "params.yaml").stdout
    assert len(re.findall(r"(?m)^[-+] .*\S", lines)) == 2 and "+      C:" in lines
    (gain,) = re.findall(r"differs by (\S+) ±", output)
    assert float(gain) > 0


def test_no_trial_of_a_search_reads_the_test_table(searched: BakedProject) -> None:
    searched.run("dvc", "remove", "evaluate")  # any other stage than train's may be missing
    (searched.path / "data/features/test.parquet").unlink()
    searched.run("git", "commit", "--quiet", "--all", "--no-verify", "--message", "No test")
    searched.run("flight-delays", "search", "linear", "--minutes", "0.01")
    assert trials(searched) == ["search-schedule-linear-1"]


def test_what_cannot_be_searched_is_one_sentence(searched: BakedProject) -> None:
    params = searched.path / "params.yaml"
    text = params.read_text(encoding="utf-8")
    for model, before, after, message in (
        ("magic", "", "", "schedule-magic is not a candidate; params.yaml has schedule-prior"),
        ("prior", "", "", "search.prior is missing; give it ranges to search"),
        ("linear", "high: 100.0", "high: 0.0001", "0.001 to 0.0001 is not a range"),
        ("linear", "low: 0.001", "low: few", "search.linear.C.low: 'few' is not a number"),
        ("linear", "test_days: 31", "test_days: 30", "params.yaml is not committed; commit"),
    ):
        params.write_text(text.replace(before, after, 1), encoding="utf-8")
        done = searched.run("flight-delays", "search", model, check=False)
        assert done.returncode == 2, message
        assert message in done.stdout and done.stdout.count("\n") == 1
    assert trials(searched) == []
