"""Report from a prediction log how the model does in production, window by window."""

from datetime import datetime
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.agreement import require
from machinery.pipeline.files import UserError, read_json, read_table, read_yaml
from machinery.pipeline.params import Evaluate, Monitor, Report, Select

from . import drift, estimate, outcomes, quality, rule
from .outcomes import EvaluatedModel, Metrics
from .rows import CHAMPION, Reader, Window


def evaluated_model() -> EvaluatedModel:
    """The model of this checkout, as evaluate measured it."""
    contract = contracts.load()
    require(read_yaml(paths.PARAMS), contract)
    model = EvaluatedModel(
        contract,
        read_json(paths.MODEL_INFO),
        read_json(paths.METRICS),
        sections.load(Select),
        sections.load(Evaluate),
        sections.load(Monitor),
    )
    if missing := {model.headline, model.loss} - model.metrics.keys():
        raise UserError(f"{paths.METRICS} lacks {', '.join(sorted(missing))}; run 'dvc repro'")
    return model


def monitor(
    features: ModuleType,
    model: EvaluatedModel,
    folder: Path,
    start: datetime | None = None,
    end: datetime | None = None,
    spread: ParallelMap = local_map,
) -> dict[str, Any]:
    """The report on the log in `folder`, as reports/monitoring/monitoring.json has it.

    `start` and `end` (not included) limit the data time; `spread` reads the files of the log.

    Raises:
        UserError: when the log has no row of the span.
    """
    contract, settings = model.contract, model.monitor
    columns = [*model.evaluate.slices, *([contract.group] if contract.group else [])]
    reader = Reader(contract, settings.window, settings.sample_rows, columns)
    review = Review(features, model, reader.read(folder, start, end, spread), reader.logged)
    entries = [review.entry(index) for index in range(len(review.windows))]
    over = [entry for entry in entries if entry["over"]]
    latest = (over or entries)[-1]
    judged = rule.newest_verdict(entries) or latest
    return {
        "model_version": latest["model_version"],
        "latest": latest["name"],
        "windows": entries,
        "promised": model.metrics,
        "drift": review.drift(entries.index(latest)),
        "models": review.models(entries.index(latest)),
        "alarms": [
            {"name": name, "window": entry["name"], "sentence": sentence}
            for entry, needs_outcomes in ((judged, True), (latest, False))
            for name, sentence in entry["violations"].items()
            if (name in outcomes.NAMES) == needs_outcomes
        ],
        "retrain": rule.decide(entries, settings.retrain, review.until),
        "faults": dict(reader.faults) | review.faults,
    }


class Review:
    """Builds the report entry of each window."""

    def __init__(
        self, features: ModuleType, model: EvaluatedModel, windows: list[Window], logged: datetime
    ) -> None:
        """Read the training table, if it is here, and the values of data_quality.json.

        A window that ends after `logged`, when the newest row was answered, is not over.
        """
        self.windows, self._features, self._model = windows, features, model
        self._train = read_table(paths.TRAIN) if paths.TRAIN.is_file() else None
        self.faults = {}
        if self._train is not None and (count := quality.mismatched(self._train, model.contract)):
            self._train = None
            self.faults[f"columns {paths.TRAIN} lacks, or has as another type"] = count
        self._learned = read_json(paths.DATA_QUALITY).get("columns", {})
        columns = ["at", "target", "model_version"]
        self._rows = pd.concat([window.rows[columns] for window in windows])
        self._newest = _newest(self._rows, self._rows["at"] <= logged) or logged
        until = model.info["trained_on"].get("until")
        self.until = datetime.fromisoformat(until) if until else None

    def entry(self, index: int) -> dict[str, Any]:
        """The report entry of a window."""
        window, model = self.windows[index], self._model
        champion = window.rows[window.rows["role"] == CHAMPION]
        version = str(champion["model_version"].value_counts().idxmax())
        rows = champion[champion["model_version"] == version]
        others = window.rows.drop(rows.index)["model_version"].value_counts()
        labelled = rows[rows["target"].notna()]
        over = window.end <= self._newest + quality.DAY
        measured, estimated = self._metrics(index, rows, labelled)
        enough = over and len(labelled) >= model.monitor.min_rows
        enough = enough and isfinite(measured[model.bias].low)
        violations = outcomes.violations(measured, model) if enough else {}
        data = self._data(window)
        if over:
            previous = self.windows[index - 1] if index else None
            violations |= quality.violations(data, window, previous, model.monitor.limits)
        return {
            "name": window.name,
            "from": window.start.isoformat(),
            "to": window.end.isoformat(),
            "over": over,
            "enough": enough,
            "model_version": version,
            "rows": len(rows),
            "labelled": len(labelled),
            "others": {str(other): int(count) for other, count in others.items()},
            "figures": {name: interval.as_dict() for name, interval in measured.items()},
            "estimated": estimated,
            "slices": outcomes.slices(labelled, model) if len(labelled) else [],
            **data,
            "violations": violations,
        }

    def _metrics(
        self, index: int, rows: pd.DataFrame, labelled: pd.DataFrame
    ) -> tuple[Metrics, float | None]:
        """The metrics of rows with an outcome, and the estimated headline metric of all rows.

        For a regression the estimate is of the mean absolute error, from earlier windows.
        """
        model, contract = self._model, self._model.contract
        measured = outcomes.measure(labelled, model) if len(labelled) else {}
        if contract.classes:
            scorer = estimate.expected(contract.gather(rows), model.headline)
            return measured, float(scorer(np.ones((1, len(rows))))[0])
        samples = [window.sample for window in self.windows[: index + 1]]
        errors = estimate.of_errors(samples, model) if len(labelled) else None
        if errors is None:
            return measured, None
        estimated, measured["gap"] = errors
        return measured, estimated

    def _data(self, window: Window) -> dict[str, Any]:
        """The quality of a window's data, skew, and the ages of the model and of its outcomes."""
        contract, level = self._model.contract, self._model.monitor.level
        table = quality.raw(window.sample)
        columns, outside = quality.columns(table, self._train, self._learned, contract, level)
        labelled = self._rows["target"].notna() & (self._rows["at"] < window.end)
        ends = {"model": self.until, "data": _newest(self._rows, labelled)}
        today = min(window.end, self._newest)
        return {
            "outside": outside,
            "quality": columns,
            "skew": quality.skew(window.sample, self._features, contract),
            "freshness": {
                f"{name}_age_days": None if end is None else (today - end) / quality.DAY
                for name, end in ends.items()
            },
        }

    def drift(self, index: int) -> dict[str, Any]:
        """How far a window is from the training table, and from the window before."""
        table = quality.raw(self.windows[index].sample)
        previous = quality.raw(self.windows[index - 1].sample) if index else None
        return {
            name: drift.drift(reference, table, self._model.contract, self._model.monitor)
            for name, reference in (("training", self._train), ("window before", previous))
        }

    def models(self, index: int) -> dict[str, Any] | None:
        """The two models that answered most rows of a window, compared."""
        first = self._rows.groupby("model_version")["at"].min()
        rows = self.windows[index].rows
        labelled = rows[rows["target"].notna()]
        return outcomes.compare(labelled, first, self._model, sections.load(Report))


def _newest(rows: pd.DataFrame, chosen: "pd.Series[bool]") -> datetime | None:
    times = rows.loc[chosen, "at"]
    return None if times.empty else times.max()
