"""models: rows of two models that served side by side in; which of them is better, out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.comparison.comparison import Line
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import intervals
from machinery.pipeline.statistics.intervals import Scorer, Weights

from .outcomes import Promise

if TYPE_CHECKING:
    import pandas as pd


def compare(
    rows: "pd.DataFrame", first: "pd.Series[Any]", promise: Promise, report: Report
) -> dict[str, Any] | None:
    """The newer of the two models with most rows against the older, on rows with an outcome.

    Each answered rows of its own (a canary) or the same ones (a shadow); days are left out for both
    at once, so that what makes a day hard for both cancels out. None without a second model that
    has `monitor.min_rows`. Newer is the one whose `first` row is later.
    """
    counts = rows["model_version"].value_counts()
    common = [str(name) for name in counts.index if counts[name] >= promise.monitor.min_rows][:2]
    if len(common) < 2:
        return None
    older, newer = sorted(common, key=lambda name: (first[name], name))
    both = rows[rows["model_version"].isin(common)]
    lines = []
    bound = {
        name: _within(promise.scorers(part), np.flatnonzero(both["model_version"] == name))
        for name, part in ((each, both[both["model_version"] == each]) for each in (older, newer))
    }
    names = dict.fromkeys([promise.headline, promise.loss])
    pairs = {n: intervals.difference(bound[newer][n], bound[older][n]) for n in names}
    found = promise.measured(pairs, both)
    once = np.ones((1, len(both)))
    for name, interval in found.items():
        old, new = (float(bound[each][name](once)[0]) for each in (older, newer))
        lines.append(Line(name, old, new, interval))
    verdict = lines[0].outcome
    if verdict in ("better", "worse") and abs(lines[0].difference.value) < report.relevant:
        verdict = "no relevant difference"
    return {
        "older": older,
        "newer": newer,
        "rows": {name: int(counts[name]) for name in (older, newer)},
        "verdict": verdict,
        "metrics": {
            each.name: {
                "older": each.champion,
                "newer": each.challenger,
                "difference": each.difference.as_dict(),
                "outcome": each.outcome,
            }
            for each in lines
        },
    }


def _within(scorers: dict[str, Scorer], at: np.ndarray) -> dict[str, Scorer]:
    """Scorers of some of the rows, for the weights of all."""

    def picked(scorer: Scorer) -> Scorer:
        def score(weights: Weights) -> np.ndarray:
            return scorer(weights[:, at])

        return score

    return {name: picked(scorer) for name, scorer in scorers.items()}
