"""train: training features in; a candidate's model file, scores and held-out predictions out."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
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
from machinery.pipeline.model import model_file as model
from machinery.pipeline.model.building import Candidates, build, constrain
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
    """A fitted pipeline, the scores of each fold, and the predictions for rows not trained on."""

    pipeline: Any
    scores: list[dict[str, float]]
    out_of_fold: "pd.DataFrame"


def train(
    table: "pd.DataFrame",
    kinds: dict[str, model.Kind],
    contract: Contract,
    candidates: Candidates,
    name: str,
    by: str,
    params: Train,
    encode: Mapping[str, str] = MappingProxyType({}),
    spread: ParallelMap = local_map,
) -> Trained:
    """Fit one model on the named features, once on each fold and once on all rows.

    Fits run side by side, each on one thread of its own, so that their results are the same on any
    number of cores.
    """
    target, every, nothing = contract.encode(table[contract.target]), len(table), np.arange(0)
    try:
        parts = list(folds(table, contract, by, params))
    except ValueError as error:
        raise UserError(f"params.yaml: train.folds: {first_line(error)}") from None
    numbers = [feature for feature, kind in kinds.items() if kind == "number"]
    refuse_unusable(table[numbers], target, [learned for learned, _ in parts], contract)
    names = [*kinds, contract.target, *([contract.weight] if contract.weight else [])]
    work = Fitting(table[names], kinds, contract, candidates, name, params, dict(encode))
    fits = spread(fit, work, [(np.arange(every), nothing), *parts], threads=os.cpu_count() or 1)
    (pipeline, _), *folded = track(fits, f"train {name}", len(parts) + 1)
    held_out = [prediction for _, prediction in folded]
    scores = score([target[held] for _, held in parts], held_out, contract)
    return Trained(pipeline, scores, _out_of_fold(table, parts, held_out, contract))


class Fitting(NamedTuple):
    """What every fit of a candidate needs: features, target and weight, and how to build it."""

    table: "pd.DataFrame"
    kinds: Mapping[str, model.Kind]
    contract: Contract
    candidates: Candidates
    name: str
    params: Train
    encode: Mapping[str, str]


def fit(work: Fitting, part: Fold) -> tuple[Any, np.ndarray]:
    """The pipeline, fitted to the first rows of the part, and what it predicts of the others.

    A pipeline that has others to predict is none to keep, and may be large: None instead.
    """
    (learned, held), kinds = part, work.kinds
    dials = dict(work.params.hyperparameters[work.name])
    signs = dials.pop("monotonic_cst") if isinstance(dials.get("monotonic_cst"), dict) else {}
    pipeline = build(
        work.name,
        work.candidates,
        task=work.contract.task,
        numeric=[feature for feature, kind in kinds.items() if kind == "number"],
        categorical=[feature for feature, kind in kinds.items() if kind == "string"],
        hyperparameters=dials,
        seed=work.params.seed,
        encode=work.encode,
    )
    try:
        pipeline = _fitted(pipeline, signs, work.table.iloc[learned], [*kinds], work.contract)
    except Exception as error:  # estimators raise whatever they like
        fault = f"{work.name} does not fit ({first_line(error)})"
        where = f"its train.hyperparameters in {PARAMS}, or candidates.py"
        raise UserError(f"{fault}; change {where}") from error
    if not len(held):
        return pipeline, held
    rows = work.table[[*kinds]].iloc[held]
    return None, predict(pipeline, rows, len(work.contract.classes))


def _fitted(
    pipeline: Any, signs: dict[str, int], table: "pd.DataFrame", names: Any, contract: Contract
) -> Any:
    """The pipeline, fitted to the rows: each by its weight, within the constraints.

    Raises:
        ValueError: for an estimator that cannot weigh or constrain, and what else it raises.
    """
    from sklearn.utils.validation import has_fit_parameter

    rows, target, weights = table[names], contract.encode(table[contract.target]), {}
    if contract.weight:
        if not has_fit_parameter(pipeline[-1], "sample_weight"):
            takes = f"takes no weights, but contract.yaml names {contract.weight}"
            raise ValueError(f"{type(pipeline[-1]).__name__} {takes}")
        weights["estimator__sample_weight"] = table[contract.weight].to_numpy(np.float64)
    if signs:
        constrain(pipeline, signs, rows, target)
    return pipeline.fit(rows, target, **weights)


def refuse_unusable(
    rows: "pd.DataFrame", target: np.ndarray, learned: list[np.ndarray], contract: Contract
) -> None:
    """Refuse to learn from a number that a fold does not have at all, or from one class only.

    Raises:
        UserError: naming the feature or the class, and the fold.
    """
    for fold, chosen in enumerate(learned, start=1):
        where = f"in all {len(chosen)} rows that fold {fold} learns from; use fewer train.folds"
        if len(empty := rows.columns[rows.iloc[chosen].isna().all()]):
            raise UserError(f"{empty[0]} is missing {where} or take it out of train.features")
        if contract.classes and len(present := np.unique(target[chosen])) == 1:
            only = contract.class_names[present[0]]
            raise UserError(f"{contract.target} is {only} {where} or more rows")


def folds(table: "pd.DataFrame", contract: Contract, by: str, params: Train) -> Iterator[Fold]:
    """Positions to learn from and to hold out, parted the way the test table was.

    By time each fold is held out after all that it is predicted from; by group no group stands on
    both sides; else the classes are spread evenly.
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
    """Probabilities (n, classes), zero for a class that the fold did not hold; or values (n,)."""
    if not classes:
        return np.asarray(pipeline.predict(rows))
    probability = np.zeros((len(rows), classes))
    probability[:, pipeline.classes_] = pipeline.predict_proba(rows)
    return probability


