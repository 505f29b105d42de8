"""What a user adds first, verbatim from the README and docs/guide/models.md."""

import json
import re
from pathlib import Path

import pytest

from conftest import BakedProject, commit

pytestmark = pytest.mark.slow

WITHOUT_WEATHER = "--ignore=tests/test_model.py"  # the small project's model knows none
HEADING = "## A stage of your own, and a notebook"


def insert(path: Path, before: str, text: str) -> None:
    """Insert text before the first occurrence of `before`."""
    content = path.read_text(encoding="utf-8")
    assert before in content
    path.write_text(content.replace(before, text + before, 1), encoding="utf-8")


def test_new_data_a_new_feature_and_a_new_model(reproduced: BakedProject, tmp_path: Path) -> None:
    copy = reproduced.copy(tmp_path / reproduced.path.name)
    section = (copy.path / "README.md").read_text(encoding="utf-8").split("## Make it yours")[1]
    feature, model = re.findall(r"^```python\n(.+?)^```$", section, re.M | re.S)
    entry, parameters = re.findall(r"`((?:\"extra|extra_trees: ).+?)`", section)
    package, params = copy.path / "src/flight_delays", copy.path / "params.yaml"
    with (package / "features.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{feature}")
    insert(package / "candidates.py", "CANDIDATES: ", f"{model}\n\n")
    insert(package / "candidates.py", "}\n\n\ndef _median", f"    {entry}\n")
    insert(params, "  features:\n", "  - extra_trees\n")
    insert(params, "  hyperparameters:\n", "    - relative_humidity\n")
    insert(params, "    prior: {}\n", f"    {parameters}\n")
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("until: '2013-08-01'", "until: '2013-09-01'"), encoding="utf-8")
    copy.run("make", "fix")
    copy.run("dvc", "repro", "card")
    selection = json.loads((copy.path / "reports/selection.json").read_text(encoding="utf-8"))
    (trees,) = [
        candidate
        for candidate in selection["candidates"]
        if candidate["candidate"] == "schedule_weather-extra_trees"
    ]
    assert trees["features"] == 15 and trees["mean"] > 0.6
    info = json.loads((copy.path / "models/model.json").read_text(encoding="utf-8"))
    assert info["trained_on"]["until"].startswith("2013-07-")
    copy.run("make", "test")
    copy.run("git", "add", ".")
    copy.run("git", "commit", "--quiet", "--message", "Ours")  # with all that `make check` runs


@pytest.fixture
def guide(work: BakedProject) -> tuple[list[str], str]:
    """The guide's code blocks, and its command."""
    text = (work.path / "docs/guide/models.md").read_text(encoding="utf-8").split(HEADING)[1]
    (command,) = re.findall(r"^    (uv run .+)$", text, re.M)
    return re.findall(r"^```\w+\n(.+?)^```$", text, re.M | re.S), command


@pytest.fixture
def explored(work: BakedProject, guide: tuple[list[str], str]) -> BakedProject:
    """The project with the guide's stage and notebook, before a run."""
    module, params, stage, cell = guide[0]
    (work.path / "src/flight_delays/explore.py").write_text(module, encoding="utf-8")
    with (work.path / "params.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\n{params}")
    dvc = work.path / "dvc.yaml"
    text = dvc.read_text(encoding="utf-8").replace("stages:\n", f"stages:\n{stage}\n", 1)
    dvc.write_text(text, encoding="utf-8")
    write_notebook(work, cell)
    return work


def write_notebook(work: BakedProject, cell: str) -> None:
    """A notebook of one cell, as Jupyter saves it before it is run."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    source = cell.rstrip().splitlines(keepends=True)
    code = {"cell_type": "code", "id": "0", "metadata": {}, "source": source}
    notebook = {
        "cells": [code | {"execution_count": None, "outputs": []}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (work.path / "notebooks").mkdir()
    path = work.path / "notebooks/explore.ipynb"
    path.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")


def test_a_stage_of_ones_own_is_green_everywhere(explored: BakedProject) -> None:
    explored.run("dvc", "repro", "explore")
    table = (explored.path / "reports/explore.csv").read_text(encoding="utf-8")
    assert table.startswith("carrier,size,mean\n")
    assert "up to date" in explored.run("dvc", "repro").stdout
    explored.run("make", "test", PYTEST_ADDOPTS=WITHOUT_WEATHER)
    explored.run("git", "add", ".")
    explored.run("pre-commit", "run", "--all-files")  # with all that `make check` runs
    explored.run("git", "commit", "--quiet", "--no-verify", "--message", "Explore")
    explored.run("dvc", "push")
    explored.run("flight-delays", "doctor")
    explored.run("make", "fresh")
    assert (
        "explore.by=carrier"
        in explored.run("flight-delays", "lineage", "reports/explore.csv", COLUMNS="200").stdout
    )


def test_report_release_and_lineage_include_it(explored: BakedProject) -> None:
    before = explored.run("git", "rev-parse", "HEAD").stdout.strip()
    commit(explored, "Explore")
    explored.edit("params.yaml", explore__by="origin")
    commit(explored, "Explore by origin")
    explored.run("dvc", "push")
    row = '| `explore.by` | `"carrier"` | `"origin"` |'
    for against, words in ((before, "| `explore` | – |"), ("HEAD~1", row)):
        explored.run("flight-delays", "report", "--against", against, "--output", "report.md")
        assert explored.file_contains("report.md", words)
    explored.run("flight-delays", "release", "v1.0.0")
    (explored.path / "reports/explore.csv").write_text("edited\n", encoding="utf-8")
    refused = explored.run("flight-delays", "doctor", check=False)
    assert refused.returncode == 1
    assert "reports/explore.csv" in refused.stdout


def test_a_wrong_value_and_a_dependency_left_out_are_named(explored: BakedProject) -> None:
    explored.edit("params.yaml", explore__min_rows=0)
    failed = explored.run("dvc", "repro", "explore", check=False).stdout
    assert "explore: params.yaml: explore.min_rows is 0; input should be" in failed
    assert "Traceback" not in failed
    explored.edit("dvc.yaml", stages__explore__deps=["data/train.parquet"])
    output = explored.run("flight-delays", "doctor", check=False).stdout
    assert "src/flight_delays/explore.py is missing from the deps of explore" in " ".join(
        output.split()
    )


def test_the_notebook_runs_in_the_kernel_that_the_guide_starts(
    explored: BakedProject, guide: tuple[list[str], str]
) -> None:
    """`jupyter lab` waits for a browser; `jupyter execute` starts the same kernel."""
    command = guide[1].split()
    assert command[-2:] == ["jupyter", "lab"]
    notebook = Path("notebooks/explore.ipynb")
    explored.run(*command[:-1], "execute", "--inplace", notebook)
    (cell,) = json.loads((explored.path / notebook).read_text(encoding="utf-8"))["cells"]
    assert "Name: late" in "".join(cell["outputs"][0]["data"]["text/plain"])
    explored.run("git", "add", ".")
    explored.run("pre-commit", "run", "nbstripout", "--all-files", check=False)
    assert explored.file_contains(str(notebook), '"outputs": []')
    assert "ok  packages" in explored.run("flight-delays", "doctor", check=False).stdout
    assert not (explored.path / "uv.lock").exists()
