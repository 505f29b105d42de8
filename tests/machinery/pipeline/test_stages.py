"""A stage always has the same environment, and a user's mistake is one sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.pipeline.run import ENVIRONMENT

PARAMS = next(Path(__file__).parents[3].glob("*/params.yaml"))
PRINT = """
import sys
import machinery.pipeline.stages.gate as gate
from machinery.pipeline.data import agreement
from machinery.pipeline.run import main
from shop.project import Shop

agreement.require = lambda params, contract: None
gate.main = lambda project: print("same process")
main(Shop())
"""


@pytest.fixture
def folder(shop_source: Path) -> Path:
    """A project with the shop's code, and nothing else."""
    return shop_source.parent


def write_yaml(folder: Path, **documents: Any) -> None:
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=dict(os.environ) | {"PYTHONPATH": "src"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_users_mistake_is_one_sentence_and_exit_code_2(folder: Path) -> None:
    done = run("-m", "shop", "gate", folder=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("gate: params.yaml is missing")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["src"]


def test_hash_seed_and_threads_are_the_same_whatever_the_shell_sets(
    folder: Path, document: dict[str, Any]
) -> None:
    """The patched stage prints only if it runs in the same process."""
    write_yaml(folder, params={"explore": {}}, contract=document)
    other = run("-c", PRINT, "gate", folder=folder, **ENVIRONMENT | {"PYTHONHASHSEED": "7"})
    same = run("-c", PRINT, "gate", folder=folder, **ENVIRONMENT)
    assert other.stdout == ""
    assert other.stderr.startswith("gate: params.yaml: section 'ingest' is missing")
    assert same.stdout == "same process\n"


OWN = """
from machinery.pipeline.files import UserError
from machinery.pipeline.params import Section, load

class Explore(Section):
    by: str

def main(project, *words):
    print(project.package, load(Explore).by, *words)
"""


@pytest.mark.parametrize(
    ("words", "by", "output"),
    [
        (["explore"], "town", "shop town\n"),
        (["explore", "again"], "town", "shop town again\n"),
        (["explore"], 7, "explore: params.yaml: explore.by is 7; input should be a valid string\n"),
        (["explor"], "town", "explor: no stage has this name; write your own as a function "),
        (["features"], "town", "features: no stage has this name; write your own as a"),
        (["../explore"], "town", "../explore: no stage has this name; write your own as a"),
        ([], "town", ": no stage has this name; write your own as a"),
    ],
)
def test_a_module_of_the_project_is_a_stage_like_those_of_the_machinery(
    folder: Path, document: dict[str, Any], words: list[str], by: Any, output: str
) -> None:
    shop = (folder / "src/shop").resolve()
    (folder / "src/shop").unlink()
    shutil.copytree(shop, folder / "src/shop")
    (folder / "src/shop/explore.py").write_text(OWN)
    params = yaml.safe_load(PARAMS.read_text()) | {"explore": {"by": by}}
    params["evaluate"]["slices"] = []
    write_yaml(folder, params=params, contract=document)
    done = run("-m", "shop", *words, folder=folder)
    assert (done.stdout + done.stderr).startswith(output)
    assert done.returncode == (0 if done.stdout else 2)
    assert "Traceback" not in done.stderr
