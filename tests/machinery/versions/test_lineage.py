"""lineage: what was made from what, told by dvc.lock and the .dvc files alone."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from machinery.pipeline.files import parse_yaml
from machinery.versions import drawing
from machinery.versions.graph import Graph, parse
from machinery.versions.history import Commit, facts_of, last_changes
from machinery.versions.lineage import Lineage
from machinery.versions.versions import Version, locate

SOURCE = {
    "data/source.dvc": {"outs": [{"md5": "50.dir", "size": 9, "nfiles": 2, "path": "source"}]}
}
COMMIT = Commit("c" * 40, "Ada", "2026-01-02T03:04:05+01:00", 'Say "it" <b>\x1b[31m')


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
        "select": stage({"models": "60.dir", "select.py": "3"}, {"model.onnx": "b2"}),
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
    return [each.name for each in listed]


def found(graph: Graph, path: str = "model.onnx") -> Lineage:
    file = graph.find(path)
    assert file
    steps = graph.trace(file)
    commits = {step.file.path: COMMIT for step in steps}
    lock = json.dumps({"stages": stages()}).encode()
    tracked = {path: json.dumps(entry).encode() for path, entry in SOURCE.items()}
    version = Version("c" * 40, "c" * 40, ("v1.0.0",), lock, tracked)
    return Lineage(version, path, steps, commits, {COMMIT: "e5"})


def test_the_chain_goes_through_the_candidate_that_was_copied_and_ends_at_the_source() -> None:
    assert trace(pipeline(), "model.onnx") == [
        "model.onnx",
        "models/b.onnx",
        "raw.parquet",
        "data/source",
    ]


def test_a_folder_of_which_nothing_was_copied_is_a_link_of_its_own() -> None:
    reader = stage({"parts": "7.dir"}, {"sum.json": "8"})
    graph = parse({"stages": {"sum": reader, "one": stage({}, {"parts/one": "1"})}}, {})
    assert trace(graph, "sum.json") == ["sum.json", "parts"]


def test_a_file_inside_a_tracked_folder_counts_as_the_folder() -> None:
    assert trace(pipeline(), "data/source/2013-03.parquet") == ["data/source"]


def test_a_path_that_only_begins_like_the_folder_is_not_inside_it() -> None:
    assert pipeline().find("data/source-old/2013-03.parquet") is None


def test_the_stages_come_in_the_order_of_their_runs_however_the_lock_lists_them() -> None:
    order = ["data/source.dvc", "ingest", "train@a", "train@b", "select", "other"]
    assert names(pipeline().ordered) == order


def test_the_impact_of_a_source_month_is_all_that_follows_from_the_folder() -> None:
    made = pipeline().impact("data/source/2013-03.parquet")
    assert names(made) == ["ingest", "train@a", "train@b", "select", "other"]


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("models/a.onnx", ["select", "other"]),
        ("select.py", ["select", "other"]),
        ("contract.yaml", ["other"]),
        ("report.md", []),
        ("nosuch.py", []),
    ],
)
def test_the_impact_of_code_and_files_is_what_read_them_directly_or_not(
    path: str, made: list[str]
) -> None:
    assert names(pipeline().impact(path)) == made


def test_a_file_of_a_folder_of_code_reaches_the_stages_that_depend_on_the_folder() -> None:
    graph = parse({"stages": {"make": stage({"src/engine": "7.dir"}, {"a": "1"})}}, {})
    assert names(graph.impact("src/engine/parts/one.py")) == ["make"]
    assert [file.path for file in graph.code(graph.stages[0])] == ["src/engine"]


def test_the_impact_of_the_params_file_is_every_stage_that_has_params() -> None:
    assert "ingest" in names(pipeline().impact("params.yaml"))


def test_code_is_what_no_stage_makes_and_data_what_one_does() -> None:
    graph = pipeline()
    select = next(each for each in graph.stages if each.name == "select")
    assert [file.path for file in graph.code(select)] == ["select.py"]
    assert [file.path for file in graph.inputs(select)] == ["models"]


def test_an_input_that_was_made_anew_since_is_a_broken_link() -> None:
    graph = pipeline(read_as="70")
    train = next(each for each in graph.stages if each.name == "train@b")
    [(was, now)] = graph.broken(train)
    assert (was.path, was.hash, now.hash) == ("raw.parquet", "70", "71")


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
    facts = dict(facts_of({"dvc.lock": LOCK}))
    assert facts["data/source"] == "50.dir"
    assert facts["a #1.parquet"] == "71"
    assert '"rows": 3' in facts["ingest"]
    assert '"rows": 3' not in facts["split"]


def test_another_param_is_another_fact_of_the_stage_alone() -> None:
    changed = facts_of({"dvc.lock": LOCK}) ^ facts_of(
        {"dvc.lock": LOCK.replace(b"rows: 3", b"rows: 4")}
    )
    assert {name for name, _ in changed} == {"ingest"}


def test_the_document_has_whole_hashes_params_code_commit_and_environment() -> None:
    document = drawing.document(found(pipeline()))
    raw = next(node for node in document["nodes"] if node["path"] == "raw.parquet")
    [maker] = raw["made_by"]
    assert maker["params"] == {"params.yaml": {"rows": 3}}
    assert [file["path"] for file in maker["code"]] == ["ingest.py"]
    assert (raw["hash"], raw["size"], raw["made_from"]) == ("71", 2000, ["data/source"])
    assert raw["commit"]["author"] == "Ada"
    assert raw["environment"] == {"file": "requirements.lock", "sha256": "e5"}


def test_the_graph_runs_from_the_source_to_the_model() -> None:
    lines = drawing.mermaid(found(pipeline())).splitlines()
    assert lines[0] == "flowchart TD"
    assert lines[1] == '  file3[("data/source<br/>50.dir")]'
    assert lines[-1] == "  file1 --> by_file0"
    assert "models/a.onnx" not in "".join(lines)


def test_no_name_of_a_file_breaks_out_of_its_label_in_the_graph() -> None:
    name = 'a"]; end %%{init}%% <img src=x> `b` #quot; & c\nd'
    graph = parse({"stages": {"make": stage({}, {name: "1"})}}, {})
    [_, label, _] = drawing.mermaid(found(graph, name)).splitlines()
    inside = label.removeprefix('  file0[("').removesuffix('<br/>1")]')
    assert not set(inside) & set('"<>`&%\n')
    assert "#34;" in inside
    assert "#35;quot;" in inside


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert drawing.plain("red\x1b[31m\nnext") == "red [31m next"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=trunk")
    return tmp_path


def git(*words: str) -> None:
    who = ("user.name=Ada", "user.email=ada@example.com", "commit.gpgsign=false")
    settings = [part for each in (*who, "core.hooksPath=/dev/null") for part in ("-c", each)]
    subprocess.run(["git", *settings, *words], check=True, capture_output=True)


def commit(subject: str, **hashes: str) -> None:
    """Commit a lock that says so of its files."""
    outs = "".join(f"    - path: {name}\n      md5: {md5}\n" for name, md5 in hashes.items())
    Path("dvc.lock").write_text(f"stages:\n  make:\n    cmd: make\n    outs:\n{outs}")
    git("add", ".")
    git("commit", "--quiet", "--allow-empty", "--message", subject)


@pytest.mark.usefixtures("repository")
def test_a_file_is_as_old_as_its_hash_and_not_as_the_lock() -> None:
    commit("first", a="1", b="1")
    commit("second", a="2", b="1")
    commit("third", a="1", b="3")
    changes = last_changes("HEAD", [("a", "1"), ("b", "3"), ("b", "1")], ())
    subjects = [each and each.subject for each in changes.values()]
    assert subjects == ["third", "third", None]


@pytest.mark.usefixtures("repository")
def test_what_a_branch_changed_is_by_the_commit_on_the_branch_not_by_the_merge() -> None:
    commit("first", a="1", b="1")
    git("checkout", "--quiet", "-b", "side")
    commit("on the side", a="1", b="2")
    git("checkout", "--quiet", "trunk")
    commit("on trunk", a="2", b="1")
    git("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
    commit("merge", a="2", b="2")
    changes = last_changes("HEAD", [("a", "2"), ("b", "2")], ())
    assert [each and each.subject for each in changes.values()] == ["on trunk", "on the side"]


@pytest.mark.usefixtures("repository")
def test_a_version_stands_for_the_tag_of_its_release() -> None:
    commit("first", a="1")
    git("tag", "model@v1.0.0")
    commit("second", a="2")
    version, path = locate("v1.0.0")
    assert (version.tags, path) == (("model@v1.0.0",), None)


def test_a_small_number_is_what_dvc_wrote_and_no_text() -> None:
    text = b"gate: {parity: 1e-05, rise: .2, quoted: '1e-05', hash: 1e5f}"
    expected = {"parity": 0.00001, "rise": 0.2, "quoted": "1e-05", "hash": "1e5f"}
    assert parse_yaml(text, "dvc.lock")["gate"] == expected
