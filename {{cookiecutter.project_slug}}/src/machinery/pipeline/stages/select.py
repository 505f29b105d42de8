"""Select a candidate, choose its threshold and calibrate its prediction sets.

All of it from cross-validation, on rows that the candidate was not trained on; the test table is
never read here.
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

    `reports` has the scores of each candidate, simplest first. The result has the names of the
    candidate and of the baseline (the first one), the reason, and all means and standard errors.

    Raises:
        UserError: for a candidate with a fold in which the metric is undefined.
    """
    sign = 1 if metrics.greater_is_better(headline) else -1
    table = [_row(report, headline) for report in reports]
    best = max(table, key=lambda row: sign * row["mean"])
    bound = best["mean"] - sign * best["standard_error"]
    name = next(row["candidate"] for row in table if sign * row["mean"] >= sign * bound)
    why = f"{name} is the best, and no simpler one is within a standard error"
    if name != best["candidate"]:
        error = f"one standard error ({best['standard_error']:.4f})"
        why = f"{name} is the simplest within {error} of the best, {best['candidate']}"
    return {
        "candidate": name,
        "baseline": table[0]["candidate"],
        "headline": headline,
        "why": why,
        "candidates": table,
    }


def calibrate(out_of_fold: "pd.DataFrame", contract: Contract, params: Select) -> dict[str, Any]:
    """The decision threshold of two classes, and the conformal quantile."""
    target, prediction = contract.encode(out_of_fold[contract.target]), contract.gather(out_of_fold)
    scores, threshold, rule = conformal.nonconformity(target, prediction), None, params.threshold
    if binary := len(contract.classes) == 2:
        threshold = metrics.best_threshold(target, prediction[:, 1], rule.rule, rule.value)
    return {
        "threshold": threshold,
        "threshold_rule": str(rule) if binary else None,
        "coverage": params.coverage,
        "conformal_quantile": conformal.quantile(scores, params.coverage),
    }


def describe(report: dict[str, Any], contract: Contract, window: dict[str, Any]) -> dict[str, Any]:
    """The description of the model in model.json, before calibration."""
    names = ("candidate", "feature_set", "model", "features", "parity", "bytes")
    sampled = {"of": report["of"]} if report["of"] > report["rows"] else {}
    return {name: report[name] for name in names} | {
        "contract_version": contract.version,
        "task": contract.task,
        "target": contract.target,
        "classes": contract.class_names,
        "positive": contract.positive_name,
        "trained_on": {"rows": report["rows"], **sampled, **window},
    }


def _row(report: dict[str, Any], headline: str) -> dict[str, Any]:
    scores = [fold[headline] for fold in report["folds"]]
    if None in scores:
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
    """Remove candidates that params.yaml no longer names, since DVC hashes the whole folder."""
    for path in CANDIDATES.iterdir():
        if path.stem not in names and path.suffix in (".onnx", ".json", ".parquet"):
            path.unlink()


def main(_: Project) -> None:
    """Run the stage."""
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
