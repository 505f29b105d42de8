"""Another project imports the features and the model at a version, byte for byte.

The version is an old one: the tables and the model of the first project have changed since.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import BakedProject

pytestmark = pytest.mark.slow

MODEL = "models/model.onnx"
TABLES = ("data/features/train.parquet", "data/features/test.parquet")
URL = "../flight_delays"  # the project's folder, as in the guide; or its repository's address


@pytest.fixture(scope="module")
def first(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """A project with v1.0.0, whose data window and model have changed since."""
    folder = tmp_path_factory.mktemp("others")
    remote = "flight_delays-dvc-remote"
    shutil.copytree(small.path.parent / remote, folder / remote)
    copy = small.copy(folder / small.path.name)
    copy.run("flight-delays", "release", "v1.0.0")
    params = copy.path / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("until: '2013-08-01'", "until: '2013-07-01'"), encoding="utf-8")
    copy.run("dvc", "repro")
    copy.run("git", "commit", "--quiet", "--no-verify", "--all", "--message", "A month less")
    copy.run("dvc", "push")
    return copy


@pytest.fixture
def second(first: BakedProject) -> BakedProject:
    """Another repository next to the first, empty except for DVC."""
    path = first.path.parent / f"second-{len(list(first.path.parent.iterdir()))}"
    path.mkdir()
    project = BakedProject(path, first.environment)
    project.run("git", "init", "--quiet")
    project.run("dvc", "init", "--quiet")
    return project


def assert_as_released(project: BakedProject, name: str, small: BakedProject, path: str) -> None:
    """The imported file is the released one, not the current one of the first project."""
    assert (project.path / name).read_bytes() == (small.path / path).read_bytes()
    assert (project.path / URL / path).read_bytes() != (small.path / path).read_bytes()


def test_the_artifacts_that_the_readme_names_are_declared(first: BakedProject) -> None:
    document = yaml.safe_load((first.path / "dvc.yaml").read_text(encoding="utf-8"))
    declared = document["artifacts"].values()
    assert {artifact["path"] for artifact in declared} == {MODEL, *TABLES}
    assert all(
        artifact["type"] and artifact["desc"] and artifact["labels"] for artifact in declared
    )


def test_a_model_is_taken_at_its_version(second: BakedProject, small: BakedProject) -> None:
    second.run("dvc", "artifacts", "get", URL, "model", "--rev", "v1.0.0")
    assert_as_released(second, "model.onnx", small, MODEL)


def test_what_describes_the_model_comes_from_git(second: BakedProject, small: BakedProject) -> None:
    second.run("dvc", "get", URL, "models/model.json", "--rev", "v1.0.0")
    description = json.loads((second.path / "model.json").read_text(encoding="utf-8"))
    assert description == json.loads((small.path / "models/model.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TABLES)
def test_features_are_imported_at_a_version_and_stay_at_it(
    second: BakedProject, small: BakedProject, path: str
) -> None:
    second.run("dvc", "import", URL, path, "--rev", "v1.0.0")
    name = Path(path).name
    assert_as_released(second, name, small, path)
    source = yaml.safe_load((second.path / f"{name}.dvc").read_text(encoding="utf-8"))["deps"][0]
    assert source["repo"]["rev"] == "v1.0.0"
    (second.path / name).unlink()
    second.run("dvc", "pull")
    assert_as_released(second, name, small, path)


def test_an_import_moves_to_another_version_when_told_to(
    second: BakedProject, first: BakedProject
) -> None:
    second.run("dvc", "import", URL, TABLES[0], "--rev", "v1.0.0")
    second.run("dvc", "update", "train.parquet.dvc", "--rev", "main")
    newest = (first.path / TABLES[0]).read_bytes()
    assert (second.path / "train.parquet").read_bytes() == newest


def test_from_a_code_host_the_bytes_come_from_the_remote(
    second: BakedProject, first: BakedProject, small: BakedProject
) -> None:
    """A bare repository has no remote folder next to it; with S3, no options would be needed."""
    host = f"file://{second.path}.git"
    first.run("git", "clone", "--quiet", "--bare", first.path, f"{second.path}.git")
    remote = f"url={first.path}-dvc-remote"
    options = ("--rev", "v1.0.0", "--remote", "storage", "--remote-config", remote)
    second.run("dvc", "artifacts", "get", host, "model", *options)
    assert_as_released(second, "model.onnx", small, MODEL)
    second.run("dvc", "import", host, TABLES[0], *options)
    assert_as_released(second, "train.parquet", small, TABLES[0])


def test_a_version_that_was_not_released_is_refused(second: BakedProject) -> None:
    done = second.run("dvc", "artifacts", "get", URL, "model", "--rev", "v9.0.0", check=False)
    assert done.returncode != 0
    assert list(second.path.glob("*.onnx")) == []
