"""select: the candidates in; the model file, what its use needs, and why this one, out.

The test table is never seen here: the choice, the threshold and the calibration of the prediction
sets all come from rows that the candidate was not trained on (cross-validation).
"""

import shutil
from hashlib import sha256
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, read_json, read_table, replace, write_json
from machinery.pipeline.model import conformal
from machinery.pipeline.params import Select, Train
from machinery.pipeline.paths import CANDIDATES, MODEL, MODEL_INFO, SELECTION
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import metrics

if TYPE_CHECKING:
    import pandas as pd


def select(reports: list[dict[str, Any]], headline: str) -> dict[str, Any]:
    """The simplest candidate within one standard error of the best (Breiman et al. 1984, §3.4.3).

    Args:
        reports: one a candidate, simplest first, with the scores of each fold.
        headline: the metric that decides, in scikit-learn's name.

    Returns:
        The name of the candidate, that of the baseline (the first of all), why it was chosen, and
        all candidates with mean and error.
    """
    sign = 1 if metrics.greater_is_better(headline) else -1
    table = [_row(report, headline) for report in reports]
    best = max(table, key=lambda row: sign * row["mean"])
    bound = best["mean"] - sign * best["standard_error"]
    chosen = next(row for row in table if sign * row["mean"] >= sign * bound)
    if chosen is best:
        why = f"{chosen['candidate']} is the best, and no simpler one is within a standard error"
    else:
        why = (
            f"{chosen['candidate']} is the simplest within one standard error "
            f"({best['standard_error']:.4f}) of the best, {best['candidate']}"
        )
    return {
        "candidate": chosen["candidate"],
        "baseline": table[0]["candidate"],
        "headline": headline,
        "why": why,
        "candidates": table,
    }


def calibrate(out_of_fold: "pd.DataFrame", contract: Contract, params: Select) -> dict[str, Any]:
    """The decision threshold (of two classes) and the conformal quantile."""
    target, prediction = contract.encode(out_of_fold[contract.target]), contract.gather(out_of_fold)
    two = len(contract.classes) == 2
    scores, rule = conformal.nonconformity(target, prediction), params.threshold
    best = metrics.best_threshold(target, prediction[:, 1], rule.rule, rule.value) if two else None
    return {
        "threshold": best,
        "threshold_rule": str(rule) if two else None,
        "coverage": params.coverage,
        "conformal_quantile": conformal.quantile(scores, params.coverage),
    }


def describe(report: dict[str, Any], contract: Contract, window: dict[str, Any]) -> dict[str, Any]:
    """What a reader of the model file needs to know of it."""
    names = ("candidate", "feature_set", "model", "features", "parity", "bytes")
    drawn = {"of": report["of"]} if report["of"] > report["rows"] else {}
    return {name: report[name] for name in names} | {
        "contract_version": contract.version,
        "task": contract.task,
        "target": contract.target,
        "classes": contract.class_names,
        "positive": contract.positive_name,
        "trained_on": {"rows": report["rows"], **drawn, **window},
    }


def _row(report: dict[str, Any], headline: str) -> dict[str, Any]:
    scores = [fold[headline] for fold in report["folds"]]
    if any(score is None for score in scores):
        fault = f"{report['candidate']} has a fold without {headline}"
        raise UserError(f"{fault}; use fewer train.folds, or another select.headline")
    return {
        "candidate": report["candidate"],
        "mean": fmean(scores),
        "standard_error": stdev(scores) / len(scores) ** 0.5,
        "features": len(report["features"]),
        "bytes": report["bytes"],
    }


def prune(names: list[str]) -> None:
    """Remove files of candidates that params.yaml no longer names: DVC hashes the whole folder."""
    for path in CANDIDATES.iterdir():
        if path.stem not in names and path.suffix in (".onnx", ".json", ".parquet"):
            path.unlink()


def main(_: Project) -> None:
    """Read, call, write."""
    params, contract = sections.load(Select), contracts.load()
    names = sections.load(Train).candidates()
    prune(names)
    reports = {name: read_json(CANDIDATES / f"{name}.json") for name in names}
    selection = select(list(reports.values()), params.headline)
    path = CANDIDATES / f"{selection['candidate']}.onnx"
    out_of_fold = read_table(path.with_suffix(".parquet"))
    window = {} if contract.time is None else {"until": str(out_of_fold[contract.time].max())}
    replace(MODEL, lambda part: shutil.copyfile(path, part))
    info = describe(reports[selection["candidate"]], contract, window)
    info |= calibrate(out_of_fold, contract, params)
    info |= {"sha256": sha256(MODEL.read_bytes()).hexdigest()}
    write_json(info, MODEL_INFO)
    write_json(selection, SELECTION)
