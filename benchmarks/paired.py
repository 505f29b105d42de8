"""The cost of 2,000 paired bootstrap samples, as JSON.

Run by report.py in a generated project, with its Python: `compare` with all its metrics, and
scikit-learn's scorers in a loop, extrapolated from SOME samples.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn import metrics

from machinery.comparison.comparison import Scored, compare
from machinery.pipeline.model.decision import Rule
from machinery.pipeline.params import Report
from machinery.pipeline.statistics import metrics as ours
from machinery.pipeline.statistics.intervals import bootstrap, difference

SAMPLES, SOME = 2000, 5


def main() -> None:
    """Simulate rows and two models, and print the processor seconds of each method."""
    target, champion, challenger = two_models(int(sys.argv[1]))
    settings = Report(relevant=0.005, level=0.95, samples=SAMPLES, seed=1)

    def everything() -> None:
        compare("classification", target, champion, challenger, "roc_auc", settings)

    def roc_auc() -> None:
        both = (
            ours.roc_auc(target == 1, model.prediction[:, 1]) for model in (champion, challenger)
        )
        bootstrap(
            {"roc_auc": difference(*both)}, len(target), **settings.model_dump(exclude={"relevant"})
        )

    def plain() -> None:
        random = np.random.default_rng(1)
        for _ in range(SOME):
            rows = random.integers(len(target), size=len(target))
            for model in (champion, challenger):
                scores(target[rows], model.prediction[rows, 1])

    seconds = {"compare": cost(everything), "roc_auc": cost(roc_auc)}
    print(json.dumps(seconds | {"plain": cost(plain) * SAMPLES / SOME}))


def two_models(rows: int) -> tuple[np.ndarray, Scored, Scored]:
    """A target that is 1 for a quarter of the rows, and two models with correlated errors."""
    random = np.random.default_rng(1)
    target = (random.random(rows) < 0.25).astype(np.int64)
    shared = random.normal(size=rows) + target
    logits = [shared + noise * random.normal(size=rows) - 1.5 for noise in (0.5, 0.45)]
    chances = [(1 / (1 + np.exp(-logit))).astype(np.float32) for logit in logits]
    first, second = (Scored(np.column_stack([1 - p, p]), Rule(0.25, 0.8)) for p in chances)
    return target, first, second


def scores(target: np.ndarray, chance: np.ndarray) -> None:
    """The five of the seven metrics that scikit-learn has."""
    for score in (
        metrics.roc_auc_score,
        metrics.average_precision_score,
        metrics.log_loss,
        metrics.brier_score_loss,
    ):
        score(target, chance)
    metrics.balanced_accuracy_score(target, chance >= 0.25)


def cost(work: Callable[[], None]) -> float:
    """Processor seconds of the work."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
