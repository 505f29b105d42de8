"""Which champion there is, how it is scored, and why it sometimes cannot be compared."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import yaml

from machinery.comparison import champion as champions
from machinery.comparison.lineage import lineage
from machinery.comparison.side import Side, default_branch, find_challenger, find_champion
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import UserError
from machinery.versions.git import resolve
from machinery.versions.storage import md5_of

INFO = {
    "contract_version": 1,
    "task": "classification",
    "target": "late",
    "classes": ["false", "true"],
    "candidate": "few-linear",
    "features": ["length"],
    "sha256": "0" * 64,
    "trained_on": {"rows": 10, "until": "2013-06-30 21:20:00"},
}
MAKER = """
import sys
from pathlib import Path
rows = Path("data/test.parquet").read_text()
Path("data/features").mkdir()
Path("data/features/test.parquet").write_text(rows + sys.argv[1] + " by the champion")
"""
GIT = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null")


def git(*words: str) -> None:
    subprocess.run(["git", *GIT, *words], check=True, capture_output=True)


def lock(command: str = "featurize", machinery: str = "m" * 32, **files: str) -> None:
    """A dvc.lock of a pipeline of two stages, with these hashes, and of its code as it is."""
    code = [{"path": p, "md5": md5_of(Path(p))} for p in ("contract.yaml", "src/features.py")]
    code.append({"path": "src/machinery/pipeline", "md5": f"{machinery}.dir"})
    tables = {"data/train.parquet": "train", "data/test.parquet": "test"}
    outs = [{"path": p, "md5": files.get(n, n[0] * 32)} for p, n in tables.items()]
    stages = {
        "split": {"cmd": "split", "deps": code[:1], "outs": outs},
        "featurize": {"cmd": command, "deps": [*code, *outs]},
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> Path:
    """A committed run, tagged v1; then whatever the test changes."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    for folder in ("models", "src", "reports", "data"):
        Path(folder).mkdir()
    Path("contract.yaml").write_text(yaml.safe_dump(document))
    Path("params.yaml").write_text("split: {by: time}\n")
    Path("src/features.py").write_text("one\n")
    commit("Code")
    git("tag", "v0")
    Path("models/model.json").write_text(json.dumps(INFO))
    lock()
    commit("Run")
    git("tag", "v1")
    return tmp_path


def commit(message: str) -> None:
    git("add", ".")
    git("commit", "--quiet", "--message", message)


def v1(revision: str = "v1") -> Side:
    side = find_champion(revision)
    assert side is not None
    return side


def committed() -> Side:
    """What is here now, as a champion."""
    commit("Change")
    return v1("HEAD")


def overlap(
    champion: Side, challenger: Side, document: dict[str, Any], by: str, first: str = "2013-07-01"
) -> str | None:
    """The overlap with two test rows, the first of this day."""
    times = np.array([first, "2013-07-31"], dtype="datetime64[us]")
    table = pd.DataFrame({"id": ["a", "b"], "at": times, "colour": ["red", None]})
    return champions.training_overlap(champion, challenger, table, contracts.parse(document), by)


def test_before_the_first_run_there_is_no_champion() -> None:
    assert find_champion("v0") is None
    with pytest.raises(UserError, match="git knows no revision 'v9'"):
        find_champion("v9")


def test_the_champion_is_read_from_its_commit_not_from_the_checkout() -> None:
    Path("models/model.json").write_text(json.dumps(INFO | {"target": "early"}))
    assert v1().document(Path("models/model.json"))["target"] == "late"
    assert find_challenger().document(Path("models/model.json"))["target"] == "early"


def test_the_default_is_the_branch_of_the_remote(tmp_path: Path) -> None:
    assert default_branch() == "main"
    git("update-ref", "refs/remotes/origin/main", "v1")
    assert default_branch() == "origin/main"
    git("update-ref", "refs/remotes/origin/stable", "v1")
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/stable")
    assert default_branch() == "origin/HEAD"


def test_without_a_default_branch_the_user_is_asked_for_one() -> None:
    git("branch", "--move", "work")
    with pytest.raises(UserError, match="--against REV"):
        default_branch()


@pytest.mark.parametrize(
    ("name", "value"),
    [("task", "regression"), ("target", "early"), ("classes", ["no"]), ("contract_version", 0)],
)
def test_a_champion_that_predicts_something_else_is_not_compared(
    name: str, value: Any, document: dict[str, Any]
) -> None:
    Path("models/model.json").write_text(json.dumps(INFO | {name: value}))
    with pytest.raises(UserError, match=f"the {name} is not the same"):
        champions.require_same_question(find_challenger(), contracts.parse(document))
    champions.require_same_question(v1(), contracts.parse(document))


@pytest.mark.parametrize(
    ("name", "field", "value", "old"),
    [
        ("late", "unit", "h", None),
        ("size", "unit", "km", None),
        ("size", "type", "integer", "number"),
    ],
)
def test_a_column_that_means_something_else_ends_the_comparison(
    name: str, field: str, value: str, old: str | None, document: dict[str, Any]
) -> None:
    document["columns"][name][field] = value
    message = f"the {field} of {name} is not the same: the champion's is {old}, the challenger's"
    with pytest.raises(UserError, match=message):
        champions.require_same_question(v1(), contracts.parse(document))


