"""openlineage: the runs that dvc.lock records in, OpenLineage's two events for each out.

The format: https://openlineage.io/docs/spec/object-model, specification 2-0-2.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from machinery.pipeline.paths import RAW, TEST, TRAIN, VALID
from machinery.versions.graph import File, Graph, Stage
from machinery.versions.versions import Commit

SPECIFICATION = "https://openlineage.io/spec"
EVENT = f"{SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = {  # the version of each one's schema
    "DatasetVersionDatasetFacet": "1-0-1",
    "ExecutionParametersRunFacet": "1-0-0",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "SchemaDatasetFacet": "1-2-0",
    "SourceCodeJobFacet": "1-0-1",
    "TagsRunFacet": "1-0-0",
}
TABLES = [path.as_posix() for path in (RAW, VALID, TRAIN, TEST)]  # have the contract's columns


@dataclass(frozen=True)
class Run:
    """A stage, the commit that recorded its run, and the environment lock at that commit."""

    stage: Stage
    commit: Commit
    environment: str | None


def events(
    run: Run, graph: Graph, contract: Mapping[str, Any], project: str
) -> list[dict[str, Any]]:
    """The run's START and its COMPLETE, as the specification requires both of every run.

    Their time is the commit's and the id follows from the content: no clock, no chance. DVC records
    that a run has ended, but neither when, nor when it began.
    """
    ended = _complete(run, graph, contract, project)
    known = {name: part for name, part in ended.items() if name != "outputs"}  # when it starts
    return [known | {"eventType": "START"}, ended]


def _complete(run: Run, graph: Graph, contract: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The completed run as a document. `contract` is the parsed contract.yaml."""
    producer = f"pkg:generic/{project}@{run.commit.sha}"
    stage = run.stage

    def datasets(files: tuple[File, ...], end: str) -> list[dict[str, Any]]:
        return [
            {
                "namespace": project,
                "name": file.path,
                "facets": _dataset_facets(file, contract, producer),
                f"{end}Facets": {f"{end}Statistics": _statistics(file, end, producer)},
            }
            for file in files
        ]

    return {
        "eventTime": run.commit.date,
        "producer": producer,
        "schemaURL": EVENT,
        "eventType": "COMPLETE",
        "run": {"runId": _run_id(stage, project), "facets": _run_facets(run, graph, producer)},
        "job": {"namespace": project, "name": stage.name, "facets": _job_facets(stage, producer)},
        "inputs": datasets(graph.inputs(stage), "input"),
        "outputs": datasets(stage.outs, "output"),
    }


def _run_id(stage: Stage, project: str) -> str:
    return str(uuid5(NAMESPACE_URL, json.dumps([project, *astuple(stage)], default=str)))


def _run_facets(run: Run, graph: Graph, producer: str) -> dict[str, Any]:
    params = [
        {"key": f"{file}:{key}", "value": json.dumps(value, default=str)}
        for file, values in run.stage.params.items()
        for key, value in values.items()
    ]
    tags = {"git.commit": run.commit.sha, "git.author": run.commit.author}
    tags |= {f"md5:{file.path}": file.hash for file in graph.code(run.stage)}
    if run.environment:
        tags["sha256:requirements.lock"] = run.environment
    listed = [{"key": key, "value": value, "source": "DVC"} for key, value in tags.items()]
    return {
        "executionParameters": _facet("ExecutionParametersRunFacet", producer, parameters=params),
        "tags": _facet("TagsRunFacet", producer, tags=listed),
    }


def _job_facets(stage: Stage, producer: str) -> dict[str, Any]:
    kind = {"processingType": "BATCH", "integration": "DVC", "jobType": "STAGE"}
    command = {"language": "shell", "sourceCode": stage.command}
    return {
        "jobType": _facet("JobTypeJobFacet", producer, **kind),
        "sourceCode": _facet("SourceCodeJobFacet", producer, **command),
    }


def _dataset_facets(file: File, contract: Mapping[str, Any], producer: str) -> dict[str, Any]:
    facets = {"version": _facet("DatasetVersionDatasetFacet", producer, datasetVersion=file.hash)}
    if file.path in TABLES and "columns" in contract:
        fields = [
            {"name": name, "type": str(column["type"]), "description": str(column["description"])}
            for name, column in contract["columns"].items()
        ]
        facets["schema"] = _facet("SchemaDatasetFacet", producer, fields=fields)
    return facets


def _statistics(file: File, end: str, producer: str) -> dict[str, Any]:
    counts = {"size": file.size, "fileCount": file.files or 1}
    known = {name: count for name, count in counts.items() if count is not None}
    kind = end.capitalize()
    return _facet(f"{kind}Statistics{kind}DatasetFacet", producer, **known)


def _facet(name: str, producer: str, **content: Any) -> dict[str, Any]:
    schema = f"{SPECIFICATION}/facets/{FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": producer, "_schemaURL": schema, **content}
