"""Lineage in a real project: what the model was made from, now and at older versions."""

import json
import os
import re
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attr
import pytest
from jsonschema import Draft202012Validator
from openlineage.client import event_v2
from openlineage.client.generated.base import BaseFacet
from openlineage.client.serde import Serde
from referencing import Registry, Resource

from conftest import BakedProject

pytestmark = pytest.mark.slow

SPECIFICATION = os.environ.get("OPENLINEAGE_SPEC", "")  # the folder spec of its repository
KEYS = {  # under which the specification puts each facet
    "DatasetVersionDatasetFacet": "version",
    "ExecutionParametersRunFacet": "executionParameters",
    "InputStatisticsInputDatasetFacet": "inputStatistics",
    "JobTypeJobFacet": "jobType",
    "OutputStatisticsOutputDatasetFacet": "outputStatistics",
    "SchemaDatasetFacet": "schema",
    "SourceCodeJobFacet": "sourceCode",
    "TagsRunFacet": "tags",
}
ARROW = re.compile(r"(\w+) --> (\w+)")
SHAPE = re.compile(r'(\w+)(\[\("[^"]+"\)\]|\(\["[^"]+"\]\))')


def lineage(project: BakedProject, *words: str) -> Any:
    return json.loads(project.run("flight-delays", "lineage", *words, "--json").stdout)


def commit(project: BakedProject, message: str) -> str:
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--no-verify", "--message", message)
    return project.run("git", "rev-parse", "HEAD").stdout.strip()


def sha256(project: BakedProject) -> str:
    document = json.loads((project.path / "models/model.json").read_text(encoding="utf-8"))
    return str(document["sha256"])


@pytest.fixture(scope="module")
def changed(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """The small project tagged v1.0.0, then another model, committed. Shared: do not change it."""
    project = small.copy(tmp_path_factory.mktemp("changed") / small.path.name)
    project.run("git", "tag", "v1.0.0")
    params = project.path / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("C: 1.0", "C: 0.001"), encoding="utf-8")
    project.run("dvc", "repro")
    commit(project, 'A weaker "linear" <model>')
    return project


def test_the_chain_of_the_default_project_is_complete(reproduced: BakedProject) -> None:
    chain = lineage(reproduced)
    nodes = {node["path"]: node for node in chain["nodes"]}
    chosen = json.loads((reproduced.path / "models/model.json").read_text())["candidate"]
    expected = {
        "models/model.onnx": "select",
        f"models/candidates/{chosen}.onnx": f"train@{chosen}",
        "data/features/train.parquet": "featurize",
        "data/train.parquet": "split",
        "data/test.parquet": "split",
        "data/valid.parquet": "validate",
        "data/raw.parquet": "ingest",
        "data/source": "data/source.dvc",
    }
    assert {path: node["made_by"][0]["name"] for path, node in nodes.items()} == expected
    head = reproduced.run("git", "rev-parse", "HEAD").stdout.strip()
    first = reproduced.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    for path, node in nodes.items():
        assert node["commit"]["sha"] == (first if path == "data/source" else head)
        assert node["commit"]["author"]
        assert len(node["hash"].removesuffix(".dir")) == 32
        assert node["size"] > 0
        assert len(node["environment"]["sha256"]) == 64
    model = nodes["models/model.onnx"]
    metrics = json.loads((reproduced.path / "metrics.json").read_text())
    assert (model["sha256"], model["metrics"]) == (sha256(reproduced), metrics)


def test_the_table_fits_a_hundred_columns_and_names_commit_and_metrics(
    reproduced: BakedProject,
) -> None:
    output = reproduced.run("flight-delays", "lineage").stdout
    assert max(map(len, output.splitlines())) <= 100
    for text in ("models/model.onnx", "by select", "Reproduce the pipeline", "roc_auc", "A Tester"):
        assert text in output


def test_a_revision_is_read_from_git_independent_of_the_checkout(changed: BakedProject) -> None:
    before = lineage(changed, "v1.0.0")
    after = lineage(changed)
    assert before["nodes"][0]["hash"] != after["nodes"][0]["hash"]
    candidates = [
        document["nodes"][1]["made_by"][0]["params"]["params.yaml"] for document in (before, after)
    ]
    strengths = [params["train.hyperparameters.linear"]["C"] for params in candidates]
    assert strengths == [1.0, 0.001]


def test_each_file_has_the_commit_that_last_changed_it_not_the_last_one(
    changed: BakedProject,
) -> None:
    subjects = {node["path"]: node["commit"]["subject"] for node in lineage(changed)["nodes"]}
    assert subjects["models/model.onnx"] == 'A weaker "linear" <model>'
    assert subjects["data/features/train.parquet"] == "Two candidates"
    assert subjects["data/source"] == "First commit"