def test_only_columns_that_the_champion_reads_must_mean_the_same(document: dict[str, Any]) -> None:
    columns = {"length": ["size"], "paint": ["colour"]}
    listed = [{"name": name, "columns": read} for name, read in columns.items()]
    Path("reports/features.json").write_text(json.dumps(listed))
    recorded = committed()
    document["columns"]["colour"] |= {"unit": "RAL"}
    champions.require_same_question(recorded, contracts.parse(document))
    document["columns"]["size"] |= {"unit": "km"}
    with pytest.raises(UserError, match="unit of size"):
        champions.require_same_question(recorded, contracts.parse(document))


def test_a_champion_of_before_a_fact_was_recorded_is_a_sentence(document: dict[str, Any]) -> None:
    lock(train="x" * 32)
    older = {name: fact for name, fact in INFO.items() if name != "trained_on"}
    Path("models/model.json").write_text(json.dumps(older))
    with pytest.raises(UserError, match=r"models/model\.json of the checkout has no trained_on"):
        overlap(find_challenger(), v1(), document, "time")


@pytest.mark.parametrize("path", ["src/features.py", "contract.yaml"])
def test_features_are_the_same_until_their_code_or_the_contract_changes(path: str) -> None:
    lock()
    assert champions.same_features(v1(), find_challenger())
    lock(machinery="x" * 32)
    assert not champions.same_features(v1(), find_challenger())
    Path(path).write_text(Path(path).read_text() + "# changed\n")
    lock()
    assert not champions.same_features(v1(), find_challenger())


def test_a_champion_makes_its_features_by_its_own_code(tmp_path: Path) -> None:
    Path("src/maker.py").write_text(MAKER)
    lock(command="python -m maker 'all of them'")
    Path("data/test.parquet").write_text("rows: ")
    recorded = committed()
    Path("src/maker.py").write_text("raise SystemExit('by the challenger')\n")
    features = champions.featurize(recorded, Path("data/test.parquet"), tmp_path / "elsewhere")
    assert features.read_text() == "rows: all of them by the champion"


def test_why_the_champion_cannot_make_its_features_is_a_sentence(tmp_path: Path) -> None:
    Path("data/test.parquet").write_text("rows")
    lock(command="python -m nothing")
    recorded = committed()
    with pytest.raises(UserError, match="of this table: .*No module named nothing"):
        champions.featurize(recorded, Path("data/test.parquet"), tmp_path / "elsewhere")


def test_predictions_of_other_rows_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]
) -> None:
    class Model:
        features: ClassVar = {"one": "number"}

        def __init__(self, _: Path) -> None: ...

        def predict(self, table: pd.DataFrame) -> np.ndarray:
            return table["one"].to_numpy()

    monkeypatch.setattr(champions, "Model", Model)
    monkeypatch.setattr(Side, "file", lambda _, path: path)
    Path("data/features").mkdir()
    pd.DataFrame({"id": ["a", "b"], "one": [1.0, 2.0]}).to_parquet("data/features/test.parquet")
    side, contract = v1(), contracts.parse(document)
    same = champions.score(side, side, pd.DataFrame({"id": ["a", "b"]}), contract)
    assert same.tolist() == [1, 2]
    with pytest.raises(UserError, match=r"has other rows than data/predictions\.parquet"):
        champions.score(side, side, pd.DataFrame({"id": ["b", "a"]}), contract)


def test_a_champion_trained_on_the_test_rows_is_reported(document: dict[str, Any]) -> None:
    assert overlap(v1(), find_challenger(), document, "time", "2013-06-01") is None
    lock(train="x" * 32)
    assert overlap(v1(), find_challenger(), document, "time") is None
    clause = overlap(v1(), find_challenger(), document, "time", "2013-06-01")
    until = "it was trained on rows up to 2013-06-30 21:20:00"
    assert clause == f"{until}, these begin at 2013-06-01 00:00:00"


def test_a_champion_trained_on_other_rows_of_their_groups_is_reported(
    document: dict[str, Any],
) -> None:
    document["group"] = "colour"
    trained = pd.DataFrame({"id": ["x", "y"], "colour": ["red", "red"]})
    trained.to_parquet("data/train.parquet")
    lock(train=md5_of(Path("data/train.parquet")))
    recorded = committed()
    lock(train="x" * 32)
    assert overlap(recorded, find_challenger(), document, "stratified") is None
    assert (
        overlap(recorded, find_challenger(), document, "group")
        == "it was trained on 1 of these groups"
    )


def test_a_commit_that_was_not_pushed_is_reproduced_from_its_parent(tmp_path: Path) -> None:
    judgement = SimpleNamespace(champion=None, challenger=find_challenger(), against="v1")
    git("init", "--quiet", "--bare", str(tmp_path / "remote"))
    git("remote", "add", "origin", str(tmp_path / "remote"))
    text = lineage(judgement, "shop")  # type: ignore[arg-type]
    assert f"check out its parent `{resolve('HEAD^')}` instead" in text
    git("push", "--quiet", "origin", "main")
    text = lineage(judgement, "shop")  # type: ignore[arg-type]
    assert f"git checkout {resolve('HEAD')}\ndvc pull\nshop report --against" in text
    assert "parent" not in text
