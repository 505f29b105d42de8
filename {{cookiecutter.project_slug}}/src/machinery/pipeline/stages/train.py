"""Train one candidate: its model file, cross-validated scores and out-of-fold predictions."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline.compute import ParallelMap, local_map, parallel_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import (
    UserError,
    first_line,
    missing,
    read_table,
    write_json,
    write_table,
)
from machinery.pipeline.model.building import Candidates, build, constrain
from machinery.pipeline.model.model_file import Kind, Model, save
from machinery.pipeline.model.parity import check_parity, parity_rows
from machinery.pipeline.params import Split, Train
from machinery.pipeline.paths import CANDIDATES, PARAMS, TRAIN_FEATURES
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import metrics

if TYPE_CHECKING:
    import pandas as pd

Fold = tuple[np.ndarray, np.ndarray]


class Trained(NamedTuple):
    """A fitted pipeline, the scores of each fold, and the out-of-fold predictions."""

    pipeline: Any
    scores: list[dict[str, float]]
    out_of_fold: "pd.DataFrame"


class Fitting(NamedTuple):
    """What all fits of a candidate share; `kinds` names its features."""

    table: "pd.DataFrame"
    kinds: Mapping[str, Kind]
    contract: Contract
    candidates: Candidates
    name: str
    params: Train
    encode: dict[str, str]

    def features(self, kind: Kind) -> list[str]:
        """The features of this kind."""
        return [name for name in self.kinds if self.kinds[name] == kind]


def train(work: Fitting, by: str, spread: ParallelMap = local_map) -> Trained:
    """Fit a candidate once on each fold and once on all rows.

    Fits run in parallel, each on one thread, so that results do not depend on the number of cores.
    """
    table, contract = work.table, work.contract
    target = contract.encode(table[contract.target])
    try:
        parts = list(folds(table, contract, by, work.params))
    except ValueError as error:
        raise UserError(f"params.yaml: train.folds: {first_line(error)}") from None
    numbers = table[work.features("number")]
    refuse_unusable(numbers, target, [learn for learn, _ in parts], contract)
    columns = [*work.kinds, contract.target, *([contract.weight] if contract.weight else [])]
    work = work._replace(table=table[columns])
    jobs = [(np.arange(len(table)), np.arange(0)), *parts]
    fits = spread(fit, work, jobs, threads=os.cpu_count() or 1)
    (pipeline, _), *folded = track(fits, f"train {work.name}", len(jobs))
    predictions = [prediction for _, prediction in folded]
    scores = score([target[held] for _, held in parts], predictions, contract)
    return Trained(pipeline, scores, _out_of_fold(table, parts, predictions, contract))


def fit(work: Fitting, part: Fold) -> tuple[Any, np.ndarray]:
    """The pipeline fitted to the first rows of the part, and its predictions of the second.

    The pipeline of a fold is not returned (None): it is not needed, and may be large.
    """
    learn, held = part
    contract, features = work.contract, [*work.kinds]
    hyperparameters = dict(work.params.hyperparameters[work.name])
    signs = {}
    if isinstance(hyperparameters.get("monotonic_cst"), dict):
        signs = hyperparameters.pop("monotonic_cst")
    pipeline = build(
        work.name,
        work.candidates,
        task=contract.task,
        numeric=work.features("number"),
        categorical=work.features("string"),
        hyperparameters=hyperparameters,
        seed=work.params.seed,
        encode=work.encode,
    )
    table, options = work.table.iloc[learn], {}
    rows, target = table[features], contract.encode(table[contract.target])
    try:
        if signs:
            constrain(pipeline, signs, rows, target)
        if contract.weight:
            require_weights(pipeline[-1], contract.weight)
            options["estimator__sample_weight"] = table[contract.weight].to_numpy(np.float64)
        pipeline.fit(rows, target, **options)
    except Exception as error:  # estimators raise anything
        fault = f"{work.name} does not fit ({first_line(error)})"
        where = f"its train.hyperparameters in {PARAMS}, or candidates.py"
        raise UserError(f"{fault}; change {where}") from error
    if not len(held):
        return pipeline, held
    return None, predict(pipeline, work.table[features].iloc[held], len(contract.classes))


def require_weights(estimator: Any, column: str) -> None:
    """Refuse, with a ValueError, an estimator that takes no sample weights."""
    from sklearn.utils.validation import has_fit_parameter

    if not has_fit_parameter(estimator, "sample_weight"):
        fault = f"takes no weights, but contract.yaml names {column}"
        raise ValueError(f"{type(estimator).__name__} {fault}")


def refuse_unusable(
    rows: "pd.DataFrame", target: np.ndarray, learned: list[np.ndarray], contract: Contract
) -> None:
    """Refuse folds with a feature that is missing everywhere, or with a single class.

    Raises:
        UserError: naming the feature or the class, and the fold.
    """
    for fold, positions in enumerate(learned, start=1):
        where = f"in all {len(positions)} rows that fold {fold} learns from; use fewer train.folds"
        if len(empty := rows.columns[rows.iloc[positions].isna().all()]):
            raise UserError(f"{empty[0]} is missing {where} or drop it from train.features")
        if contract.classes and len(present := np.unique(target[positions])) == 1:
            only = contract.class_names[present[0]]
            raise UserError(f"{contract.target} is {only} {where} or more rows")


def folds(table: "pd.DataFrame", contract: Contract, by: str, params: Train) -> Iterator[Fold]:
    """Row positions to learn from and to hold out, split the way the test table was.

    By time, each fold is held out after all rows that it is predicted from; by group, no group is
    on both sides; else the classes are stratified.
    """
    from sklearn import model_selection as sk

    seed, count = params.seed, params.folds
    if by == "time":
        yield from sk.TimeSeriesSplit(count).split(table)
    elif by == "group":
        yield from sk.GroupKFold(count).split(table, groups=table[contract.group])
    elif contract.task == "regression":
        yield from sk.KFold(count, shuffle=True, random_state=seed).split(table)
    else:
        stratified = sk.StratifiedKFold(count, shuffle=True, random_state=seed)
        yield from stratified.split(table, contract.encode(table[contract.target]))


def predict(pipeline: Any, rows: "pd.DataFrame", classes: int) -> np.ndarray:
    """Values (n,), or probabilities (n, classes), zero for a class that the fold did not have."""
    if not classes:
        return np.asarray(pipeline.predict(rows))
    probability = np.zeros((len(rows), classes))
    probability[:, pipeline.classes_] = pipeline.predict_proba(rows)
    return probability


def score(
    targets: list[np.ndarray], predictions: list[np.ndarray], contract: Contract
) -> list[dict[str, float]]:
    """The metrics of each fold; of two classes, at the threshold that is best on all other folds.

    `select` also chooses the threshold from rows that the fits have not seen.
    """
    scores = []
    for fold, (target, prediction) in enumerate(zip(targets, predictions, strict=True)):
        threshold = 0.5
        if len(contract.classes) == 2:
            truth = np.concatenate(targets[:fold] + targets[fold + 1 :])
            probability = np.concatenate(predictions[:fold] + predictions[fold + 1 :])[:, 1]
            threshold = metrics.best_threshold(truth, probability)
        values = metrics.score(contract.task, target, prediction, threshold=threshold)
        scores.append({"rows": len(target)} | values)
    return scores


def _out_of_fold(
    table: "pd.DataFrame", parts: list[Fold], predictions: list[np.ndarray], contract: Contract
) -> "pd.DataFrame":
    held = [rows for _, rows in parts]
    fold = np.repeat(np.arange(len(parts)), [len(rows) for rows in held])
    columns = {contract.added("fold"): fold, **contract.spread(np.concatenate(predictions))}
    rows = table[[*contract.row_columns, contract.target]].iloc[np.concatenate(held)]
    return rows.assign(**columns).sort_values(contract.order, ignore_index=True)


def kinds_of(names: list[str], path: Path, where: str) -> tuple[dict[str, Kind], dict[str, str]]:
    """The kind of each named feature in the table, and the encodings that are not the default.

    Raises:
        UserError: for a feature that the table lacks, or that is named twice.
    """
    from pyarrow.parquet import read_schema
    from pyarrow.types import is_float32

    if not path.exists():
        raise missing(path)
    schema = read_schema(path)
    for name in names:
        if name not in schema.names:
            raise UserError(f"{where} names {name}, which features.py does not make")
        if names.count(name) > 1:
            raise UserError(f"{where} names {name} twice")
    fields = {name: schema.field(name) for name in names}
    encodings = {name: (field.metadata or {}).get(b"encode") for name, field in fields.items()}
    return (
        {name: "number" if is_float32(field.type) else "string" for name, field in fields.items()},
        {name: encoding.decode() for name, encoding in encodings.items() if encoding},
    )


def read_rows(
    path: Path, columns: list[str], limit: int | None, seed: int
) -> tuple["pd.DataFrame", int]:
    """The table, or a random sample of `limit` rows in their order; and its number of rows.

    Row groups are read one by one, so that memory holds one of them and the sample.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        total = file.metadata.num_rows
        if limit is None or total <= limit:
            return read_table(path, columns), total
        sample = np.random.default_rng(seed).choice(total, limit, replace=False, shuffle=False)
        sample.sort()
        parts, start = [], 0
        for group in range(file.num_row_groups):
            part = file.read_row_group(group, columns)
            within = sample[(sample >= start) & (sample < start + len(part))] - start
            parts.append(part.take(pa.array(within)))
            start += len(part)
    return pa.concat_tables(parts).to_pandas(), total


