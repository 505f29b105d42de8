"""dvc.yaml: DVC follows no imports, so what a stage imports must stand in its deps."""

from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

PACKAGE = "{{cookiecutter.project_slug}}"
STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


def sources(stage: dict[str, Any]) -> set[str]:
    """The source files among the deps, as paths within the package."""
    return {dep.removeprefix("${src}/") for dep in stage["deps"] if dep.endswith(".py")}


def imported(imports: grimp.ImportGraph, *modules: str) -> set[str]:
    """The files of these modules and of all that they import, `__init__` files (empty) left out."""
    names = {f"{PACKAGE}.stages.{module}" for module in modules}
    for name in list(names):
        names |= imports.find_upstream_modules(name)
    packages = {name for name in names if imports.find_children(name)}
    return {name.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py" for name in names - packages}


@pytest.mark.parametrize("name", STAGES)
def test_the_deps_of_a_stage_are_exactly_what_it_imports(
    name: str, imports: grimp.ImportGraph
) -> None:
    needed = imported(imports, name, "__main__")
    listed = sources(STAGES[name])
    assert not needed - listed, f"add to the deps of {name}: {sorted(needed - listed)}"
    assert not listed - needed, f"remove from the deps of {name}: {sorted(listed - needed)}"


def test_a_missing_dependency_would_be_named(imports: grimp.ImportGraph) -> None:
    assert "metrics.py" in imported(imports, "select")
    assert "source.py" not in imported(imports, "select")


def test_nothing_imports_a_stage(imports: grimp.ImportGraph) -> None:
    stages = imports.find_children(f"{PACKAGE}.stages")
    importers = [imports.find_modules_that_directly_import(stage) for stage in stages]
    assert set().union(*importers) == set()


def test_every_stage_has_its_section_in_params() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    assert [name for name in params if name != "report"] == list(STAGES)
