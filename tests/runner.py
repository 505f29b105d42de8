"""Execute each `run:` line of a workflow of the project in a clone."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from conftest import TEMPLATE, BakedProject

WORKFLOWS = TEMPLATE / "{{cookiecutter.project_slug}}" / ".github" / "workflows"
WHATEVER_FAILED = "${{ !cancelled() }}"
EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
NO_HOOKS = ("git", "-c", "core.hooksPath=/dev/null")
# All tests and hooks run in test_standards.py.
BRIEFLY = {
    "PYTEST_ADDOPTS": "tests/test_candidates.py",
    "SKIP": "ruff-check,ruff-format,mypy,import-linter,codespell,detect-secrets",
}
Line = tuple[str, str, str]  # workflow, job, command
_succeeded: set[Line] = set()  # in this process, that is: in this file of tests


def load(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    return document


def steps(name: str) -> list[dict[str, Any]]:
    """The steps of all jobs, in the order of the file."""
    return [step for job in load(name)["jobs"].values() for step in job["steps"]]


def not_executed(*names: str) -> set[Line]:
    """The `run:` lines of these workflows that no test so far has executed successfully."""
    lines = {
        (name, job, step["run"])
        for name in names
        for job, about in load(name)["jobs"].items()
        for step in about["steps"]
        if "run" in step
    }
    return lines - _succeeded


def run(
    project: BakedProject,
    name: str,
    values: dict[str, str],
    job: str | None = None,
    **environment: str,
) -> tuple[int, str]:
    """Run each `run:` line of a workflow in order, of all jobs or of one, as the runner does.

    After the first failure, only the steps with `!cancelled()` run. `values` are those of the
    expressions in its env; a missing one is an error.
    """
    output, failed = "", 0
    for job_name, about in load(name)["jobs"].items():
        for step in about["steps"] if job in (None, job_name) else []:
            if "run" not in step or (failed and step.get("if") != WHATEVER_FAILED):
                continue
            code, job_output = _run(project, step, values, environment)
            output += f"$ {step['run']}\n{job_output}"
            failed = failed or code
            if not code:
                _succeeded.add((name, job_name, step["run"]))
    return failed, output


def _run(
    project: BakedProject, step: dict[str, Any], values: dict[str, str], environment: dict[str, str]
) -> tuple[int, str]:
    assert not step.keys() & {"shell", "working-directory"}, "this runner knows none of them"
    assert step.get("if") in (None, WHATEVER_FAILED), "nor other conditions"
    env = {
        key: EXPRESSION.sub(lambda match: values[match[1]], str(value))
        for key, value in step.get("env", {}).items()
    }
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
    done = project.run(*shell, check=False, **environment | env)
    return done.returncode, done.stdout


def lines(output: str) -> dict[str, str]:
    """The output lines of doctor or verify, by the name of the check."""
    matches = re.findall(r"^((?:ok|NO|--) +(\w+) .*)$", output, re.M)
    return {name: line for line, name in matches}


class Shared:
    """A project with its remote and its origin, which teammates and CI clone."""

    def __init__(self, project: BakedProject, folder: Path) -> None:
        self.folder = folder
        self.origin = folder / "origin.git"
        self.remote = folder / f"{project.path.name}-dvc-remote"
        beside = project.path.parent / self.remote.name
        if beside.exists():
            shutil.copytree(beside, self.remote)
        self.own = project.copy(folder / project.path.name)
        self.own.run("git", "init", "--quiet", "--bare", "-b", "main", self.origin)
        self.own.run("git", "remote", "add", "origin", self.origin)
        self.own.run("git", "push", "--quiet", "--no-verify", "origin", "HEAD:main")

    def checkout(self, name: str, revision: str = "main") -> BakedProject:
        """Make a clone without data, like a runner; by its times make has nothing to install."""
        path = self.folder / name
        self.own.run("git", "clone", "--quiet", "--branch", revision, self.origin, path)
        for file in ("requirements.lock", "pyproject.toml"):
            os.utime(path / file, (0, 0))
        (path / ".venv").symlink_to((self.own.path / ".venv").resolve())
        return BakedProject(path, self.own.environment | {"PYTHONPATH": str(path / "src")})

    def push(self, *words: str) -> None:
        self.own.run("git", "push", "--quiet", "--no-verify", "origin", *words)

    def change_a_parameter(self, branch: str) -> None:
        """Edit params.yaml on a branch without a run, as in the browser."""
        browser = self.checkout("browser")
        params = browser.path / "params.yaml"
        text = params.read_text(encoding="utf-8")
        params.write_text(re.sub(r"\bC: \S+", "C: 0.01", text, count=1), encoding="utf-8")
        browser.run("git", "commit", "--quiet", "--no-verify", "--all", "-m", "Change a parameter")
        place = f"HEAD:refs/heads/{branch}"
        browser.run("git", "push", "--quiet", "--no-verify", "origin", place)
