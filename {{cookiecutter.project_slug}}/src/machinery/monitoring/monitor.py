"""monitor: the folder of a prediction log in; what it says of the model, in files, out."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline import paths
from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.agreement import require
from machinery.pipeline.files import UserError, read_json, read_table, read_yaml
from machinery.pipeline.params import Evaluate, Monitor, Report, Select

from . import drift, estimate, models, outcomes, quality, rule
from .outcomes import Figures, Promise
from .rows import Reader, Window

if TYPE_CHECKING:
    import pandas as pd

DAY = timedelta(days=1)


def promised() -> Promise:
    """What the model of this checkout promises."""
    contract = contracts.load()
    require(read_yaml(paths.PARAMS), contract)
    promise = Promise(
        contract,
        read_json(paths.MODEL_INFO),
        read_json(paths.METRICS),
        sections.load(Select),
        sections.load(Evaluate),
        sections.load(Monitor),
    )
    if lacking := {promise.headline, promise.loss} - promise.figures.keys():
        raise UserError(f"{paths.METRICS} lacks {', '.join(sorted(lacking))}; run 'dvc repro'")
    return promise


def monitor(
    features: ModuleType,
    promise: Promise,
    folder: Path,
    start: datetime | None = None,
    end: datetime | None = None,
    spread: ParallelMap = local_map,
) -> dict[str, Any]:
    """All that the log in `folder` says, as reports/monitoring/monitoring.json has it.

    Args:
        features: the module that makes the features.
        promise: of the model.
        folder: of the prediction log.
        start: of the span of data time; None for all that the log has.
        end: of the span, not included.
        spread: where the files of the log are read.

    Raises:
        UserError: when the log has no row of the span.
    """
    contract, settings = promise.contract, promise.monitor
    kept = [*promise.evaluate.slices, *([contract.group] if contract.group else [])]
    reader = Reader(contract, settings.window, settings.sample_rows, kept)
    windows = reader.read(folder, start, end, spread)
    review = Review(features, promise, windows, reader.logged or windows[-1].end)
    found = [review.of(place) for place in range(len(windows))]
    over = [each for each in found if each["over"]]
    latest = (over or found)[-1]
    verdict = rule.newest_verdict(found) or latest
    judged = [rule.judged(each) for each in over]
    return {
        "model_version": latest["model_version"],
        "latest": latest["name"],
        "windows": found,
        "promised": promise.figures,
        "drift": review.drift(found.index(latest)),
        "models": review.models(found.index(latest)),
        "alarms": [
            {"name": name, "window": window["name"], "sentence": sentence}
            for window, by_outcomes in ((verdict, True), (latest, False))
            for name, sentence in window["violations"].items()
            if (name in outcomes.NAMES) == by_outcomes
        ],
        "retrain": rule.decide(judged, settings.retrain, review.until),
        "faults": dict(reader.faults) | review.faults,
    }


class Review:
    """What there is to say of each window, beside the training table where that is here."""

    def __init__(
        self, features: ModuleType, promise: Promise, windows: Sequence[Window], logged: datetime
    ) -> None:
        """Read what training left: the table, and the figures of data_quality.json.

        What lies ahead of `logged`, when the newest row was answered, is not over.
        """
        self.windows, self._features, self._promise = windows, features, promise
        self._train = read_table(paths.TRAIN) if paths.TRAIN.is_file() else None
        self.faults = {}
        if self._train is not None and (other := quality.other(self._train, promise.contract)):
            self._train = None
            self.faults[f"columns {paths.TRAIN} lacks, or has as another type"] = other
        self._learned = read_json(paths.DATA_QUALITY).get("columns", {})
        times = (each.rows["at"][each.rows["at"] <= logged].max() for each in windows)
        self._newest: datetime = max((each for each in times if each == each), default=logged)
        until = promise.info["trained_on"].get("until")
        self.until = datetime.fromisoformat(until) if until else None

    def of(self, place: int) -> dict[str, Any]:
        """The document of one window."""
        window, promise = self.windows[place], self._promise
        rows = window.of(window.version)
        labelled = rows[rows["target"].notna()]
        over = window.end <= self._newest + DAY
        figures, estimated = self._figures(place, rows, labelled)
        known = bool(figures) and isfinite(figures[promise.bias].low)
        enough = over and known and len(labelled) >= promise.monitor.min_rows
        others = window.rows["model_version"][~window.rows.index.isin(rows.index)].value_counts()
        violations = outcomes.violations(figures, promise) if enough else {}
        data, faults = self._data(place)
        return {
            "name": window.name,
            "from": window.start.isoformat(),
            "to": window.end.isoformat(),
            "over": over,
            "enough": enough,
            "model_version": window.version,
            "rows": len(rows),
            "labelled": len(labelled),
            "others": {str(version): int(count) for version, count in others.items()},
            "figures": {name: each.as_dict() for name, each in figures.items()},
            "estimated": estimated,
            "slices": outcomes.slices(labelled, promise) if len(labelled) else [],
            **data,
            "violations": violations | (faults if over else {}),
        }

    def _figures(
        self, place: int, rows: "pd.DataFrame", labelled: "pd.DataFrame"
    ) -> tuple[Figures, float | None]:
        """The figures of rows with an outcome, and the estimated headline of all rows.

        Of a regression the estimate is of the mean absolute error, by earlier windows.
        """
        promise, contract = self._promise, self._promise.contract
        figures = outcomes.figures(labelled, promise) if len(labelled) else {}
        if contract.classes:
            score = estimate.expected(contract.gather(rows), promise.headline)
            return figures, float(score(np.ones((1, len(rows))))[0])
        samples = [each.sample for each in self.windows[: place + 1]]
        found = estimate.of_errors(samples, promise) if len(labelled) else None
        if found is None:
            return figures, None
        expected, figures["gap"] = found
        return figures, expected

    def _data(self, place: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Outside, quality, skew and freshness of a window, and a sentence for each violation."""
        promise, window = self._promise, self.windows[place]
        contract, limits = promise.contract, promise.monitor.limits
        raw = quality.raw(window.sample)
        columns = quality.columns(raw, self._train, self._learned, contract, promise.monitor.level)
        before = self.windows[place - 1] if place else None
        skew = quality.skew(window.sample, self._features, contract)
        rows = [each.rows[each.rows["target"].notna()] for each in self.windows[: place + 1]]
        known = max((each["at"].max() for each in rows if len(each)), default=None)
        ages, stale = quality.freshness(min(window.end, self._newest), self.until, known, limits)
        clauses = {
            "quality": quality.faults(columns, limits.quality)
            + quality.volume(window, before, limits.volume),
            "skew": quality.differences(skew, limits.skew),
            "freshness": stale,
        }
        outside = None if self._train is None else quality.outside(raw, self._train, contract)
        data = {"outside": outside, "quality": columns, "skew": skew, "freshness": ages}
        return data, {name: "; ".join(each) for name, each in clauses.items() if each}

    def drift(self, place: int) -> dict[str, Any]:
        """How far a window is from the training table, and from the window before."""
        settings, contract = self._promise.monitor, self._promise.contract
        now = quality.raw(self.windows[place].sample)
        before = quality.raw(self.windows[place - 1].sample) if place else None
        return {
            name: table
            if table is None
            else drift.drift(table, now, contract, settings.level, settings.seed)
            for name, table in (("training", self._train), ("window before", before))
        }

    def models(self, place: int) -> dict[str, Any] | None:
        """The two models that answered most rows of a window, side by side."""
        import pandas as pd

        every = pd.concat([each.rows[["model_version", "at"]] for each in self.windows])
        rows = self.windows[place].rows
        labelled, first = rows[rows["target"].notna()], every.groupby("model_version")["at"].min()
        return models.compare(labelled, first, self._promise, sections.load(Report))
