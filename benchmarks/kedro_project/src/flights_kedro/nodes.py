"""The pure functions of the generated project's stages as Kedro nodes.

Kedro calls them with the tables and documents of its catalog; benchmarks/one_process.py calls them
one after another, with everything in memory. `parameters` is the content of params.yaml.
"""

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from flight_delays import candidates, features, source

from machinery.pipeline import params
from machinery.pipeline.data import contract
from machinery.pipeline.data.catalogue import Catalogue, page
from machinery.pipeline.files import read_table, write_text
from machinery.pipeline.model import model_file as model
from machinery.pipeline.model.parity import check_parity, parity_rows
from machinery.pipeline.page import document
from machinery.pipeline.params import Card, Evaluate, Gate, Ingest, Select, Split, Train, Validate
from machinery.pipeline.paths import CANDIDATES, CATALOGUE, MODEL, MODEL_CARD, SOURCE
from machinery.pipeline.stages import card as card_stage
from machinery.pipeline.stages import evaluate as evaluate_stage
from machinery.pipeline.stages import featurize as featurize_stage
from machinery.pipeline.stages import gate as gate_stage
from machinery.pipeline.stages import ingest as ingest_stage
from machinery.pipeline.stages import select as select_stage
from machinery.pipeline.stages import split as split_stage
from machinery.pipeline.stages import train as train_stage
from machinery.pipeline.stages import validate as validate_stage

Parameters = Mapping[str, Any]
Report = dict[str, Any]
Table = pd.DataFrame


def pandas(table: pa.Table) -> Table:
    """The table as later stages read it from Parquet."""
    return table.to_pandas()


def ingest(parameters: Parameters) -> pa.Table:
    """The raw table of the data window."""
    section = params.parse(Ingest, parameters)
    table = source.read(SOURCE, until=section.until, **section.source)  # type: ignore[arg-type]
    return ingest_stage.ingest(table, section.until, contract.load())


def validate(raw: pa.Table, parameters: Parameters) -> tuple[Table, Table, Report]:
    """The valid rows, the quarantined ones, and the report."""
    until = params.parse(Ingest, parameters).until
    section = params.parse(Validate, parameters)
    done = validate_stage.validate(raw, until, contract.load(), section)
    return pandas(done.valid), pandas(done.quarantine), done.report


def split(valid: Table, parameters: Parameters) -> tuple[Table, Table, list[Report]]:
    """Training and test table, and the leakage probes."""
    section, data = params.parse(Split, parameters), contract.load()
    parts = split_stage.split(valid, params.parse(Ingest, parameters).until, data, section)
    probes = split_stage.probe(parts, Catalogue(data, features), section.leakage, section.seed)
    return *parts, [vars(probe) | {"passed": probe.passed} for probe in probes]


def featurize(train: Table, test: Table) -> tuple[Table, Table]:
    """The features of both tables; also writes the catalogue page."""
    catalogue = Catalogue(contract.load(), features)
    write_text(page(catalogue), CATALOGUE)
    parts = (pa.Table.from_pandas(part, preserve_index=False) for part in (train, test))
    learn, score = (pandas(featurize_stage.featurize(part, catalogue)) for part in parts)
    return learn, score


def train(
    table: Table, parameters: Parameters, feature_set: str, name: str
) -> tuple[Report, Table]:
    """The scores of one candidate and its held-out predictions; also writes its model file."""
    section, data = params.parse(Train, parameters), contract.load()
    chosen = table[section.features[feature_set]]
    numbers = chosen.dtypes == np.float32
    kinds: dict[str, model.Kind] = {
        feature: "number" if numbers[feature] else "string" for feature in chosen
    }
    by = params.parse(Split, parameters).by
    work = train_stage.Fitting(table, kinds, data, candidates.CANDIDATES, name, section, {})
    trained = train_stage.train(work, by)

    path = CANDIDATES / f"{feature_set}-{name}.onnx"
    model.save(trained.pipeline, kinds, path)
    rows = parity_rows(chosen, section.parity.rows, section.seed)
    parity = check_parity(trained.pipeline, model.Model(path), rows, limit=section.parity.limit)
    report = {
        "candidate": path.stem,
        "feature_set": feature_set,
        "model": name,
        "features": kinds,
        "rows": len(table),
        "of": len(table),
        "folds": trained.scores,
        "parity": parity,
        "bytes": path.stat().st_size,
    }
    return report, trained.out_of_fold


def select(parameters: Parameters, *reports: Report) -> tuple[Report, Report]:
    """The model's description and the selection; reads only one of the held-out tables."""
    headline = params.parse(Select, parameters).headline
    selection = select_stage.select(list(reports), headline)
    held_out = read_table(Path("data") / f"{selection['candidate']}_held_out.parquet")
    return describe(selection, reports, held_out, parameters), selection


def describe(
    selection: Report, reports: tuple[Report, ...], held_out: Table, parameters: Parameters
) -> Report:
    """Copy the selected model file to its place, and describe it."""
    data = contract.load()
    chosen = next(report for report in reports if report["candidate"] == selection["candidate"])
    shutil.copyfile(CANDIDATES / f"{selection['candidate']}.onnx", MODEL)
    window = {"until": str(held_out[data.time].max())}
    return (
        select_stage.describe(chosen, data, window)
        | select_stage.calibrate(held_out, data, params.parse(Select, parameters))
        | {"sha256": sha256(MODEL.read_bytes()).hexdigest()}
    )


def evaluate(
    table: Table, test: Table, info: Report, selection: Report, parameters: Parameters
) -> tuple[Report, list[Report], Report, Table]:
    """Metrics, slices, plots, and the predictions row by row."""
    section, data = params.parse(Evaluate, parameters), contract.load()
    headline = params.parse(Select, parameters).headline
    target = data.encode(table[data.target])
    models = [model.Model(path) for path in (MODEL, CANDIDATES / f"{selection['baseline']}.onnx")]
    scored, simplest = (one.predict(table[list(one.features)]) for one in models)

    run = evaluate_stage.Evaluation(info, headline, section)
    metrics = run.metrics(target, scored, simplest)
    slices = run.slices(test[section.slices], target, scored)
    plots: Report = dict(evaluate_stage.plots(target, scored, info, section))
    plots["importance"] = run.importance(models[0], table, target)
    predictions = evaluate_stage.predictions(table, scored, info, data)
    return metrics, slices, plots, predictions.assign(**test[section.slices])


def gate(
    metrics: Report,
    slices: list[Report],
    selection: Report,
    info: Report,
    leakage: list[Report],
    quality: Report,
    parameters: Parameters,
) -> Report:
    """The gate's report."""
    sliced = params.parse(Evaluate, parameters).slices
    evidence = gate_stage.Evidence(metrics, slices, sliced, selection, info, leakage, quality)
    headline = params.parse(Select, parameters).headline
    return gate_stage.gate(evidence, headline, params.parse(Gate, parameters))


def card(
    parameters: Parameters,
    test: Table,
    info: Report,
    selection: Report,
    metrics: Report,
    slices: list[Report],
    gate: Report,
    leakage: list[Report],
    quality: Report,
) -> None:
    """Write the model card."""
    data = contract.load()
    reports = {
        "model": info,
        "selection": selection,
        "metrics": metrics,
        "slices": slices,
        "gate": gate,
        "leakage": leakage,
        "quality": quality,
        "features": [vars(feature) for feature in Catalogue(data, features).features.values()],
        "tested": card_stage.span(test, data.time),
    }
    section, until = params.parse(Card, parameters), params.parse(Ingest, parameters).until
    write_text(document.card(reports, data, until, section), MODEL_CARD)
