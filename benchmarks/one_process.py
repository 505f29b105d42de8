"""Run the stages' pure functions in one process, with tables in memory, and write the results.

Run by pipeline.py in a generated project, with its Python, for comparison with `dvc repro`.
"""

from flights_kedro import nodes

from machinery.pipeline.files import read_yaml, write_json, write_table
from machinery.pipeline.params import Train, parse
from machinery.pipeline.paths import (
    DATA_QUALITY,
    GATE,
    LEAKAGE,
    METRICS,
    MODEL_INFO,
    PARAMS,
    PLOTS,
    PREDICTIONS,
    SELECTION,
    SLICES,
)


def main() -> None:
    """Run from the source files to the model card, without writing intermediate tables."""
    parameters = read_yaml(PARAMS)
    valid, _, quality = nodes.validate(nodes.ingest(parameters), parameters)
    train, test, leakage = nodes.split(valid, parameters)
    learn, score = nodes.featurize(train, test)
    trained = {
        f"{features}-{name}": nodes.train(learn, parameters, features, name)
        for name in parse(Train, parameters).models
        for features in parse(Train, parameters).feature_sets
    }
    reports = tuple(report for report, _ in trained.values())
    selection = nodes.select_stage.select(list(reports), parameters["select"]["headline"])
    held_out = trained[selection["candidate"]][1]
    info = nodes.describe(selection, reports, held_out, parameters)
    metrics, slices, plots, predictions = nodes.evaluate(score, test, info, selection, parameters)
    gate = nodes.gate(metrics, slices, selection, info, leakage, quality, parameters)
    nodes.card(parameters, test, info, selection, metrics, slices, gate, leakage, quality)

    write_table(predictions, PREDICTIONS)
    documents = {
        DATA_QUALITY: quality,
        GATE: gate,
        LEAKAGE: leakage,
        METRICS: metrics,
        MODEL_INFO: info,
        SELECTION: selection,
        SLICES: slices,
        **{PLOTS / f"{name}.json": points for name, points in plots.items()},
    }
    for path, document in documents.items():
        write_json(document, path)


if __name__ == "__main__":
    main()