def score(
    targets: list[np.ndarray], predictions: list[np.ndarray], contract: Contract
) -> list[dict[str, float]]:
    """The metrics of each fold, decided at the threshold that is best on all other folds.

    As `select` chooses it from rows that the fits have not seen; none but two classes need it.
    """
    found = []
    for fold, (target, prediction) in enumerate(zip(targets, predictions, strict=True)):
        threshold = 0.5
        if len(contract.classes) == 2:
            known, foreseen = (
                np.concatenate(each[:fold] + each[fold + 1 :]) for each in (targets, predictions)
            )
            threshold = metrics.best_threshold(known, foreseen[:, 1])
        figures = metrics.score(contract.task, target, prediction, threshold=threshold)
        found.append({"rows": len(target)} | figures)
    return found


def _out_of_fold(
    table: "pd.DataFrame", parts: list[Fold], predictions: list[np.ndarray], contract: Contract
) -> "pd.DataFrame":
    held = np.concatenate([rows for _, rows in parts])
    number = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
    columns = {contract.added("fold"): number, **contract.spread(np.concatenate(predictions))}
    rows = table[[*contract.row_columns, contract.target]].iloc[held].reset_index(drop=True)
    return rows.assign(**columns).sort_values(contract.order, ignore_index=True)


def kinds_of(names: list[str], path: Path, where: str) -> dict[str, model.Kind]:
    """Whether each named feature is a number or a string, from the feature table's own types.

    Raises:
        UserError: naming the feature that the table does not hold, or that is named twice.
    """
    from pyarrow.parquet import read_schema
    from pyarrow.types import is_float32

    if not path.exists():
        raise missing(path)
    types = {field.name: field.type for field in read_schema(path)}
    for name in names:
        if name not in types:
            raise UserError(f"{where} names {name}, which features.py does not make")
        if names.count(name) > 1:
            raise UserError(f"{where} names {name} twice")
    return {name: "number" if is_float32(types[name]) else "string" for name in names}


def read_rows(
    path: Path, columns: list[str], most: int | None, seed: int
) -> tuple["pd.DataFrame", int]:
    """The table, or `most` of its rows, drawn evenly and in their order; and how many it has.

    A row group is read at a time, so that the memory holds no more than one and the rows drawn.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        total = file.metadata.num_rows
        if most is None or total <= most:
            return read_table(path, columns), total
        drawn = np.random.default_rng(seed).choice(total, most, replace=False, shuffle=False)
        drawn.sort()
        parts, start = [], 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            within = drawn[slice(*np.searchsorted(drawn, [start, end]))] - start
            parts.append(file.read_row_group(group, columns).take(pa.array(within)))
            start = end
    return pa.concat_tables(parts).to_pandas(), total


def encodings(path: Path) -> dict[str, str]:
    """How models encode the features of the table that are no plain category."""
    from pyarrow.parquet import read_schema

    said = {field.name: (field.metadata or {}).get(b"encode") for field in read_schema(path)}
    return {name: encoding.decode() for name, encoding in said.items() if encoding}


def main(project: Project, feature_set: str, name: str) -> None:
    """Read, call, write."""
    params, contract = sections.load(Train), contracts.load()
    where = f"params.yaml: train.features.{feature_set}"
    kinds = kinds_of(params.features[feature_set], TRAIN_FEATURES, where)
    columns = [*contract.carried, *kinds]
    table, total = read_rows(TRAIN_FEATURES, columns, params.max_rows, params.seed)
    candidates, by = project.candidates().CANDIDATES, sections.load(Split).by
    encode = encodings(TRAIN_FEATURES)
    with parallel_map(project) as spread:
        trained = train(table, kinds, contract, candidates, name, by, params, encode, spread)

    path = CANDIDATES / f"{feature_set}-{name}.onnx"
    model.save(trained.pipeline, kinds, path)
    rows = parity_rows(table[list(kinds)], params.parity.rows, params.seed)
    scale = 1.0 if contract.classes else float(table[contract.target].std())
    limit, made = params.parity.limit, model.Model(path)
    parity = check_parity(trained.pipeline, made, rows, limit=limit, scale=scale)
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
