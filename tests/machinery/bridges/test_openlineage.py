"""OpenLineage events contain what dvc.lock records of a run, and nothing random."""

from typing import Any

from machinery.bridges.openlineage import Run, events
from machinery.versions.graph import File, Graph, Stage
from machinery.versions.versions import Commit

COMMIT = Commit("c" * 40, "Ada", "2026-01-02T03:04:05+01:00", "A run")
FOLDER = File("data/source", "50.dir", 9, 2)
RAW = File("data/raw.parquet", "71", 2000)
SOURCE = Stage("data/source.dvc", None, {}, (), (FOLDER,))
INGEST = Stage(
    "ingest",
    "python -m project",
    {"params.yaml": {"rows": 3}},
    (FOLDER, File("ingest.py", "1")),
    (RAW,),
)
SELECT = Stage("select", "python -m project", {}, (RAW,), (File("model.onnx", "b2"),))
CONTRACT = {"columns": {"late": {"type": "boolean", "description": "Whether late"}}}


def exported(stage: Stage, **contract: Any) -> list[dict[str, Any]]:
    return events(Run(stage, COMMIT, "e5"), Graph((SOURCE, INGEST, SELECT)), contract, "project")


def names(datasets: list[dict[str, Any]]) -> list[str]:
    return [dataset["name"] for dataset in datasets]


def test_an_event_has_the_time_of_the_commit_and_an_id_from_the_content() -> None:
    _, event = exported(INGEST)
    assert exported(INGEST)[1] == event
    assert event["eventTime"] == COMMIT.date
    assert event["run"]["runId"] != exported(SELECT)[1]["run"]["runId"]


def test_a_run_starts_with_its_inputs_and_is_complete_with_its_outputs() -> None:
    start, complete = exported(INGEST)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert (start["run"], start["inputs"]) == (complete["run"], complete["inputs"])
    assert "outputs" not in start
    assert names(start["inputs"]) == ["data/source"]
    assert names(complete["outputs"]) == ["data/raw.parquet"]


def test_an_event_contains_params_code_commit_and_environment() -> None:
    facets = exported(INGEST)[1]["run"]["facets"]
    parameters = facets["executionParameters"]["parameters"]
    assert parameters == [{"key": "params.yaml:rows", "value": "3"}]
    tags = {tag["key"]: tag["value"] for tag in facets["tags"]["tags"]}
    assert tags["md5:ingest.py"] == "1"
    assert tags["git.commit"] == COMMIT.sha
    assert tags["sha256:requirements.lock"] == "e5"


def test_a_table_of_the_contract_has_its_columns_as_schema() -> None:
    [output] = exported(INGEST, **CONTRACT)[1]["outputs"]
    field = {"name": "late", "type": "boolean", "description": "Whether late"}
    assert output["facets"]["schema"]["fields"] == [field]