def main(project: Project, feature_set: str, name: str) -> None:
    """Run the stage."""
    params, contract = sections.load(Train), contracts.load()
    where = f"params.yaml: train.features.{feature_set}"
    kinds, encode = kinds_of(params.features[feature_set], TRAIN_FEATURES, where)
    columns = [*contract.carried, *kinds]
    table, total = read_rows(TRAIN_FEATURES, columns, params.max_rows, params.seed)
    candidates = project.candidates().CANDIDATES
    work = Fitting(table, kinds, contract, candidates, name, params, encode)
    with parallel_map(project) as spread:
        trained = train(work, sections.load(Split).by, spread)

    path = CANDIDATES / f"{feature_set}-{name}.onnx"
    save(trained.pipeline, kinds, path)
    rows, limit = parity_rows(table[[*kinds]], params.parity.rows, params.seed), params.parity.limit
    scale = 1.0 if contract.classes else float(table[contract.target].std())
    parity = check_parity(trained.pipeline, Model(path), rows, limit=limit, scale=scale)
    write_table(trained.out_of_fold, path.with_suffix(".parquet"))
    report = {
        "candidate": path.stem,
        "feature_set": feature_set,
        "model": name,
        "features": kinds,
        "rows": len(table),
        "of": total,
        "folds": trained.scores,
        "parity": parity,
        "bytes": path.stat().st_size,
    }
    write_json(report, path.with_suffix(".json"))
