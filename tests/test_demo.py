"""`make demo` and the project's `make test`, as in README.md, in a copy of the template."""

import os
import re
from pathlib import Path

import pytest

from conftest import BakedProject, copy_template, outside_venv

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """The template like in a user's clone, in a shell without an activated .venv."""
    path = copy_template(tmp_path_factory.mktemp("clone") / "template")
    return BakedProject(path, dict(os.environ) | {"PATH": outside_venv()})


@pytest.fixture(scope="module")
def output(template: BakedProject) -> str:
    """The output of `make demo`."""
    return template.run("make", "demo").stdout


@pytest.fixture(scope="module")
def demo(template: BakedProject, output: str) -> BakedProject:
    """The project that it makes."""
    (path,) = re.findall(
        r"^The project is in (\S+): its README.md says how to go on.$", output, re.M
    )
    return BakedProject(template.path / path, template.environment)


def test_the_demo_shows_figures_a_gate_and_where_to_look(output: str, demo: BakedProject) -> None:
    figure = r" +│ [\d.]+"
    for metric in ("roc_auc", "log_loss", "coverage", "gain_over_baseline"):
        assert re.search(rf"^│ {metric}{3 * figure} +│$", output, re.M), output
    for check in ("better_than_baseline", "floor", "leakage", "freshness"):
        assert re.search(rf"^│ {check} .*│ passed │$", output, re.M), output
    (pages,) = re.findall(r"^The gate passed. See (\S+),", output, re.M)
    assert demo.has_file(pages)
    assert demo.has_file("README.md")


def test_the_demo_leaves_in_git_what_is_meant_to_be_committed(demo: BakedProject) -> None:
    status = demo.run("git", "status", "--porcelain", "--untracked-files=all").stdout
    names = {line[3:] for line in status.splitlines()}
    assert names >= {"dvc.lock", "metrics.json", "models/model.json", "reports/model_card.md"}
    written = {name for name in names if not name.startswith("reports/")}
    assert written == {"dvc.lock", "metrics.json", "models/model.json", "models/examples.json"}


def test_the_tests_of_a_project_with_a_model_pass_and_none_is_skipped(demo: BakedProject) -> None:
    tests = demo.run("make", "test", PYTEST_ADDOPTS="-rs --color=no").stdout
    assert re.search(r"^=+ \d+ passed in .* =+$", tests, re.M), tests


def test_a_project_without_a_model_says_which_tests_it_skips(
    demo: BakedProject, tmp_path: Path
) -> None:
    clone = demo.clone(tmp_path / demo.path.name)
    output = clone.run(".venv/bin/pytest", "tests/test_model.py").stdout
    skipped = r"^SKIPPED \[\d+\] tests/test_model.py:.*: no model here: dvc repro"
    assert re.search(skipped, output, re.M), output
