"""The doctor: each of its checks fails, with a remedy that works and loses nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import BakedProject

pytestmark = pytest.mark.slow


FINDINGS: dict[Path, dict[str, Any]] = {}  # of the last run in each project


def doctor(project: BakedProject) -> dict[str, Any]:
    """The doctor's findings, by check."""
    output = project.run("flight-delays", "doctor", "--json", check=False).stdout
    findings = {check["name"]: check for check in json.loads(output)["checks"]}
    FINDINGS[project.path] = findings
    return findings


def wrong(project: BakedProject) -> list[str]:
    return [name for name, check in doctor(project).items() if not check["passed"]]


def follow(project: BakedProject, check: str) -> None:
    """Type the remedy that the doctor gave last, after asking again if one was typed since."""
    findings = FINDINGS.pop(project.path, None) or doctor(project)
    FINDINGS.pop(project.path, None)
    assert findings[check]["remedy"], f"{check}: {findings[check]}"
    project.run("sh", "-c", findings[check]["remedy"])


def edit(project: BakedProject, name: str, old: str, new: str) -> None:
    path = project.path / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file except DVC's temporary files, compiled Python and git's index."""
    skipped = {"index", "tmp", ".venv", "__pycache__"}
    return {
        name: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not skipped & set((name := str(path.relative_to(folder))).split("/"))
    }


def test_everything_is_in_order_after_a_run_is_committed_and_pushed(work: BakedProject) -> None:
    output = work.run("flight-delays", "doctor").stdout.splitlines()
    assert len(output) == 15
    assert all(line.startswith("ok ") for line in output)


def test_the_doctor_changes_nothing(work: BakedProject) -> None:
    (work.path / "data/raw.parquet").unlink()
    (work.path / "metrics.json").write_text("{}", encoding="utf-8")
    assert_nothing_changes(work)


def test_the_doctor_that_reaches_the_pipeline_changes_nothing_either(work: BakedProject) -> None:
    edit(work, "params.yaml", "floor: 0.65", "floor: 0.6")
    assert_nothing_changes(work)
    assert wrong(work) == ["pipeline"]


def assert_nothing_changes(project: BakedProject) -> None:
    before = tree(project.path.parent)
    assert len(before) > 100
    assert project.run("flight-delays", "doctor", check=False).returncode == 1
    assert tree(project.path.parent) == before


def test_a_fresh_clone_is_told_what_to_type(work: BakedProject) -> None:
    clone = work.clone(work.path.parent / "clone")
    findings = doctor(clone)
    assert [findings[name]["remedy"] for name in wrong(clone)] == ["make setup", "dvc pull", None]
    assert findings["pipeline"]["found"] == "not checked, since files failed"
    follow(clone, "files")
    assert wrong(clone) == ["hooks"]


def test_another_python_than_the_project_wants(work: BakedProject) -> None:
    edit(work, "pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.99"')
    assert doctor(work)["python"]["remedy"].endswith("make setup PYTHON=python3.12")


def test_packages_that_are_not_as_pinned(work: BakedProject) -> None:
    with (work.path / "requirements.lock").open("a", encoding="utf-8") as file:
        file.write("nosuch==1.0 \\\n    --hash=sha256:0\n")
        file.write("elsewhere==1.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:0\n")
    assert doctor(work)["packages"]["found"] == "nosuch is missing, not 1.0"
    edit(work, "requirements.lock", "nosuch==1.0", "pytest==0.1")
    assert doctor(work)["packages"]["found"].endswith(", not 0.1")


@pytest.mark.parametrize("where", ["src", "data/source"])
def test_from_a_folder_inside_the_remedy_is_to_leave_it(work: BakedProject, where: str) -> None:
    inside = BakedProject(work.path / where, work.environment)
    findings = doctor(inside)
    assert findings["git"]["remedy"] == f"cd {work.path}"
    assert wrong(inside) == list(findings)  # nothing else can be checked
    assert {finding["remedy"] for name, finding in findings.items() if name != "git"} == {None}


def test_hooks_that_were_deleted_on_purpose_are_not_missed(work: BakedProject) -> None:
    (work.path / ".pre-commit-config.yaml").unlink()
    shutil.rmtree(work.path / ".git/hooks")
    assert wrong(work) == []


def test_a_pipeline_that_dvc_cannot_read(work: BakedProject) -> None:
    edit(work, "dvc.yaml", "stages:\n", "stages: [\n")
    assert "dvc" in wrong(work)


def test_a_module_that_a_feature_uses_is_named_until_it_is_a_dep(work: BakedProject) -> None:
    (work.path / "src/flight_delays/helpers.py").write_text("RATE = 1\n", encoding="utf-8")
    features = work.path / "src/flight_delays/features.py"
    text = features.read_text(encoding="utf-8")
    features.write_text(f"{text}\n\nfrom .helpers import RATE  # noqa\n", encoding="utf-8")
    sentence = (
        "src/flight_delays/helpers.py, which features.py imports, is missing from the deps of "
    )
    assert doctor(work)["deps"]["found"].startswith(f"{sentence}split in dvc.yaml; add it")
    done = work.run("flight-delays", "doctor", "--without-data", check=False)
    assert done.returncode == 1
    assert sentence in done.stdout
    assert sentence in work.run("flight-delays", "release", "v1.0.0", check=False).stdout
    path = work.path / "dvc.yaml"
    code = "      - src/flight_delays/features.py\n"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(code, code + code.replace("features", "helpers")), "utf-8")
    assert "deps" not in wrong(work)


def test_an_edited_machinery_is_reported_and_passes(work: BakedProject) -> None:
    with (work.path / "src/machinery/versions/doctor.py").open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    finding = doctor(work)["machinery"]
    assert (finding["found"], finding["passed"]) == ("0.1.0, edited here: versions/doctor.py", True)
    assert wrong(work) == []


def test_an_unknown_parameter_even_if_dvc_has_nothing_to_do(work: BakedProject) -> None:
    edit(work, "params.yaml", "  folds: 4", "  fold: 4\n  folds: 4")
    assert "up to date" in work.run("dvc", "repro").stdout
    assert wrong(work) == ["params"]
    sentence = "params.yaml: train.fold is not a known parameter; remove it or fix its name"
    assert doctor(work)["params"]["found"] == sentence
