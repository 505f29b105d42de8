"""A module that a stage imports without depending on it is reported, however it is imported."""

import json
from pathlib import Path
from typing import Any

import pytest

from machinery.versions import deps
from machinery.versions.checking import FixableError

PROJECT = """\
class Shop:
    def source(self): from . import source; return source
    def features(self):
        from . import features
        return features
"""
STAGES = {
    "ingest": "def main(project): project.source()\n",
    "featurize": "def main(project): use(project.features())\n",
    "select": "def main(project): selection.features()\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three stages, whose features import nothing."""
    monkeypatch.chdir(tmp_path)
    write("src/shop/__init__.py", '"""The shop."""\n')
    write("src/shop/project.py", PROJECT)
    for name in ("source", "features", "helpers"):
        write(f"src/shop/{name}.py", "")
    for name, text in STAGES.items():
        write(f"src/machinery/pipeline/stages/{name}.py", text)
    stages(
        ingest=["src/shop/source.py"],
        featurize=["src/shop/features.py", {"data/train.parquet": {}}],
        select=[],
    )
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def stages(**named: Any) -> None:
    """Write a dvc.yaml with these stages and the code that they depend on."""
    entries = {
        name: {"cmd": f"python -m shop {name}", "deps": ["src/machinery/pipeline", *code]}
        for name, code in named.items()
    }
    write("dvc.yaml", json.dumps({"stages": entries}))


def paths() -> set[str]:
    """The missing files."""
    return {sentence.split()[0].strip(",") for sentence in deps.missing()}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line",
    [
        "from . import helpers",
        "from .helpers import rate",
        "import shop.helpers",
        "from shop import helpers as h",
        "def rate():\n    from shop.helpers import rate",
        "if True:\n    import shop.helpers as h",
    ],
)
def test_a_new_module_is_missing_until_it_is_a_dep(line: str) -> None:
    assert deps.missing() == []
    write("src/shop/features.py", line)
    sentence = (
        "src/shop/helpers.py, which features.py imports, is missing from the deps of featurize "
        "in dvc.yaml; add it"
    )
    assert deps.missing() == [sentence]
    with pytest.raises(FixableError, match="which features.py imports"):
        deps.check()
    names = ["src/shop/features.py", "src/shop/helpers.py"]
    stages(ingest=["src/shop/source.py"], featurize=names)
    assert deps.missing() == []


@pytest.mark.usefixtures("folder")
def test_a_module_that_a_helper_imports_is_missing_too() -> None:
    write("src/shop/features.py", "from .parts import helpers")
    write("src/shop/parts/__init__.py", "")
    write("src/shop/parts/helpers.py", "from ..rates import RATE")
    write("src/shop/rates.py", "RATE = 1")
    stages(ingest=["src/shop/source.py"], featurize=["src/shop/features.py", "src/shop/parts"])
    assert paths() == {"src/shop/rates.py"}


@pytest.mark.usefixtures("folder")
def test_a_package_that_runs_code_is_missing_too() -> None:
    write("src/shop/__init__.py", '"""The shop."""\nRATE = 1\n')
    assert "src/shop/__init__.py" in paths()


@pytest.mark.usefixtures("folder")
def test_the_machinery_and_the_part_itself_are_missing_if_they_are_not_listed() -> None:
    entry = {"cmd": "python -m shop featurize", "matrix": {}, "deps": ["data/train.parquet"]}
    write("dvc.yaml", json.dumps({"stages": {"featurize": entry}}))
    assert paths() == {"src/machinery/pipeline", "src/shop/features.py"}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["python -m shop.explore", "python src/shop/explore.py --x 1"])
def test_a_stage_of_the_users_own_depends_on_its_module(command: str) -> None:
    write("src/shop/explore.py", "import pandas\nfrom shop import helpers")
    write("dvc.yaml", json.dumps({"stages": {"explore": {"cmd": command}}}))
    assert paths() == {"src/shop/explore.py", "src/shop/helpers.py"}


@pytest.mark.usefixtures("folder")
def test_a_stage_of_the_users_own_depends_on_its_module_and_on_what_that_imports() -> None:
    write("src/shop/explore.py", "from . import helpers\nfrom machinery.pipeline import params\n")
    write("src/machinery/pipeline/params.py", "")
    stages(explore=["src/shop/explore.py"])
    assert paths() == {"src/shop/helpers.py"}
    stages(explore=["src/shop/helpers.py"])
    assert paths() == {"src/shop/explore.py"}


@pytest.mark.usefixtures("folder")
def test_deps_are_relative_to_the_folder_of_the_stage() -> None:
    write("src/shop/explore.py", "from . import helpers")
    entry = {"cmd": "python -m shop.explore", "wdir": "notebooks", "deps": ["../src/shop"]}
    write("dvc.yaml", json.dumps({"stages": {"explore": entry}}))
    assert deps.missing() == []
    write("dvc.yaml", json.dumps({"stages": {"explore": entry | {"deps": ["../src/other"]}}}))
    assert paths() == {"src/shop/explore.py", "src/shop/helpers.py"}
