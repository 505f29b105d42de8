"""Lineage from dvc.lock and the .dvc files alone."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from machinery.pipeline.files import parse_yaml
from machinery.versions import drawing, git
from machinery.versions.graph import Graph, parse
from machinery.versions.lineage import lineage
from machinery.versions.versions import facts_of, graph_of, last_changes, read

SOURCE = {
    "data/source.dvc": {"outs": [{"md5": "50.dir", "size": 9, "nfiles": 2, "path": "source"}]}
}


def stage(deps: dict[str, str], outs: dict[str, str], **params: Any) -> dict[str, Any]:
    return {
        "cmd": "python -m project",
        "deps": [{"path": path, "md5": md5, "size": 2000} for path, md5 in deps.items()],
        "outs": [{"path": path, "md5": md5, "size": 2000} for path, md5 in outs.items()],
        "params": {"params.yaml": params},
    }


def stages(read_as: str = "71") -> dict[str, Any]:
    """Two candidates in a folder, of which select copies the second."""
    return {
        "select": stage({"models": "60.dir", "code/select": "3.dir"}, {"model.onnx": "b2"}),
        "train@a": stage({"raw.parquet": read_as, "train.py": "2"}, {"models/a.onnx": "a2"}),
        "train@b": stage({"raw.parquet": read_as, "train.py": "2"}, {"models/b.onnx": "b2"}),
        "ingest": stage({"data/source": "50.dir", "ingest.py": "1"}, {"raw.parquet": "71"}, rows=3),
        "other": stage({"model.onnx": "b2", "contract.yaml": "9"}, {"report.md": "80"}),
    }


def pipeline(read_as: str = "71") -> Graph:
    return parse({"stages": stages(read_as)}, SOURCE)


def trace(graph: Graph, path: str) -> list[str]:
    file = graph.find(path)
    assert file
    return [step.file.path for step in graph.trace(file)]


def names(listed: Sequence[Any]) -> list[str]:
    return [stage.name for stage in listed]


def test_the_chain_goes_through_the_candidate_that_was_copied_and_ends_at_the_source() -> None:
    chain = ["model.onnx", "models/b.onnx", "raw.parquet", "data/source"]
    assert trace(pipeline(), "model.onnx") == chain


def test_a_folder_of_which_nothing_was_copied_is_a_link_of_its_own() -> None:
    reader = stage({"parts": "7.dir"}, {"sum.json": "8"})
    graph = parse({"stages": {"sum": reader, "one": stage({}, {"parts/one": "1"})}}, {})
    assert trace(graph, "sum.json") == ["sum.json", "parts"]


def test_a_file_inside_a_tracked_folder_counts_as_the_folder() -> None:
    assert trace(pipeline(), "data/source/2013-03.parquet") == ["data/source"]
    assert pipeline().find("data/source-old/2013-03.parquet") is None


def test_the_stages_come_in_the_order_of_their_runs_however_the_lock_lists_them() -> None:
    order = ["data/source.dvc", "ingest", "train@a", "train@b", "select", "other"]
    assert names(pipeline().ordered) == order


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("data/source/2013-03.parquet", ["ingest", "train@a", "train@b", "select", "other"]),
        ("models/a.onnx", ["select", "other"]),
        ("code/select/parts.py", ["select", "other"]),
        ("contract.yaml", ["other"]),
        ("report.md", []),
        ("nosuch.py", []),
    ],
)
def test_the_impact_of_code_and_files_is_what_read_them_directly_or_not(
    path: str, stages: list[str]
) -> None:
    assert names(pipeline().impact(path)) == stages


def test_the_impact_of_the_params_file_is_every_stage_that_has_params() -> None:
    assert "ingest" in names(pipeline().impact("params.yaml"))


def test_code_is_what_no_stage_makes_and_data_what_one_does() -> None:
    graph = pipeline()
    select = next(stage for stage in graph.stages if stage.name == "select")
    assert [file.path for file in graph.code(select)] == ["code/select"]
    assert [file.path for file in graph.inputs(select)] == ["models"]


def test_an_input_that_was_made_anew_since_is_a_changed_dep() -> None:
    graph = pipeline(read_as="70")
    train = next(stage for stage in graph.stages if stage.name == "train@b")
    assert graph.changed_deps(train) == ["raw.parquet"]


def test_an_import_names_the_repository_and_revision_that_it_came_from() -> None:
    dep = {"path": "train.csv", "repo": {"url": "https://host/data.git", "rev_lock": "d1"}}
    entry = {"deps": [dep], "outs": [{"md5": "1", "path": "train.csv"}], "wdir": ".."}
    [imported] = parse({}, {"data/in/train.dvc": entry}).stages
    assert imported.outs[0].path == "data/train.csv"
    assert (imported.deps[0].path, imported.deps[0].hash) == (
        "https://host/data.git/train.csv",
        "d1",
    )


LOCK = b"""\
schema: '2.0'
stages:
  ingest:
    cmd: python -m project
    deps:
    - path: data/source
      hash: md5
      md5: 50.dir
      size: 9
    params:
      params.yaml:
        rows: 3
    outs:
    - path: 'a #1.parquet'
      hash: md5
      md5: 71
      size: 2
  split:
    cmd: python -m project split
