"""Which champion there is, what it is compared on, and why it sometimes cannot be."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from machinery.comparison.judgement import judge
from machinery.comparison.rows import Rows, array
from machinery.comparison.side import Side, champion, checkout, default_branch
from machinery.comparison.staleness import stale
from machinery.pipeline.files import UserError
from machinery.versions.hashes import md5_of

from machinery.comparison import champion as champions
from machinery.pipeline.data import contract as contracts

PROJECT = Path(__file__).parents[2]
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
GIT = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null")


def git(*words: str) -> None:
    subprocess.run(["git", *GIT, *words], check=True, capture_output=True)


def lock(**files: str) -> None:
    """A dvc.lock of a pipeline of two stages, with these hashes, and of its code as it is."""
    code = [{"path": p, "md5": md5_of(Path(p))} for p in ("contract.yaml", "src/features.py")]
    code.append({"path": "src/params.py", "md5": files.get("params", "p" * 32)})
    tables = {"data/train.parquet": "train", "data/test.parquet": "test"}
    made = [{"path": p, "md5": files.get(n, n[0] * 32)} for p, n in tables.items()]
    results = ("models/model.onnx", "models/model.json", "metrics.json", "reports/gate.json")
    there = [p for p in (*results, "data/predictions.parquet") if Path(p).is_file()]
    stages = {
        "split": {"cmd": "split", "deps": code[:1], "outs": made},
        "featurize": {"cmd": "featurize", "deps": [*code, *made]},
        "evaluate": {
            "cmd": "evaluate",
            "outs": [{"path": p, "md5": md5_of(Path(p))} for p in there],
        },
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
    Path("src/params.py").write_text("dials\n")
    for path in (
        "models/model.onnx",
        "metrics.json",
        "reports/gate.json",
        "data/predictions.parquet",
    ):
        Path(path).write_text("{}")
    commit("Code")
    git("tag", "v0")
    Path("models/model.json").write_text(json.dumps(INFO))
    lock(params=md5_of(Path("src/params.py")))
    commit("Run")
    git("tag", "v1")
    return tmp_path


def commit(message: str) -> None:
    git("add", ".")
    git("commit", "--quiet", "--message", message)


def v1() -> Side:
    found = champion("v1")
    assert found is not None
    return found


def rows(document: dict[str, Any], *, first: str = "2013-07-01") -> Rows:
    table = {
        "id": ["a", "b"],
        "at": np.array([first, "2013-07-31"], dtype="datetime64[us]"),
        "late": [True, False],
        "probability_false": np.array([0.1, 0.7], np.float32),
        "probability_true": np.array([0.9, 0.3], np.float32),
        "colour": ["red", None],
    }
    return Rows(pa.table(table), contracts.parse(document))


def test_before_the_first_run_there_is_no_champion() -> None:
    assert champion("v0") is None
    with pytest.raises(UserError, match="git knows no revision 'v9'"):
        champion("v9")


def test_the_champion_is_what_its_commit_says_not_what_lies_here() -> None:
    Path("models/model.json").write_text(json.dumps(INFO | {"target": "early"}))
    assert v1().document(Path("models/model.json"))["target"] == "late"
    assert checkout().document(Path("models/model.json"))["target"] == "early"


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
    "change",
    [
        {"task": "regression"},
        {"target": "early"},
        {"classes": ["no", "yes"]},
        {"contract_version": 0},
    ],
)
def test_a_champion_that_predicts_something_else_is_not_compared(
    change: dict[str, Any], document: dict[str, Any]
) -> None:
    Path("models/model.json").write_text(json.dumps(INFO | change))
    (name,) = change
    with pytest.raises(UserError, match=f"the {name} is not the same"):
        champions.require_same_question(checkout(), contracts.parse(document))
    champions.require_same_question(v1(), contracts.parse(document))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("late", {"unit": "h"}, "the unit of late is not the same: the champion's is None, the"),
        ("size", {"unit": "km"}, "the unit of size is not the same: the champion's is None, the"),
        ("size", {"type": "integer"}, "the type of size is not the same: the champion's is number"),
    ],
)
def test_a_column_that_means_something_else_ends_the_comparison(
    name: str, change: dict[str, Any], told: str, document: dict[str, Any]
) -> None:
    document["columns"][name] |= change
    with pytest.raises(UserError, match=told):
        champions.require_same_question(v1(), contracts.parse(document))


def test_only_columns_that_the_champion_reads_must_mean_the_same(document: dict[str, Any]) -> None:
    listed = [
        {"name": "length", "columns": ["size"]},
        {"name": "paint", "columns": ["colour"]},
    ]
    Path("reports/features.json").write_text(json.dumps(listed))
    commit("Catalogue")
    git("tag", "v2")
    recorded = champion("v2")
    assert recorded is not None
    document["columns"]["colour"] |= {"unit": "RAL"}
    champions.require_same_question(recorded, contracts.parse(document))
    document["columns"]["size"] |= {"unit": "km"}
    with pytest.raises(UserError, match="unit of size"):
        champions.require_same_question(recorded, contracts.parse(document))


@pytest.mark.parametrize("name", ["sha256", "trained_on"])
def test_a_champion_of_before_a_fact_was_recorded_is_a_sentence(
    name: str, document: dict[str, Any]
) -> None:
    lock(train="x" * 32)
    Path("models/model.json").write_text(json.dumps({k: v for k, v in INFO.items() if k != name}))
    with pytest.raises(UserError, match=rf"models/model\.json of the checkout has no {name}"):
        champions.same_model(checkout(), checkout())
        champions.seen(checkout(), v1(), rows(document), "time")


def test_a_headline_that_is_no_metric_is_a_sentence() -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["select"]["headline"] = "roc_acu"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match="select.headline roc_acu is no metric of a classification"):
        judge("v1")


def test_features_are_the_same_until_their_code_or_the_contract_changes() -> None:
    Path("src/params.py").write_text("other dials\n")
    lock(params="q" * 32)
    assert champions.same_features(v1(), checkout())
    Path("src/features.py").write_text("two\n")
    lock()
    assert not champions.same_features(v1(), checkout())


def test_test_tables_are_told_apart_by_their_hash() -> None:
    assert champions.same_rows(v1(), checkout())
    lock(test="x" * 32)
    assert not champions.same_rows(v1(), checkout())


def test_a_champion_that_learned_from_the_test_rows_is_told_of(document: dict[str, Any]) -> None:
    early = rows(document, first="2013-06-01")
    assert champions.seen(v1(), checkout(), early, "time") is None
    lock(train="x" * 32)
    assert champions.seen(v1(), checkout(), rows(document), "time") is None
    clause = champions.seen(v1(), checkout(), early, "time")
    assert (
        clause
        == "it was trained on rows up to 2013-06-30 21:20:00, these begin at 2013-06-01 00:00:00"
    )


def test_a_champion_that_learned_from_other_rows_of_their_groups_is_told_of(
    document: dict[str, Any],
) -> None:
    document["group"] = "colour"
    pq.write_table(pa.table({"id": ["x", "y"], "colour": ["red", "red"]}), "data/train.parquet")
    lock(train=md5_of(Path("data/train.parquet")))
    commit("Groups")
    git("tag", "v2")
    recorded = champion("v2")
    assert recorded is not None
    lock(train="x" * 32)
    found = rows(document)
    assert champions.seen(recorded, checkout(), found, "stratified") is None
    told = champions.seen(recorded, checkout(), found, "group")
    assert told == "it was trained on 1 of these groups"


def test_a_checkout_as_recorded_is_not_stale() -> None:
    assert stale(checkout()) == []


def test_whatever_has_changed_since_the_run_is_named() -> None:
    Path("src/features.py").write_text("two\n")
    Path("metrics.json").write_text("[]")
    assert stale(checkout()) == [
        "metrics.json is not as dvc.lock records it",
        "src/features.py has changed since featurize ran",
    ]


def test_rows_give_target_prediction_slices_and_span(document: dict[str, Any]) -> None:
    found = rows(document)
    assert found.target.tolist() == [1, 0]
    assert found.prediction.dtype == np.float32
    assert found.prediction[:, 1] == pytest.approx([0.9, 0.3])
    assert [(c, v, r.tolist()) for c, v, r in found.slices(["colour"], 1)] == [
        ("colour", "red", [0]),
        ("colour", "(missing)", [1]),
    ]
    assert [str(moment) for moment in found.span() or ()] == [
        "2013-07-01 00:00:00",
        "2013-07-31 00:00:00",
    ]
    with pytest.raises(UserError, match="has no size"):
        list(found.slices(["size"], 1))


@pytest.mark.parametrize(
    ("by", "group", "days", "unit", "codes"),
    [
        ("time", None, 10, "days", [0, 0, *range(1, 10)]),
        ("time", None, 9, "rows", None),
        ("stratified", None, 10, "rows", None),
        ("time", "colour", 10, "groups", [0, *[1] * 10]),
    ],
)
def test_rows_of_a_group_or_else_of_a_day_are_drawn_together(
    by: str,
    group: str | None,
    days: int,
    unit: str,
    codes: list[int] | None,
    document: dict[str, Any],
) -> None:
    first = np.datetime64("2013-07-01T08:00", "us")
    at = [
        first,
        *(first + np.timedelta64(day, "D") + np.timedelta64(1, "h") for day in range(days)),
    ]
    table = {"at": np.array(at), "colour": ["blue", *["red"] * days]}
    document["group"] = group
    found, code = Rows(pa.table(table), contracts.parse(document)).units(by)
    assert found == unit
    assert (None if code is None else code.tolist()) == codes


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_missing_numbers_come_as_nan_whatever_piece_they_stand_in(kind: Any) -> None:
    whole = pa.chunked_array([[1.0, None, 3.0], [4.0]], kind)
    assert array(whole) == pytest.approx([1, np.nan, 3, 4], nan_ok=True)
    assert array(whole.slice(1)) == pytest.approx([np.nan, 3, 4], nan_ok=True)
    assert array(whole).dtype == kind.to_pandas_dtype()