def test_the_hash_of_an_older_release_finds_its_commit_after_the_model_changed(
    changed: BakedProject,
) -> None:
    old = lineage(changed, "v1.0.0")["nodes"][0]["sha256"]
    assert old != sha256(changed)
    document = lineage(changed, "--sha256", old[:12])
    assert document["revision"] == changed.run("git", "rev-parse", "v1.0.0").stdout.strip()
    assert document["recorded_by"]["tags"] == ["v1.0.0"]
    assert document["nodes"][0]["sha256"] == old


def test_what_was_made_from_a_source_month_is_all_that_ran(reproduced: BakedProject) -> None:
    impact = lineage(reproduced, "--impact", "data/source/2013-03.parquet")
    stages = [stage["name"] for stage in impact["stages"]]
    assert impact["counts_as"]["path"] == "data/source"
    assert len(stages) == 16
    assert stages[:4] == ["ingest", "validate", "split", "featurize"]
    assert stages[-4:] == ["select", "evaluate", "gate", "card"]


def test_a_run_that_is_not_committed_has_no_commit_and_no_event(
    changed: BakedProject, tmp_path: Path
) -> None:
    project = changed.copy(tmp_path / changed.path.name)
    project.run("git", "reset", "--quiet", "--soft", "HEAD~1")
    assert lineage(project)["nodes"][0]["commit"] is None
    done = project.run("flight-delays", "lineage", "--openlineage", check=False)
    assert done.returncode == 2
    assert "not committed" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["v9.9.9"], "'v9.9.9' is neither a file of the pipeline nor a revision"),
        (["HEAD~2"], "there is no dvc.lock at HEAD~2"),
        (["HEAD:data/nosuch.parquet"], "data/nosuch.parquet has no lineage"),
        (["--sha256", "0" * 64], "records the sha256 000"),
        (["--sha256", "model"], "'model' is not a sha256"),
        (["--json", "--mermaid"], "ask for one of --json, --mermaid"),
        (["v1.0.0", "--sha256", "0" * 64], "leave out v1.0.0"),
        (["--impact", "data/source", "--mermaid"], "--impact has only --json"),
        (["--impact", "requirements.lock"], "requirements.lock has no lineage"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(
    changed: BakedProject, words: list[str], sentence: str
) -> None:
    done = changed.run("flight-delays", "lineage", *words, check=False)
    assert done.returncode == 2
    assert sentence in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_fresh_clone_shows_the_same_without_data(changed: BakedProject, tmp_path: Path) -> None:
    clone = changed.clone(tmp_path / changed.path.name)
    assert lineage(clone)["nodes"] == lineage(changed)["nodes"]


def test_an_edit_of_the_machinery_reaches_every_stage(changed: BakedProject) -> None:
    impact = lineage(changed, "--impact", "src/machinery/pipeline/stages/gate.py")
    assert impact["counts_as"]["path"] == "src/machinery/pipeline"
    assert {"ingest", "gate", "card"} <= {stage["name"] for stage in impact["stages"]}


def test_every_line_of_the_graph_is_a_shape_or_an_arrow_between_shapes(
    changed: BakedProject,
) -> None:
    first, *lines = changed.run("flight-delays", "lineage", "--mermaid").stdout.splitlines()
    assert first == "flowchart TD"
    shapes = {match[1] for line in lines if (match := SHAPE.match(line.strip()))}
    arrows = [ends for line in lines for ends in ARROW.findall(SHAPE.sub(r"\1", line))]
    assert all(SHAPE.match(line.strip()) or ARROW.fullmatch(line.strip()) for line in lines)
    assert {end for ends in arrows for end in ends} == shapes


def events(project: BakedProject, *words: str) -> list[dict[str, Any]]:
    output = project.run("flight-delays", "lineage", *words, "--openlineage").stdout
    return list(json.loads(output))


def read_event(event: dict[str, Any]) -> event_v2.RunEvent:
    """Build the event from OpenLineage's own classes, which refuse missing or unknown fields and
    wrong types."""
    body = dict(event)
    assert body.pop("schemaURL") == event_v2.RunEvent._get_schema()
    built_event: event_v2.RunEvent = built(event_v2.RunEvent, body)
    return built_event


def built(kind: Any, value: Any) -> Any:
    """Build a value of this type: a class of OpenLineage, a list or mapping of them, or plain."""
    inside = get_args(kind)
    if attr.has(kind):
        types = {field.alias: field.type for field in attr.fields(attr.resolve_types(kind))}
        return kind(**{name: built(types[name], item) for name, item in value.items()})
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        member = next(candidate for candidate in inside if candidate is not NoneType)
        return None if value is None else built(member, value)
    if get_origin(kind) is dict:
        facets = isinstance(inside[1], type) and issubclass(inside[1], BaseFacet)
        return {key: facet(key, v) if facets else built(inside[1], v) for key, v in value.items()}
    if get_origin(kind) is list:
        return [built(inside[0], item) for item in value]
    if issubclass(kind, Enum):
        return kind(value)
    if kind is not Any and type(value) is not kind:
        raise TypeError(f"{value!r} is not a {kind}")
    return value


def facet(key: str, document: dict[str, Any]) -> Any:
    name = document["_schemaURL"].rpartition("/")[2]
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Facet")).lower()
    kind = getattr(import_module(f"openlineage.client.generated.{module}"), name)
    assert kind._get_schema() == document["_schemaURL"]
    if KEYS[name] != key:
        raise KeyError(f"{name} belongs under {KEYS[name]}, not {key}")
    content = {key: value for key, value in document.items() if not key.startswith("_")}
    return built(kind, {**content, "producer": document["_producer"]})


def test_the_export_is_what_openlineages_own_classes_write(reproduced: BakedProject) -> None:
    exported = events(reproduced)
    assert len(exported) == 2 * 16
    for event in exported:
        assert bare(json.loads(Serde.to_json(read_event(event)))) == bare(event)


def bare(document: Any) -> Any:
    """Leave out the empty lists that the classes write for optional fields."""
    if isinstance(document, dict):
        return {key: bare(value) for key, value in document.items() if value != []}
    return [bare(item) for item in document] if isinstance(document, list) else document


def test_the_export_of_a_file_has_the_runs_that_led_to_it(changed: BakedProject) -> None:
    exported = [(e["job"]["name"], e["eventType"]) for e in events(changed, "data/train.parquet")]
    stages = ("ingest", "validate", "split")
    assert exported == [(stage, kind) for stage in stages for kind in ("START", "COMPLETE")]


def test_the_export_is_the_same_at_any_time_and_place(
    changed: BakedProject, tmp_path: Path
) -> None:
    clone = changed.clone(tmp_path / "elsewhere")
    assert events(clone) == events(changed)
    times = {event["job"]["name"]: event["eventTime"] for event in events(changed)}
    log = changed.run("git", "log", "--format=%aI", "v1.0.0", "--max-count=1").stdout.strip()
    assert times["ingest"] == log


def altered(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    run, job = event["run"], event["job"]
    yield {**event, "eventTime": "yesterday"}
    yield {**event, "eventType": "DONE"}
    yield {**event, "run": {**run, "runId": "ingest"}}
    yield {**event, "job": {"namespace": job["namespace"]}}
    yield {**event, "stage": "ingest"}
    yield {key: value for key, value in event.items() if key != "run"}
    yield {**event, "outputs": [{"name": "data/raw.parquet"}]}
    kind = {**job["facets"]["jobType"], "step": 1}
    yield {**event, "job": {**job, "facets": {"jobType": kind}}}
    yield {**event, "job": {**job, "facets": {"kind": job["facets"]["jobType"]}}}
    output = event["outputs"][0]
    counts = {**output["outputFacets"]["outputStatistics"], "size": "two megabytes"}
    yield {**event, "outputs": [{**output, "outputFacets": {"outputStatistics": counts}}]}
    yield {**event, "eventTime": 1356998400}


def test_an_altered_event_is_refused_by_openlineages_own_classes(changed: BakedProject) -> None:
    _, event, *_ = events(changed)
    for wrong in altered(event):
        with pytest.raises((TypeError, ValueError, KeyError)):
            read_event(wrong)


@pytest.mark.skipif(not SPECIFICATION, reason="OPENLINEAGE_SPEC names no folder of schemas")
def test_the_export_is_valid_by_openlineages_own_schemas(reproduced: BakedProject) -> None:
    """Validate each event and each facet with the schema that it names, under its key."""
    paths = [*Path(SPECIFICATION).glob("*.json"), *Path(SPECIFICATION, "facets").glob("*.json")]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    by_id = {contents["$id"]: contents for contents in documents}
    schemas = [(url, Resource.from_contents(contents)) for url, contents in by_id.items()]
    registry: Registry[Any] = Registry().with_resources(schemas)

    def errors(document: Any, schema: str) -> list[str]:
        validator = Draft202012Validator({"$ref": schema}, registry=registry)
        return [error.message for error in validator.iter_errors(document)]

    exported = events(reproduced)
    for event in exported:
        assert errors(event, event["schemaURL"]) == []
        for key, document in facets(event):
            url = document["_schemaURL"]
            assert errors(document, url) == []
            assert key in by_id[url.partition("#")[0]]["properties"]
    wrong = [event for event in altered(exported[1]) if errors(event, event["schemaURL"])]
    assert len(wrong) >= 3  # a schema refuses something, but takes what it does not know


def facets(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every facet in the document, with its key."""
    if isinstance(document, list):
        for item in document:
            yield from facets(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, dict) and "_schemaURL" in value:
                yield key, value
            else:
                yield from facets(value)
