"""Rooms that a project does not need: each is deleted, and the rest stays green."""

import re
import shutil
from pathlib import Path

import pytest

from conftest import TEMPLATE, BakedProject

pytestmark = pytest.mark.slow

GUIDE = TEMPLATE / "{{cookiecutter.project_slug}}" / "docs/guide/components.md"
SERVICE = ["deploy", "Dockerfile", ".dockerignore", ".env.example"]
ROOMS = {
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


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_deleted_and_the_rest_stays_green(
    reproduced: BakedProject, tmp_path: Path, room: str
) -> None:
    copy = reproduced.copy(tmp_path / reproduced.path.name)
    before, (paths, gone) = commands(copy), ROOMS[room]
    for name in paths:
        path = copy.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if room == "serving":  # its ways in, of the project's own __main__.py
        main = copy.path / "src/flight_delays/__main__.py"
        text = main.read_text(encoding="utf-8")
        text = re.sub(r"def (service|handler)\(.*?\n\n\n", "", text, flags=re.DOTALL)
        main.write_text(text.replace("from typing import Any\n\n", ""), encoding="utf-8")
    copy.run("git", "add", "--all")
    copy.run("git", "commit", "--quiet", "--message", f"Without {room}")  # with all hooks
    assert commands(copy) == before - gone
    copy.run("make", "check", "test")
    copy.run("flight-delays", "show")
    assert "up to date" in copy.run("dvc", "status").stdout


def test_the_guide_names_what_goes_together() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for paths, _ in ROOMS.values():
        for path in paths:
            assert f"`{path}`" in text or f"`{path}/`" in text, path
