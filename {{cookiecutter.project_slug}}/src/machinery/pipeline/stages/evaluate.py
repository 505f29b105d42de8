"""Evaluate the model on the test table: metrics, slices, plots, importance and predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.compute import ParallelMap, local_map, parallel_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_json, read_table, write_json, write_table
from machinery.pipeline.markdown import first_names
from machinery.pipeline.model import evaluation, examples, scoring
from machinery.pipeline.model.answers import answer, answer_columns
from machinery.pipeline.model.decision import rule
from machinery.pipeline.model.model_file import Model
from machinery.pipeline.params import Evaluate, Select, Split
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project
from machinery.pipeline.statistics import curves, metrics
from machinery.pipeline.statistics import slices as by_value
from machinery.pipeline.statistics.intervals import Codes, Scorer, bootstrap, codes, difference

if TYPE_CHECKING:
    import pandas as pd

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """How a model is evaluated: model.json, the headline metric, and the section of params.yaml.

    Targets are class codes or values (n,), predictions probabilities (n, classes) or values (n,);
    `groups`, codes (n,), are resampled whole.
    """

    info: dict[str, Any]
    headline: str
    params: Evaluate
    spread: ParallelMap = local_map

    def metrics(
        self,
        target: np.ndarray,
        prediction: np.ndarray,
        baseline: np.ndarray,
        groups: Codes | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Every metric as value, low and high.

        `gain_over_baseline` is the improvement of the headline metric over the baseline on the same
        rows, positive if better; `prevalence` the share of the positive class of two.
        """
        bound, first = self._scorers(target, prediction), self._scorers(target, baseline)
        better, worse = bound[self.headline], first[self.headline]
        if not metrics.greater_is_better(self.headline):
            better, worse = worse, better
        bound["gain_over_baseline"] = difference(better, worse)
        if prediction.ndim == 2 and prediction.shape[1] == 2:
            bound["prevalence"] = metrics.mean(target)
        return self._intervals(bound, len(target), groups)

    def slices(
        self,
        table: "pd.DataFrame",
        target: np.ndarray,
        prediction: np.ndarray,
        groups: Codes | None = None,
    ) -> Lines:
        """The headline metric, with its interval, of each value of each slice column.

        Values with too few rows share one line per column, without a metric.
        """
        columns, least, lines = self.params.slices, self.params.slice_min_rows, []
        unknown = dict.fromkeys(("value", "low", "high"))
        for column, value, rows in by_value.slices(table, columns, least):
            scorer = self._scorers(target[rows], prediction[rows])[self.headline]
            within = None if groups is None else codes(groups[rows])
            interval = self._intervals({"headline": scorer}, len(rows), within)["headline"]
            lines.append({"column": column, "slice": value, "rows": len(rows), **interval})
        for column in columns:
            names, count = by_value.small(table, column, least)
            if names:
                text = f"{len(names)} too small: {first_names(names)}"
                line = {"column": column, "slice": text, "rows": count}
                lines.append({**line, **unknown, "small": len(names)})
        return lines

    def importance(self, model: Model, table: "pd.DataFrame", target: np.ndarray) -> Lines:
        """How much the headline metric worsens when a feature is shuffled (Breiman 2001).

        Correlated features share importance, so that none of them may show it.
        """
        random, options = np.random.default_rng(self.params.seed), self.params.importance
        rows = np.sort(random.permutation(len(table))[: options.rows])
        columns = {name: table[name].to_numpy()[rows] for name in model.features}
        sign = 1 if metrics.greater_is_better(self.headline) else -1

        def score(columns: dict[str, np.ndarray]) -> float:
            scorer = self._scorers(target[rows], model.predict(columns))[self.headline]
            return float(scorer(np.ones((1, len(rows))))[0])

        intact, lines = score(columns), []
        for name in track(columns, "importance", len(columns)):
            drops = [
                sign * (intact - score(columns | {name: random.permutation(columns[name])}))
                for _ in range(options.repeats)
            ]
            lines.append({"feature": name, "importance": float(np.mean(drops))})
        return sorted(lines, key=lambda line: (-line["importance"], line["feature"]))

    def _scorers(self, target: np.ndarray, prediction: np.ndarray) -> dict[str, Scorer]:
        task, coverage = self.info["task"], self.info["coverage"]
        bins = self.params.bins
        return evaluation.scorers(task, target, prediction, rule(self.info), coverage, bins)

    def _intervals(
        self, bound: dict[str, Scorer], rows: int, groups: Codes | None
    ) -> dict[str, dict[str, Any]]:
        options = self.params.model_dump(include={"samples", "level", "seed"})
        intervals = bootstrap(bound, rows, **options, groups=groups, spread=self.spread)
        return {name: interval.as_dict() for name, interval in intervals.items()}


def plots(
    target: np.ndarray, prediction: np.ndarray, info: dict[str, Any], params: Evaluate
) -> dict[str, Lines]:
    """The points of each plot in dvc.yaml; none where the task has no such curve."""
    if prediction.ndim == 1:
        return {
            **{name: [] for name in ("roc", "precision_recall", "calibration", "confusion")},
            "actual": curves.actual_curve(target, prediction, params.bins),
            "residuals": curves.residuals(target, prediction, 2 * params.bins),
        }
    top = metrics.top_label(target, prediction)
    predicted = metrics.decide(prediction, rule(info).threshold)

    def by_class(curve: Callable[..., Lines]) -> Lines:
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


def predictions(
    table: "pd.DataFrame", prediction: np.ndarray, info: dict[str, Any], contract: Contract
) -> "pd.DataFrame":
    """Row by row: key, target, prediction or probabilities, prediction set or interval."""
    columns = answer_columns(answer(prediction, rule(info)), contract.class_names)
    rows = table[[*contract.row_columns, contract.target]]
    return rows.assign(**{contract.added(name): values for name, values in columns.items()})


def main(project: Project) -> None:
    """Run the stage."""
    params, contract = sections.load(Evaluate), contracts.load()
    info = read_json(paths.MODEL_INFO)
    table = read_table(paths.TEST_FEATURES)
    raw = read_table(paths.TEST, dict.fromkeys([*contract.known_before(), *params.slices]))
    target = contract.encode(table[contract.target])
    simplest = paths.CANDIDATES / f"{read_json(paths.SELECTION)['baseline']}.onnx"
    model, first = Model(paths.MODEL), Model(simplest)
    prediction, baseline = (one.predict(table[list(one.features)]) for one in (model, first))
    _, groups = evaluation.units(table, contract, sections.load(Split).by)

    with parallel_map(project) as spread:
        run = Evaluation(info, sections.load(Select).headline, params, spread)
        write_json(run.metrics(target, prediction, baseline, groups), paths.METRICS)
        write_json(run.slices(raw, target, prediction, groups), paths.SLICES)
    points = plots(target, prediction, info, params)
    points["importance"] = run.importance(model, table, target)
    for name, lines in points.items():
        write_json(lines, paths.PLOTS / f"{name}.json")
    rows = predictions(table, prediction, info, contract)
    for name in params.slices:
        rows[name] = raw[name]
    write_table(rows, paths.PREDICTIONS)
    scorer = scoring.Scorer(project.features())
    write_json(examples.make(raw, prediction, scorer), paths.EXAMPLES)
