"""The standards of a generated project: make targets and git hooks, and that each can fail."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ceph
import postgres
from conftest import TEMPLATE, BakedProject, bake, outside_venv

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": "a",
            "metadata": {},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}],
            "source": ["print(1)"],
        }
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
SECRET = "AKIA" + "IOSFODNN7EXAMPLQ"  # split, so that no secret scanner reports this file
MODULE = '"""A module with a fault."""\n\n'
# A job without a name, which zizmor reports only in pedantic mode.
NAMELESS_JOB = """\
name: check
on: pull_request
permissions: {}
concurrency:
  group: check-${{ github.ref }}
  cancel-in-progress: true
jobs:
  greet:
    runs-on: ubuntu-24.04
    steps:
      - run: echo hello
"""
FAULTS = {
    "ruff-check": ("src/flight_delays/fault.py", MODULE + "import os\n"),
    "ruff-format": ("src/flight_delays/fault.py", MODULE + "FAULT = 'single'\n"),
    "mypy": ("src/flight_delays/fault.py", MODULE + "FAULT: int = 'text'\n"),
    "nbstripout": ("notebook.ipynb", json.dumps(NOTEBOOK, indent=1) + "\n"),
    "end-of-file": ("notes.md", "no newline"),
    "trailing-whitespace": ("notes.txt", "two spaces  \n"),
    "large-files": ("large.bin", "x" * 600_000),
    "yaml": ("fault.yaml", "a: [\n"),
    "params": ("params.yaml", "trian: {}\n"),
    "toml": ("fault.toml", "a =\n"),
    "merge-conflict": ("notes.md", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n"),
    "codespell": ("notes.md", "te" + "h model\n"),
    "detect-secrets": ("settings.txt", f"key = '{SECRET}'\n"),
    "yamllint": (".github/workflows/check.yml", "name:  check\n"),
    "github-workflows": (".github/workflows/check.yml", "name: check\n"),
    "gitlab-ci": (".gitlab-ci.yml", "check: {script: 1}\n"),
    "zizmor": (".github/workflows/check.yml", NAMELESS_JOB),
    "dvc-pre-commit": ("dvc.lock", "schema: [\n"),
}


@pytest.fixture
def copy(project: BakedProject, tmp_path: Path) -> BakedProject:
    return project.copy(tmp_path / "work" / project.path.name)


# make


def test_setup_leaves_nothing_to_commit_and_nothing_for_dvc_to_do(project: BakedProject) -> None:
    assert project.run("git", "status", "--porcelain").stdout == ""
    assert "up to date" in project.run("dvc", "status", "data/source.dvc").stdout


def test_dvc_sends_no_analytics_and_checks_for_no_updates(project: BakedProject) -> None:
    for setting in ("core.analytics", "core.check_update"):
        assert project.run("dvc", "config", "--project", setting).stdout == "false\n"


def test_a_second_setup_installs_nothing(copy: BakedProject) -> None:
    assert copy.run("make", "setup").stdout == ""


def test_setup_in_a_copied_folder_makes_a_venv_of_its_own(
    project: BakedProject, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    project.run("cp", "-a", ".", copy)  # with .venv, as people copy
    shell = {name: value for name, value in project.environment.items() if name != "PYTHONPATH"}
    moved = BakedProject(copy, shell)
    moved.run("make", "setup", PATH=f"{copy / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    assert str(copy) in (copy / ".venv/bin/flight-delays").read_text(encoding="utf-8")
    where = "import flight_delays; print(flight_delays.__file__)"
    assert moved.run(copy / ".venv/bin/python", "-c", where).stdout.startswith(str(copy))
    assert moved.run("make", "setup").stdout == ""


@pytest.mark.parametrize("how", ["environment", "pip.conf"])
def test_setup_uses_the_package_index_of_pip(
    project: BakedProject, tmp_path: Path, how: str
) -> None:
    mirror = "http://127.0.0.1:9/simple"  # where nothing listens
    file = str(tmp_path / "pip.conf")
    Path(file).write_text(f"[global]\nindex-url = {mirror}\n", encoding="utf-8")
    places = {"environment": ("PIP_INDEX_URL", mirror), "pip.conf": ("PIP_CONFIG_FILE", file)}
    name, value = places[how]
    copy = project.copy(tmp_path / "work" / project.path.name)
    (copy.path / ".venv").unlink()
    done = copy.run("make", "setup", check=False, **{name: value})
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stdout
    assert not copy.has_file(".venv/installed")


def test_setup_without_the_data_leaves_it_to_dvc_pull(copy: BakedProject) -> None:
    copy.run("rm", "-r", "data/source", ".dvc/cache")
    copy.run("make", "setup")
    assert not copy.has_file("data/source")


def test_setup_without_a_repository_says_what_to_type(copy: BakedProject) -> None:
    copy.run("rm", "-r", ".git")
    assert "git init -b main && git add ." in copy.run("make", "setup").stdout


def test_setup_with_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    fake = "import sys; sys.version_info = (3, 10); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec python3 -c '{fake}' \"$2\"\n", encoding="utf-8")
    old.chmod(0o755)
    done = bake(tmp_path).run("make", "setup", f"PYTHON={old}", check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("Python 3.11 or later is needed: make setup PYTHON=")
    assert not (tmp_path / "flight_delays" / ".venv").exists()


@pytest.mark.parametrize("folder", ["template", "project"])
def test_help_lists_every_target(project: BakedProject, folder: str) -> None:
    path = TEMPLATE if folder == "template" else project.path
    listed = project.run("make", "--no-print-directory", "-C", path, "help").stdout
    targets = re.findall(r"^([a-z0-9]+):", (path / "Makefile").read_text(encoding="utf-8"), re.M)
    assert [line.split()[0] for line in listed.splitlines()] == [*dict.fromkeys(targets)]


def test_the_checks_of_the_template_are_green_and_leave_nothing_to_bake(
    project: BakedProject,
) -> None:
    project.run("make", "-C", TEMPLATE, "check")
    assert not list(TEMPLATE.glob("{{cookiecutter.project_slug}}/.*_cache"))


def test_fix_changes_nothing_on_a_fresh_bake(copy: BakedProject) -> None:
    copy.run("make", "fix")
    assert copy.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize("hook", ["ruff-check", "ruff-format", "mypy"])
def test_the_checks_fail_on_a_planted_fault(copy: BakedProject, hook: str) -> None:
    name, text = FAULTS[hook]
    (copy.path / name).write_text(text, encoding="utf-8")
    assert copy.run("make", "check", check=False).returncode == 2


# .ci/run


def test_ci_run_looks_for_every_program_that_a_test_needs() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    marks = re.findall(r"^[^\"#]*mark\.needs\((.*)\)", tests, re.M)
    programs = {name for mark in marks for name in re.findall(r'"(.+?)"', mark)}
    assert {"chromium", "gitlab-ci-local", "prometheus"} <= programs
    script = (TEMPLATE / ".ci/run").read_text(encoding="utf-8")
    looked_for = re.findall(r"debian=\((.+?)\)|missing ([\w-]+)\)", script, re.S)
    assert {name for names in looked_for for name in " ".join(names).split()} == {
        *programs,
        *ceph.PROGRAMS,
        *postgres.PROGRAMS,
    }


@pytest.mark.parametrize(("variables", "status"), [({}, 0), ({"REQUIRE_PROGRAMS": "1"}, 1)])
def test_a_missing_program_skips_its_tests_and_fails_them_in_ci_run(
    tmp_path: Path, variables: dict[str, str], status: int
) -> None:
    command = [sys.executable, "-m", "pytest", "-rsE", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'in'}", TEMPLATE / "tests/test_gitlab.py"],
        cwd=TEMPLATE,
        env=dict(os.environ) | variables | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert "not installed here: gitlab-ci-local, rsync" in done.stdout


# git hooks


def test_hooks_need_no_network_and_no_second_version_of_a_tool(project: BakedProject) -> None:
    config = yaml.safe_load((project.path / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    seen_to_fail = {*FAULTS, "dvc-pre-push", "dvc-post-checkout", "dvc-post-merge"}
    assert {hook["id"] for hook in hooks} == seen_to_fail


def test_hooks_are_green_on_a_fresh_bake_and_on_what_a_run_leaves(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / reproduced.path.name)
    copy.run("pre-commit", "run", "--all-files")
    assert copy.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize("hook", FAULTS)
def test_each_hook_stops_its_fault(copy: BakedProject, hook: str) -> None:
    name, text = FAULTS[hook]
    (copy.path / name).write_text(text, encoding="utf-8")
    copy.run("git", "add", name)
    done = copy.run("pre-commit", "run", hook, "--files", name, check=False)
    assert done.returncode == 1, done.stdout
    assert "Failed" in done.stdout


def test_files_written_by_dvc_and_stages_are_left_alone(copy: BakedProject) -> None:
    for name in ("dvc.lock", "data/other.dvc", "metrics.json", "models/a.json", "reports/a.md"):
        (copy.path / name).parent.mkdir(exist_ok=True)
        (copy.path / name).write_text("a: 1  ", encoding="utf-8")
        copy.run("git", "add", "--force", name)
        for hook in ("end-of-file", "trailing-whitespace", "codespell", "detect-secrets"):
            assert "Skipped" in copy.run("pre-commit", "run", hook, "--files", name).stdout


def test_a_commit_outside_the_activated_shell_runs_the_hooks(copy: BakedProject) -> None:
    (copy.path / "fault.yaml").write_text("a: [\n", encoding="utf-8")
    copy.run("git", "add", "fault.yaml")
    done = copy.run("git", "commit", "-m", "x", check=False, PATH=outside_venv())
    assert done.returncode == 1
    assert "YAML" in done.stdout
    (copy.path / "fault.yaml").write_text("a: []\n", encoding="utf-8")
    copy.run("git", "add", "fault.yaml")
    copy.run("git", "commit", "-m", "x", PATH=outside_venv())


def push(copy: BakedProject, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Push to a bare repository, as to a code host."""
    copy.run("git", "init", "--quiet", "--bare", tmp_path / "origin.git")
    copy.run("git", "remote", "add", "origin", tmp_path / "origin.git")
    return copy.run("git", "push", "origin", "main", check=False, PATH=outside_venv())


