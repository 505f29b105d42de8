"""Compare two models that served side by side: their rows in; which of them is better, out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.comparison.comparison import Line
from machinery.pipeline.params import Report
from machinery.pipeline.statistics.intervals import Scorer

from .outcomes import EvaluatedModel

if TYPE_CHECKING:
    import pandas as pd


def compare(
    rows: "pd.DataFrame", first: "pd.Series[Any]", model: EvaluatedModel, report: Report
) -> dict[str, Any] | None:
    """Compare the two models with the most rows, newer minus older, on rows with an outcome.

    Each answered rows of its own (a canary) or the same ones (a shadow); days are left out for both
    at once, so that what makes a day hard for both cancels out. None without a second model that
    has `monitor.min_rows`. Newer is the one whose `first` row is later.
    """
    counts = rows["model_version"].value_counts()
    versions = [str(name) for name in counts.index if counts[name] >= model.monitor.min_rows][:2]
    if len(versions) < 2:
        return None
    older, newer = sorted(versions, key=lambda version: (first[version], version))
    both = rows[rows["model_version"].isin(versions)]
    old_rows, new_rows = (np.flatnonzero(both["model_version"] == v) for v in (older, newer))
    old, new = (model.scorers(both.iloc[positions]) for positions in (old_rows, new_rows))

    def difference(name: str) -> Scorer:
        return lambda w: new[name](w[:, new_rows]) - old[name](w[:, old_rows])

    names = dict.fromkeys([model.headline, model.loss])
    differences = model.intervals({name: difference(name) for name in names}, both)
    lines = [
        Line(name, _value(old[name], old_rows), _value(new[name], new_rows), interval)
        for name, interval in differences.items()
    ]
    verdict = lines[0].outcome
    if verdict in ("better", "worse") and abs(lines[0].difference.value) < report.relevant:
        verdict = "no relevant difference"
    return {
        "older": older,
        "newer": newer,
        "rows": {name: int(counts[name]) for name in (older, newer)},
        "verdict": verdict,
        "metrics": {
            line.name: {
                "older": line.champion,
                "newer": line.challenger,
                "difference": line.difference.as_dict(),
                "outcome": line.outcome,
            }
            for line in lines
        },
    }


def _value(scorer: Scorer, rows: np.ndarray) -> float:
    return float(scorer(np.ones((1, len(rows))))[0])
