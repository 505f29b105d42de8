"""The report on a pull request, on a real history of reproduced branches."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import BakedProject

pytestmark = pytest.mark.slow

HOSTILE = "@all|<script>"
LIMIT = 60_000  # characters
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")  # in which code hosts change nothing


class History:
    """Branches with one change and its run each; `main` has two plain candidates."""

    def __init__(self, project: BakedProject) -> None:
        self.project = project
        self.output = ""  # printed beside the report

    def branch(self, name: str, change: Callable[[BakedProject], object], start: str) -> None:
        """A pull request: a branch with a change, reproduced, committed and pushed."""
        self.project.run("git", "checkout", "--quiet", "-b", name, start)
        self.project.run("dvc", "checkout", "--quiet")
        change(self.project)
        self.project.run("dvc", "repro", "--quiet")
        self.project.run("git", "add", ".")
        self.project.run("git", "commit", "--quiet", "--no-verify", "--message", f"Try {name}")
        self.project.run("dvc", "push", "--quiet")

    def report(self, branch: str, against: str, *words: str, code: int = 0) -> str:
        """The report of a branch, made in its checkout."""
        self.project.run("git", "checkout", "--quiet", branch)
        self.project.run("dvc", "checkout", "--quiet")
        path = self.project.path.parent / "report.md"
        self.output = self.ask("--against", against, "--output", str(path), *words, code=code)
        text = path.read_text(encoding="utf-8")
        assert len(text) < LIMIT
        return text

    def ask(self, *words: str, code: int = 0) -> str:
        """Run the report, which must not change the checkout; returns its output."""
        done = self.project.run("flight-delays", "report", *words, check=False)
        assert done.returncode == code, done.stdout
        assert "Traceback" not in done.stdout
        assert self.project.run("git", "status", "--porcelain").stdout == ""
        return done.stdout


def replace(project: BakedProject, name: str, *edits: tuple[str, str]) -> None:
    path = project.path / name
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def weather(project: BakedProject) -> None:
    """A real improvement: the models use the weather."""
    project.edit("params.yaml", train__feature_sets=["schedule", "schedule_weather"])


def a_hair(project: BakedProject) -> None:
    """Only noise: a penalty that is one percent weaker."""
    project.edit("params.yaml", train__hyperparameters__linear__C=0.99)


def august(project: BakedProject) -> None:
    """Only data: one month more."""
    project.edit("params.yaml", ingest__until="2013-09-01")


def rename(project: BakedProject) -> None:
    """The same feature under another name, which the champion's model file does not have."""
    replace(project, "params.yaml", ("- flight_distance\n", "- length_of_flight\n"))
    code = "src/flight_delays/features.py"
    replace(project, code, ("def flight_distance(", "def length_of_flight("))


def lose_a_column(project: BakedProject) -> None:
    """The source loses the distance, from which the champion's features are made."""
    replace(project, "params.yaml", ("    - flight_distance\n", ""))
    code = (project.path / "src/flight_delays/features.py").read_text(encoding="utf-8")
    start = code.index('@tag(owner="scheduling", unit="mi")\ndef flight_distance(')
    end = code.index("@tag", start + 1)
    replace(project, "src/flight_delays/features.py", (code[start:end], ""))
    line = '            "distance": flights["distance"].astype("float64"),\n'
    replace(project, "src/flight_delays/source.py", (line, ""))
    project.edit("contract.yaml", columns__distance=None)


def ask_too_much(project: BakedProject) -> None:
    """A gate that no model passes, and names with hostile markup."""
    project.edit("params.yaml", gate__floor=0.99)
    project.edit("params.yaml", **{f"train__hyperparameters__{HOSTILE}": {HOSTILE: HOSTILE}})


