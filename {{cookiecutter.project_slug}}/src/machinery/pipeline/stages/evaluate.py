"""evaluate: model and test rows in; metrics with intervals, slices, plots, predictions out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.compute import ParallelMap, local_map, parallel_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_json, read_table, write_json, write_table
from machinery.pipeline.markdown import first_names
from machinery.pipeline.model import evaluation, examples
from machinery.pipeline.model.answers import answer, answer_columns
from machinery.pipeline.model.decision import rule
from machinery.pipeline.model.model_file import Model
from machinery.pipeline.model.scoring import Scorer as Service
from machinery.pipeline.params import Evaluate, Select, Split
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import curves, metrics
from machinery.pipeline.statistics.intervals import Scorer, bootstrap, codes, difference
from machinery.pipeline.statistics.slices import slices as by_value
from machinery.pipeline.statistics.slices import small

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[str, dict[str, Any]]


def evaluate(
    target: np.ndarray,
    prediction: np.ndarray,
    baseline: np.ndarray,
    info: dict[str, Any],
    headline: str,
    params: Evaluate,
    groups: np.ndarray | None = None,
    spread: ParallelMap = local_map,
) -> Figures:
    """Every metric of the test rows as value, low and high.

    `gain_over_baseline` is by how much the headline metric is better than the baseline's on the
    very same rows (more is better, whatever the metric), `prevalence` the share of the positive
    class of two.
    """
    bound, first = (_scorers(target, each, info, params) for each in (prediction, baseline))
    better, worse = bound[headline], first[headline]
    if not metrics.greater_is_better(headline):
        better, worse = worse, better
    bound["gain_over_baseline"] = difference(better, worse)
    if prediction.ndim == 2 and prediction.shape[1] == 2:
        bound["prevalence"] = metrics.mean(target)
    return _intervals(bound, len(target), params, groups, spread)


def slices(
    table: "pd.DataFrame",
    target: np.ndarray,
    prediction: np.ndarray,
    info: dict[str, Any],
    headline: str,
    params: Evaluate,
    groups: np.ndarray | None = None,
    spread: ParallelMap = local_map,
) -> list[dict[str, Any]]:
    """The headline metric of each value of each slice column, with its interval if it has one.

    Values with too few rows are one line for each column, without a figure.
    """
    found = []
    for column, value, rows in by_value(table, params.slices, params.slice_min_rows):
        scorer = _scorers(target[rows], prediction[rows], info, params)[headline]
        within = None if groups is None else codes(groups[rows])
        figures = _intervals({headline: scorer}, len(rows), params, within, spread)[headline]
        found.append({"column": column, "slice": value, "rows": len(rows), **figures})
    for column in params.slices:
        names, count = small(table, column, params.slice_min_rows)
        if names:
            what = {"column": column, "slice": f"{len(names)} too small: {first_names(names)}"}
            found.append({**what, "rows": count, "value": None, "low": None, "high": None})
            found[-1]["small"] = len(names)
    return found


def plots(
    target: np.ndarray, prediction: np.ndarray, info: dict[str, Any], params: Evaluate
) -> dict[str, list[dict[str, Any]]]:
    """The points of each plot in dvc.yaml; none where the task has no such curve."""
    if prediction.ndim == 1:
        return {
            **{name: [] for name in ("roc", "precision_recall", "calibration", "confusion")},
            "actual": curves.actual_curve(target, prediction, params.bins),
            "residuals": curves.residuals(target, prediction, 2 * params.bins),
        }
    top = metrics.top_label(target, prediction)
    predicted = metrics.decide(prediction, rule(info).threshold)

    def by_class(curve: Callable[..., list[dict[str, float]]]) -> list[dict[str, Any]]:
        return [
            {"class": info["classes"][code], **point}
            for code in metrics.ranked(prediction)
            for point in curve(target == code, prediction[:, code])
        ]

    return {
        "roc": by_class(curves.roc_curve),
        "precision_recall": by_class(curves.precision_recall_curve),
        "calibration": curves.calibration_curve(*top, params.bins, params.level),
        "confusion": [
            {**cell, "outcome": f"{cell['actual']} predicted as {cell['predicted']}"}
            for cell in curves.confusion(target, predicted, info["classes"])
        ],
    }


def importance(
    model: Model,
    table: "pd.DataFrame",
    target: np.ndarray,
    info: dict[str, Any],
    headline: str,
    params: Evaluate,
) -> list[dict[str, Any]]:
    """By how much the headline metric worsens when one feature is shuffled (Breiman 2001).

    Correlated features share importance, so that none of them may show it.
    """
    random = np.random.default_rng(params.seed)
    rows = np.sort(random.permutation(len(table))[: params.importance.rows])
    once = np.ones((1, len(rows)))
    columns = {name: table[name].to_numpy()[rows] for name in model.features}
    sign = 1 if metrics.greater_is_better(headline) else -1

    def score(columns: dict[str, np.ndarray]) -> float:
        bound = _scorers(target[rows], model.predict(columns), info, params)
        return float(bound[headline](once)[0])

    intact = score(columns)
    found = []
    for name in track(columns, "importance", len(columns)):
        drops = [
            sign * (intact - score(columns | {name: random.permutation(columns[name])}))
            for _ in range(params.importance.repeats)
        ]
        found.append({"feature": name, "importance": float(np.mean(drops))})
    return sorted(found, key=lambda line: (-line["importance"], line["feature"]))


def predictions(
    table: "pd.DataFrame", prediction: np.ndarray, info: dict[str, Any], contract: Contract
) -> "pd.DataFrame":
    """Row by row: key, target, prediction or probabilities, prediction set or interval."""
    found = table[[*contract.row_columns, contract.target]]
    columns = answer_columns(answer(prediction, rule(info)), contract.class_names)
    return found.assign(**{contract.added(name): each for name, each in columns.items()})


def _scorers(
    target: np.ndarray, prediction: np.ndarray, info: dict[str, Any], params: Evaluate
) -> dict[str, Scorer]:
    promised = info["coverage"], params.bins
    return evaluation.scorers(info["task"], target, prediction, rule(info), *promised)


def _intervals(
    bound: dict[str, Scorer],
    rows: int,
    params: Evaluate,
    groups: np.ndarray | None,
    spread: ParallelMap,
) -> Figures:
    intervals = bootstrap(
        bound,
        rows,
        samples=params.samples,
        level=params.level,
        seed=params.seed,
        groups=groups,
        watch=lambda scored, total: track(scored, f"bootstrap of {rows} rows", total),
        spread=spread,
    )
    return {name: interval.as_dict() for name, interval in intervals.items()}


def main(project: Project) -> None:
    """Read, call, write."""
    params, contract = sections.load(Evaluate), contracts.load()
    headline, info = sections.load(Select).headline, read_json(paths.MODEL_INFO)
    table = read_table(paths.TEST_FEATURES)
    raw = read_table(paths.TEST, dict.fromkeys([*contract.known_before(), *params.slices]))
    target = contract.encode(table[contract.target])
    simplest = paths.CANDIDATES / f"{read_json(paths.SELECTION)['baseline']}.onnx"
    model, first = Model(paths.MODEL), Model(simplest)
    prediction, baseline = (each.predict(table[list(each.features)]) for each in (model, first))
    _, groups = evaluation.units(table, contract, sections.load(Split).by)

    with parallel_map(project) as spread:
        figures = evaluate(target, prediction, baseline, info, headline, params, groups, spread)
        parts = slices(raw, target, prediction, info, headline, params, groups, spread)
    write_json(figures, paths.METRICS)
    write_json(parts, paths.SLICES)
    for name, points in plots(target, prediction, info, params).items():
        write_json(points, paths.PLOTS / f"{name}.json")
    ranking = importance(model, table, target, info, headline, params)
    write_json(ranking, paths.PLOTS / "importance.json")
    rows = predictions(table, prediction, info, contract)
    for name in params.slices:
        rows[name] = raw[name]
    write_table(rows, paths.PREDICTIONS)
    write_json(examples.make(raw, prediction, Service(project.features())), paths.EXAMPLES)