def test_pushing_pushes_the_data_to_the_folder_beside_the_project(
    copy: BakedProject, tmp_path: Path
) -> None:
    assert push(copy, tmp_path).returncode == 0
    remote = copy.path.parent / "flight_delays-dvc-remote"
    assert len([file for file in remote.rglob("*") if file.is_file()]) >= 24
    clone = copy.clone(tmp_path / "teammate" / "flight_delays")
    clone.run("dvc", "config", "--local", "remote.storage.url", remote)
    clone.run("dvc", "pull", "data/source.dvc")
    assert clone.has_file("data/source/2013-01.parquet")


def test_data_that_cannot_be_pushed_stops_the_push(copy: BakedProject, tmp_path: Path) -> None:
    (copy.path.parent / "flight_delays-dvc-remote").write_text("in the way", encoding="utf-8")
    assert push(copy, tmp_path).returncode == 1


def test_checking_out_a_commit_brings_back_its_data(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / "work" / "flight_delays")
    copy.run("rm", "data/source/2013-01.parquet")
    copy.run("dvc", "add", "--quiet", "data/source")
    copy.run("git", "commit", "--quiet", "--no-verify", "-m", "One month less")
    copy.run("git", "checkout", "--quiet", "HEAD~1", PATH=outside_venv())
    assert copy.has_file("data/source/2013-01.parquet")


def test_data_that_is_nowhere_fails_the_checkout(reproduced: BakedProject, tmp_path: Path) -> None:
    copy = reproduced.copy(tmp_path / "work" / "flight_delays")
    copy.run("rm", "-r", "data/source", ".dvc/cache")
    done = copy.run("git", "checkout", "--quiet", "-b", "other", check=False)
    assert done.returncode == 1
    assert "Checkout failed" in done.stdout


def test_before_the_first_run_a_branch_is_made_in_one_line(copy: BakedProject) -> None:
    assert copy.run("git", "checkout", "--quiet", "-b", "other").stdout.count("\n") == 1
