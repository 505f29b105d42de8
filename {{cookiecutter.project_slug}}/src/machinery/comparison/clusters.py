"""clusters: scorers of rows, and the groups drawn whole, in; scorers of the groups out.

Where groups (or days) are drawn whole, how often each of them is drawn is all that most metrics ask
of a resample: sums over rows are sums over groups, and the pairs of rows that ROC AUC compares are
counted once for each two groups. The figures are those of metrics.py, ties included, and a resample
costs no more on a million rows than on a thousand.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.statistics.intervals import Codes, Scorer, Values, Weights
from machinery.pipeline.statistics.metrics import Bools, Floats, Sums, macro, ranked

MOST = 366  # groups, such as the days of a year: of more, their pairs cost more than the rows do


def scorers(
    target: NDArray[Any], prediction: Floats, plain: Mapping[str, Scorer], groups: Codes
) -> dict[str, Scorer]:
    """Those of the `plain` scorers that need no rows; their weights are (batch, groups).

    `target` and `prediction` are what the plain ones are bound to, `groups` a code for each row.
    """
    found: dict[str, Scorer] = {
        name: summed(each, groups) for name, each in plain.items() if isinstance(each, Sums)
    }
    if "roc_auc" in plain and _count(groups) <= MOST:
        found["roc_auc"] = macro(
            [roc_auc(target == code, prediction[:, code], groups) for code in ranked(prediction)]
        )
    return found


def summed(scorer: Sums, groups: Codes) -> Sums:
    """The scorer of each group's sums, and of its rows, which are what a group weighs."""
    columns = np.column_stack([np.ones(len(groups)), scorer.columns])
    totals = [np.bincount(groups, column) for column in columns.T]
    return Sums(np.column_stack(totals), lambda sums, _: scorer.figure(sums[1:], sums[0]))


def roc_auc(positive: Bools, score: Floats, groups: Codes) -> Scorer:
    """Area under the ROC curve, as `metrics.roc_auc`."""
    won = _won(positive, score, groups)
    hits = np.bincount(groups, positive)
    misses = np.bincount(groups, ~positive)

    def scorer(weights: Weights) -> Values:
        pairs = 2 * (weights @ hits) * (weights @ misses)
        outranked = np.vecdot(weights @ won, weights)
        return np.divide(outranked, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)

    return scorer


def _won(positive: Bools, score: Floats, groups: Codes) -> Values:
    """(groups, groups): in how many pairs a positive of one outranks a negative of the other.

    Twice that, so that ties, which count a half, are whole numbers and the sums exact.
    """
    place = np.unique(score, return_inverse=True)[1]
    hits, owners = place[positive], groups[positive]
    won = np.empty((_count(groups), _count(groups)))
    for group in range(len(won)):
        misses = np.bincount(place[~positive & (groups == group)], minlength=int(place.max()) + 1)
        outranked = 2 * misses.cumsum() - misses  # by a positive at each level of the score
        won[:, group] = np.bincount(owners, outranked[hits], len(won))
    return won


def _count(groups: Codes) -> int:
    return int(groups.max()) + 1
