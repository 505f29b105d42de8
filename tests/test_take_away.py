"""Components that a project does not need: each can be deleted, and the rest still works."""

import re
import shutil
from pathlib import Path

import pytest

from conftest import TEMPLATE, BakedProject

pytestmark = pytest.mark.slow

GUIDE = TEMPLATE / "{{cookiecutter.project_slug}}" / "docs/guide/components.md"
SERVICE = ["deploy", "Dockerfile", ".dockerignore", ".env.example"]
COMPONENTS = {
    "serving": (
        ["src/machinery/serving", "requirements-serve.lock", *SERVICE, "src/machinery/monitoring"],
        {"serve", "log", "monitor", "replay"},
    ),
    "monitoring": (["src/machinery/monitoring"], {"monitor", "replay"}),
    "bulk": (["src/machinery/bulk"], {"predict"}),
    "ci": (
        ["src/machinery/ci", ".github", ".gitlab-ci.yml"],
        {"reproduce", "record", "alarms", "retrain", "verify", "distribution", "publish"},
    ),
    "github": ([".github"], set()),
    "gitlab": ([".gitlab-ci.yml"], set()),
    "deploy": (["deploy", "Dockerfile", ".dockerignore"], set()),
    "bridges": (["src/machinery/bridges"], set()),
    "adopt": (["src/machinery/adopt"], {"adopt", "convert"}),
    "search": (["src/machinery/search"], {"search"}),
    "scale": (["src/machinery/scale", "deploy/dask", "requirements-scale.lock"], set()),
}


def commands(project: BakedProject) -> set[str]:
    shown = project.run("flight-delays", "--help", COLUMNS="100", NO_COLOR="1").stdout
    return set(re.findall(r"^\W*([a-z]+)  ", shown, re.MULTILINE))


@pytest.fixture(scope="module")
def all_commands(reproduced: BakedProject) -> set[str]:
    return commands(reproduced)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_is_deleted_and_the_rest_still_works(
    reproduced: BakedProject, all_commands: set[str], tmp_path: Path, component: str
) -> None:
    copy = reproduced.copy(tmp_path / reproduced.path.name)
    paths, gone = COMPONENTS[component]
    for name in paths:
        path = copy.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if component == "serving":  # also its entry points in the project's __main__.py
        main = copy.path / "src/flight_delays/__main__.py"
        text = main.read_text(encoding="utf-8")
        text = re.sub(r"def (service|handler)\(.*?\n\n\n", "", text, flags=re.DOTALL)
        main.write_text(text.replace("from typing import Any\n\n", ""), encoding="utf-8")
    copy.run("git", "add", "--all")
    copy.run("git", "commit", "--quiet", "--message", f"Without {component}")  # with all hooks
    assert commands(copy) == all_commands - gone
    copy.run("make", "check", "test")
    copy.run("flight-delays", "show")
    assert "up to date" in copy.run("dvc", "status").stdout


def test_the_guide_names_what_goes_together() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for paths, _ in COMPONENTS.values():
        for path in paths:
            assert f"`{path}`" in text or f"`{path}/`" in text, path
