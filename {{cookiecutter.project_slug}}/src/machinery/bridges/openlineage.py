"""Export the runs that dvc.lock records as OpenLineage events.

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
FACETS = {  # the version of each schema
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
    """A stage, the commit that recorded its run, and the sha256 of requirements.lock there."""

    stage: Stage
    commit: Commit
    environment: str | None


def events(
    run: Run, graph: Graph, contract: Mapping[str, Any], project: str
) -> list[dict[str, Any]]:
    """The START and COMPLETE events that the specification requires of every run.

    Their time is the commit's, since DVC records no times, and the id depends on the content only.
    `contract` is the parsed contract.yaml.
    """
    stage, producer = run.stage, f"pkg:generic/{project}@{run.commit.sha}"

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

    id_ = uuid5(NAMESPACE_URL, json.dumps([project, *astuple(stage)], default=str))
    start = {
        "eventTime": run.commit.date,
        "producer": producer,
        "schemaURL": EVENT,
        "eventType": "START",
        "run": {"runId": str(id_), "facets": _run_facets(run, graph, producer)},
        "job": {"namespace": project, "name": stage.name, "facets": _job_facets(stage, producer)},
        "inputs": datasets(graph.inputs(stage), "input"),
    }
    outputs = datasets(stage.outs, "output")
    return [start, {**start, "eventType": "COMPLETE", "outputs": outputs}]


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
    entries = [{"key": key, "value": value, "source": "DVC"} for key, value in tags.items()]
    return {
        "executionParameters": _facet("ExecutionParametersRunFacet", producer, parameters=params),
        "tags": _facet("TagsRunFacet", producer, tags=entries),
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
    kind = end.capitalize()
    counts = {"fileCount": file.files or 1} | ({} if file.size is None else {"size": file.size})
    return _facet(f"{kind}Statistics{kind}DatasetFacet", producer, **counts)


def _facet(name: str, producer: str, **content: Any) -> dict[str, Any]:
    schema = f"{SPECIFICATION}/facets/{FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": producer, "_schemaURL": schema, **content}