"""


def test_the_facts_of_a_lock_are_its_files_with_hashes_and_its_stages_with_their_runs() -> None:
    facts = facts_of(graph_of({"dvc.lock": LOCK}))
    assert {("data/source", "50.dir"), ("a #1.parquet", "71")} < facts
    changed = facts ^ facts_of(graph_of({"dvc.lock": LOCK.replace(b"rows: 3", b"rows: 4")}))
    assert {name for name, _ in changed} == {"ingest"}


def record(subject: str, lock: dict[str, Any]) -> None:
    """Commit a lock."""
    Path("dvc.lock").write_text(json.dumps({"stages": lock}), encoding="utf-8")
    git.run("add", ".")
    git.run("commit", "--quiet", "--allow-empty", "--message", subject)


def document(path: str, lock: dict[str, Any]) -> dict[str, Any]:
    """The lineage of a file where this lock is committed."""
    Path("data").mkdir(exist_ok=True)
    for name, entry in SOURCE.items():
        Path(name).write_text(json.dumps(entry), encoding="utf-8")
    Path("requirements.lock").write_text("pins\n", encoding="utf-8")
    record("A run", lock)
    return lineage(read("HEAD"), path)


@pytest.mark.usefixtures("repository")
def test_the_document_has_whole_hashes_params_code_commit_and_environment() -> None:
    nodes = document("model.onnx", stages())["nodes"]
    raw = next(node for node in nodes if node["path"] == "raw.parquet")
    [maker] = raw["made_by"]
    assert maker["params"] == {"params.yaml": {"rows": 3}}
    assert [file["path"] for file in maker["code"]] == ["ingest.py"]
    assert (raw["hash"], raw["size"], raw["made_from"]) == ("71", 2000, ["data/source"])
    assert raw["commit"]["author"] == "Ada"
    pins = hashlib.sha256(b"pins\n").hexdigest()
    assert raw["environment"] == {"file": "requirements.lock", "sha256": pins}


@pytest.mark.usefixtures("repository")
def test_the_graph_runs_from_the_source_to_the_model() -> None:
    lines = drawing.mermaid(document("model.onnx", stages())).splitlines()
    assert lines[0] == "flowchart TD"
    assert lines[1] == '  file3[("data/source<br/>50.dir")]'
    assert lines[-1] == "  file1 --> by_file0"
    assert "models/a.onnx" not in "".join(lines)


@pytest.mark.usefixtures("repository")
def test_no_name_of_a_file_breaks_out_of_its_label_in_the_graph() -> None:
    name = 'a"]; end %%{init}%% <img src=x> `b` #quot; & c\nd'
    lineage = document(name, {"make": stage({}, {name: "1"})})
    [_, label, _] = drawing.mermaid(lineage).splitlines()
    inside = label.removeprefix('  file0[("').removesuffix('<br/>1")]')
    assert not set(inside) & set('"<>`&%\n')
    assert "#34;" in inside
    assert "#35;quot;" in inside


def commit_run(subject: str, **hashes: str) -> None:
    """Commit a run of one stage that made these files."""
    record(subject, {"make": stage({}, hashes)})


def subjects(*facts: tuple[str, str]) -> list[str | None]:
    return [commit and commit.subject for commit in last_changes(read("HEAD"), facts).values()]


@pytest.mark.usefixtures("repository")
def test_a_file_is_as_old_as_its_hash_and_not_as_the_lock() -> None:
    commit_run("first", a="1", b="1")
    commit_run("second", a="2", b="1")
    commit_run("third", a="1", b="3")
    assert subjects(("a", "1"), ("b", "3"), ("b", "1")) == ["third", "third", None]


@pytest.mark.usefixtures("repository")
def test_what_a_branch_changed_is_by_the_commit_on_the_branch_not_by_the_merge() -> None:
    commit_run("first", a="1", b="1")
    git.run("checkout", "--quiet", "-b", "side")
    commit_run("on the side", a="1", b="2")
    git.run("checkout", "--quiet", "main")
    commit_run("on trunk", a="2", b="1")
    git.run("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
    commit_run("merge", a="2", b="2")
    assert subjects(("a", "2"), ("b", "2")) == ["on trunk", "on the side"]


def test_a_small_number_is_what_dvc_wrote_and_no_text() -> None:
    text = b"gate: {parity: 1e-05, rise: .2, quoted: '1e-05', hash: 1e5f}"
    expected = {"parity": 0.00001, "rise": 0.2, "quoted": "1e-05", "hash": "1e5f"}
    assert parse_yaml(text, "dvc.lock")["gate"] == expected
