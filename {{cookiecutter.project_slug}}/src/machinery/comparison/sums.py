"""sums: scorers in; the same scorers out, and all sums that they need from one matrix product."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from machinery.pipeline.statistics.intervals import Scorer, Values, Weights
from machinery.pipeline.statistics.metrics import Sums


def together(bound: Sequence[Mapping[str, Scorer]]) -> list[dict[str, Scorer]]:
    """The scorers of each model, those that only sum columns fed from one table of all columns.

    Every column alone would read all weights anew, which costs more than the sums themselves.
    """
    every = [each for model in bound for each in model.values()]
    tables = [each.columns.T for each in every if isinstance(each, Sums)]
    ends = np.cumsum([len(table) for table in tables])
    table = np.concatenate(tables) if tables else np.zeros((0, 0))
    sums = once(lambda weights: table @ weights.T)
    weight = once(lambda weights: weights.sum(axis=1))
    places = iter([slice(end - len(each), end) for each, end in zip(tables, ends, strict=True)])

    def fed(scorer: Scorer) -> Scorer:
        if not isinstance(scorer, Sums):
            return scorer
        place = next(places)
        return lambda weights: scorer.figure(sums(weights)[place], weight(weights))

    return [{name: fed(each) for name, each in model.items()} for model in bound]


def once(sums: Callable[[Weights], Values]) -> Callable[[Weights], Values]:
    """The same function, which keeps its last answer: many scorers ask for that of one batch."""
    seen: list[tuple[Weights, Values]] = []

    def kept(weights: Weights) -> Values:
        if not seen or seen[0][0] is not weights:
            seen[:] = [(weights, sums(weights))]
        return seen[0][1]

    return kept
