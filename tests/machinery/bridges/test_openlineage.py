"""openlineage: the events of a run say what dvc.lock records of it, and nothing by chance."""

from typing import Any

from machinery.bridges.openlineage import Run, events
from machinery.versions.graph import Graph, parse
from machinery.versions.versions import Commit

COMMIT = Commit("c" * 40, "Ada", "2026-01-02T03:04:05+01:00", "A run")
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


def pipeline() -> Graph:
    ingest = stage({"data/source": "50.dir", "ingest.py": "1"}, {"raw.parquet": "71"}, rows=3)
    select = stage({"raw.parquet": "71"}, {"model.onnx": "b2"})
    return parse({"stages": {"ingest": ingest, "select": select}}, SOURCE)


def test_an_event_takes_time_from_the_commit_and_its_id_from_the_content() -> None:
    graph = pipeline()
    [first, again] = [_event(graph, "ingest") for _ in range(2)]
    assert first == again
    assert first["eventTime"] == COMMIT.date
    assert first["run"]["runId"] != _event(graph, "select")["run"]["runId"]
    assert [each["name"] for each in first["inputs"]] == ["data/source"]
    assert [each["name"] for each in first["outputs"]] == ["raw.parquet"]


def test_a_run_starts_with_its_inputs_and_is_complete_with_its_outputs() -> None:
    run = Run(pipeline().ordered[1], COMMIT, "e5")
    start, complete = events(run, pipeline(), {}, "project")
    assert [each["eventType"] for each in (start, complete)] == ["START", "COMPLETE"]
    assert (start["run"], start["inputs"]) == (complete["run"], complete["inputs"])
    assert "outputs" not in start
    assert [each["name"] for each in complete["outputs"]] == ["raw.parquet"]


def test_an_event_carries_params_code_commit_and_environment() -> None:
    facets = _event(pipeline(), "ingest")["run"]["facets"]
    assert facets["executionParameters"]["parameters"] == [
        {"key": "params.yaml:rows", "value": "3"}
    ]
    tags = {tag["key"]: tag["value"] for tag in facets["tags"]["tags"]}
    assert tags["md5:ingest.py"] == "1"
    assert tags["git.commit"] == COMMIT.sha
    assert tags["sha256:requirements.lock"] == "e5"


def test_a_table_of_the_contract_has_its_columns_as_schema() -> None:
    graph = parse({"stages": {"ingest": stage({}, {"data/raw.parquet": "1"})}}, {})
    contract = {"columns": {"late": {"type": "boolean", "description": "Whether late"}}}
    run = Run(graph.stages[0], COMMIT, None)
    [output] = events(run, graph, contract, "project")[1]["outputs"]
    field = {"name": "late", "type": "boolean", "description": "Whether late"}
    assert output["facets"]["schema"]["fields"] == [field]


def _event(graph: Graph, name: str) -> dict[str, Any]:
    [wanted] = [each for each in graph.stages if each.name == name]
    return events(Run(wanted, COMMIT, "e5"), graph, {}, "project")[1]
