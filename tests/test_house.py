"""The user's package, the machinery, and the boundary between them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import TEMPLATE, BakedProject

SOURCE = TEMPLATE / "{{cookiecutter.project_slug}}" / "src"
SAMPLE = re.compile(r"\b(flights?|airlines?|carriers?|airports?)\b", re.IGNORECASE)
NO_NOUNS = {"each", "found", "known", "look", "made"}
IMPORT = re.compile(r"^\s*(?:from|import)\s+([\w.{}]+)", re.MULTILINE)


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".jinja", ".html"))


def test_the_machinery_names_neither_the_sample_nor_the_template() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in modules(SOURCE / "machinery")}
    assert texts
    assert [path for path, text in texts.items() if SAMPLE.search(text)] == []
    assert [path for path, text in texts.items() if "cookiecutter" in text] == []


def test_the_machinery_imports_nothing_of_the_project() -> None:
    for path in modules(SOURCE / "machinery"):
        if path.parent.parent.name == "adopt":  # templates of the project's own modules
            continue
        names = IMPORT.findall(path.read_text(encoding="utf-8"))
        assert not [name for name in names if "{" in name or name.startswith("flight_delays")], path


def bound_names(code: str) -> Iterator[str]:
    """The variables, parameters and functions of a module, without the fields of its classes."""
    tree = ast.parse(code)
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    fields = {
        field.target for node in classes for field in node.body if isinstance(field, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in fields:
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.name.lstrip("_")


@pytest.mark.parametrize("code", ["for each in []: ...", "def _look(x): ...", "lambda known: 0"])
def test_a_pronoun_is_seen_where_it_is_bound(code: str) -> None:
    assert NO_NOUNS & set(bound_names(code))


def test_names_are_nouns_and_verbs() -> None:
    folders = [SOURCE, *(TEMPLATE / name for name in ("tests", "benchmarks", "hooks"))]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    names = {path: set(bound_names(path.read_text(encoding="utf-8"))) for path in paths}
    assert {path: bad for path, words in names.items() if (bad := words & NO_NOUNS)} == {}


def test_a_user_edits_six_small_modules_and_at_most_six_of_tests(project: BakedProject) -> None:
    own = modules(project.path / "src/flight_delays")
    names = {"__init__", "__main__", "project", "source", "features", "candidates"}
    assert {path.stem for path in own} == names
    tests = modules(project.path / "tests")
    assert len(tests) <= 6
    for files in (own, tests):
        assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 450


@pytest.mark.parametrize(
    ("edited", "stages"),
    [
        ("src/machinery/serving/app.py", set()),
        ("src/machinery/comparison/text.py", set()),
        ("src/machinery/README.md", set()),
        ("src/flight_delays/features.py", {"split", "featurize", "evaluate"}),
        ("src/flight_delays/source.py", {"ingest"}),
        ("src/flight_delays/candidates.py", {"train@schedule-prior", "train@schedule-linear"}),
    ],
)
def test_an_edit_re_runs_what_it_reaches_and_nothing_else(
    small: BakedProject, tmp_path: Path, edited: str, stages: set[str]
) -> None:
    copy = small.copy(tmp_path / small.path.name)
    path = copy.path / edited
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    output = copy.run("dvc", "status").stdout
    assert set(re.findall(r"^(\S+):$", output, re.MULTILINE)) == stages


def test_an_edit_of_the_pipeline_re_runs_every_stage(small: BakedProject, tmp_path: Path) -> None:
    copy = small.copy(tmp_path / small.path.name)
    path = copy.path / "src/machinery/pipeline/stages/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    output = copy.run("dvc", "status").stdout
    assert {"ingest", "split", "select", "card"} <= set(
        re.findall(r"^(\S+):$", output, re.MULTILINE)
    )


def test_a_hook_on_a_feature_type_checks_the_project_alone(project: BakedProject) -> None:
    checked = project.run("mypy").stdout
    assert re.search(r"no issues found in 11 source files", checked)