@pytest.fixture(scope="module")
def history(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The branches, each run once for all tests of this file."""
    folder = tmp_path_factory.mktemp("history")
    remote = f"{small.path.name}-dvc-remote"
    shutil.copytree(small.path.parent / remote, folder / remote)
    result = History(small.copy(folder / small.path.name))
    for change in (weather, a_hair, august, rename, lose_a_column, ask_too_much):
        result.branch(change.__name__, change, "main")
    return result


def verdict(report: str) -> str:
    """The verdict in the first line."""
    return report.splitlines()[0].partition("**:")[0].strip("*").lower()


def section(report: str, title: str) -> str:
    """The section under a heading or in a folded summary."""
    start = re.search(rf"^(### |<summary><b>)[^\n]*{title}", report, re.MULTILINE)
    assert start, title
    remainder = report[start.end() :]
    end = re.search(r"^(### |</details>)", remainder, re.MULTILINE)
    return remainder[: end.start()] if end else remainder


def test_a_real_improvement_is_called_better_and_drawn_without_another_host(
    history: History,
) -> None:
    report = history.report("weather", "main", "--check")
    assert verdict(report) == "better"
    assert re.search(r"roc_auc 0\.\d+ → 0\.\d+, \+0\.\d+ \(\+0\.\d+ to \+0\.\d+\)", report)
    assert "| `schedule_weather-linear` | – | 0." in section(report, "Candidates")
    assert "`train.feature_sets`" in section(report, "Parameters")
    assert "What changed: Data" not in report
    charts = re.findall(r"```mermaid\n(.*?)\n```", report, re.DOTALL)
    assert len(charts) == 2
    assert all("xychart-beta" in chart for chart in charts)
    assert "http" not in report


def test_the_same_change_taken_back_is_called_worse_and_fails_the_check(history: History) -> None:
    report = history.report("main", "weather", "--check", code=1)
    assert verdict(report) == "worse"
    assert history.output == "roc_auc is worse than at weather\n"
    assert "`weather` has 1 commit that this branch lacks" in report


def test_noise_is_called_no_significant_difference(history: History) -> None:
    report = history.report("a_hair", "main", "--check")
    assert verdict(report) == "no significant difference"
    assert "| `train.hyperparameters.linear.C` | `1.0` | `0.99` |" in report


def test_the_same_commit_has_no_difference_at_all(history: History) -> None:
    report = history.report("main", "main", "--check")
    assert verdict(report) == "no significant difference"
    assert "What changed" not in report


def test_new_data_alone_is_compared_on_the_new_rows_and_its_drift_is_told(
    history: History,
) -> None:
    show = history.project.run
    figures = json.loads(show("git", "show", "main:metrics.json").stdout)["roc_auc"]
    value, low, high = (f"{figures[end]:.4g}" for end in ("value", "low", "high"))
    report = history.report("august", "main")
    note = f"the test table changed; on its own the champion had roc_auc {value} ({low} to {high})"
    assert note in report
    data = section(report, "Data")
    assert re.search(r"\| rows read \| 18,\d\d\d \| 21,\d\d\d \|", data)
    assert re.search(r"\| `temperature` \| 0\.\d+ \| large \| mean \d\d.* \| mean \d\d", data)
    assert "What changed: Features and code" not in report


def test_a_champion_whose_bytes_are_only_in_the_remote_is_fetched(
    history: History, tmp_path: Path
) -> None:
    folder = tmp_path / "clones"
    folder.mkdir(parents=True)
    remote = f"{history.project.path.name}-dvc-remote"
    (folder / remote).symlink_to(history.project.path.parent / remote)
    history.project.run("git", "checkout", "--quiet", "august")
    clone = History(history.project.clone(folder / history.project.path.name))
    clone.project.run("dvc", "pull", "--quiet")
    report = clone.ask("--against", "origin/main")
    assert "**Not compared**" not in report
    assert "columns of the test table moved" in report
    assert "unknown" not in report


def test_a_champion_with_a_feature_of_another_name_is_scored_by_its_own_code(
    history: History,
) -> None:
    report = history.report("rename", "main", "--check")
    assert verdict(report) == "no significant difference"
    assert "on the same 2,794 test rows" in report.splitlines()[0]
    features = section(report, "Features and code")
    assert "Added: `length_of_flight`. Removed: `flight_distance`." in features
    assert "-def flight_distance(" in features and "+def length_of_flight(" in features


def test_a_champion_that_misses_a_column_is_not_compared_and_it_is_said_why(
    history: History,
) -> None:
    report = history.report("lose_a_column", "main")
    assert verdict(report) == "not compared"
    assert "distance" in report.splitlines()[0]
    assert "| `columns.distance` | `{" in section(report, "Contract")
    assert "Removed: `flight_distance`." in section(report, "Features and code")


def test_a_gate_that_failed_is_told_and_fails_the_check(history: History) -> None:
    report = history.report("ask_too_much", "main", "--check", code=1)
    assert "**The gate failed**: `floor` of " in report
    assert re.search(r"\| `floor` \| .* \| 0\.99 \| \*\*failed\*\* \|", section(report, "Gate"))
    assert history.output == "the gate failed (floor)\n"


def test_names_are_only_names(history: History) -> None:
    history.project.run("git", "branch", "--force", HOSTILE, "main")
    report = history.report("ask_too_much", HOSTILE)
    assert HOSTILE.replace("|", r"\|") in report
    for line in report.splitlines():
        outside = SPAN.sub("", line)
        assert "@all" not in outside
        assert "<script>" not in outside


def test_the_first_pull_request_has_no_champion(history: History) -> None:
    first = history.project.run("git", "rev-list", "--max-parents=0", "main").stdout.strip()
    report = history.report("main", first, "--check")
    assert verdict(report) == "no champion"
    assert re.search(r"roc_auc 0\.\d+ \(0\.\d+ to 0\.\d+\)", report.splitlines()[0])


def test_an_unknown_revision_is_one_sentence(history: History) -> None:
    output = history.ask("--against", "nowhere", code=2)
    assert output == "git knows no revision 'nowhere'; 'git tag' lists the tags\n"


def test_the_report_in_a_file_is_the_one_that_is_printed(history: History) -> None:
    written = history.report("main", "main")
    assert history.output == ""
    assert history.ask("--against", "main") == written
