"""The pipeline: nodes connected by the names of their tables and documents."""

from functools import partial, update_wrapper

import pyarrow as pa
from kedro.pipeline import Node, Pipeline

from machinery.pipeline import params
from machinery.pipeline.params import Train

from . import nodes

REPORTS = ["model", "selection", "metrics", "slices", "gate", "leakage", "quality"]


def register_pipelines() -> dict[str, Pipeline]:
    """The one pipeline, with a node for each candidate as params.yaml lists them."""
    candidates = [
        (features, model)
        for model in params.load(Train).models
        for features in params.load(Train).feature_sets
    ]
    scores = [f"scores_{features}-{model}" for features, model in candidates]
    whole = [
        Node(ingest, "parameters", "raw_table"),
        Node(validate, ["raw_table", "parameters"], ["valid_table", "bad_table", "quality"]),
        Node(nodes.split, ["valid_table", "parameters"], ["train_table", "test_table", "leakage"]),
        Node(nodes.featurize, ["train_table", "test_table"], ["learn_table", "score_table"]),
        *(_train(features, model) for features, model in candidates),
        Node(nodes.select, ["parameters", *scores], ["model", "selection"]),
        Node(
            nodes.evaluate,
            ["score_table", "test_table", "model", "selection", "parameters"],
            ["metrics", "slices", "plots", "predictions_table"],
        ),
        Node(
            nodes.gate,
            ["metrics", "slices", "selection", "model", "leakage", "quality", "parameters"],
            "gate",
        ),
        Node(nodes.card, ["parameters", "test_table", *REPORTS], None),
    ]
    return {"__default__": Pipeline(whole)}


def ingest(parameters: nodes.Parameters) -> nodes.Table:
    """The raw table as Kedro's dataset takes it."""
    return nodes.pandas(nodes.ingest(parameters))


def validate(
    raw: nodes.Table, parameters: nodes.Parameters
) -> tuple[nodes.Table, nodes.Table, nodes.Report]:
    """The valid rows, the quarantined ones, and the report."""
    return nodes.validate(pa.Table.from_pandas(raw, preserve_index=False), parameters)


def _train(features: str, model: str) -> Node:
    name = f"{features}-{model}"
    work = partial(nodes.train, feature_set=features, name=model)
    outputs = [f"scores_{name}", f"{name}_held_out_table"]
    return Node(
        update_wrapper(work, nodes.train), ["learn_table", "parameters"], outputs, name=name
    )
