"""The pipeline: nodes connected by the names of their tables, models and documents."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from . import data_processing as processing
from . import data_science as science
from . import reporting

FEATURE_SETS = ["schedule", "schedule_weather"]
CANDIDATES = [f"{features}-{model}" for model in science.MODELS for features in FEATURE_SETS]
SCORES = [f"{candidate}_scores" for candidate in CANDIDATES]
MODELS = [f"{candidate}_model" for candidate in CANDIDATES]


def register_pipelines() -> dict[str, Pipeline]:
    """The one pipeline, with a node for each candidate."""
    whole = [*_data_processing(), *map(_train, CANDIDATES), *_reporting()]
    return {"__default__": Pipeline(whole)}


def _data_processing() -> list[Node]:
    return [
        Node(processing.preprocess_flights, ["flights", "params:ingest"], "flights_table"),
        Node(processing.preprocess_weather, ["weather", "params:ingest"], "weather_table"),
        Node(
            processing.join_weather,
            ["flights_table", "weather_table", "params:ingest"],
            "joined_table",
        ),
        Node(processing.validate, "joined_table", ["valid_table", "quality"]),
        Node(processing.make_features, "valid_table", "feature_table"),
        Node(processing.split, ["feature_table", "params:split"], ["train_table", "test_table"]),
    ]


def _train(candidate: str) -> Node:
    features, model = candidate.split("-")
    work = update_wrapper(partial(science.train, features, model), science.train)
    outputs = [f"{candidate}_model", f"{candidate}_scores"]
    return Node(work, ["train_table", "params:train"], outputs, name=candidate)


def _reporting() -> list[Node]:
    pick = update_wrapper(partial(science.select, CANDIDATES), science.select)
    return [
        Node(pick, ["params:select", *SCORES, *MODELS], ["selection", "selected_model"]),
        Node(reporting.predict, ["selected_model", "test_table"], "predictions_table"),
        Node(reporting.evaluate, ["predictions_table", "params:evaluate"], "metrics"),
        Node(reporting.slices, ["predictions_table", "params:evaluate"], "slices"),
        Node(reporting.calibration, ["predictions_table", "params:evaluate"], "calibration"),
        Node(
            reporting.importance,
            ["selected_model", "test_table", "params:evaluate"],
            "importance",
        ),
        Node(reporting.gate, ["metrics", "slices", "quality", "params:gate"], "gate"),
    ]
