"""paired: a number of rows in; what 2,000 paired bootstrap samples of them cost, out as JSON.

Run by report.py in a generated project, with its Python: `compare` with all its metrics, and the
plain way, scikit-learn's scorers in a loop, SOME samples of it and the rest worked out.
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
    """Make rows and two models, time both, print seconds of the processor."""
    target, champion, challenger = made(int(sys.argv[1]))
    settings = Report(level=0.95, samples=SAMPLES, seed=1)

    def everything() -> None:
        compare("classification", target, champion, challenger, "roc_auc", settings)

    def roc_auc() -> None:
        both = (ours.roc_auc(target == 1, each.prediction[:, 1]) for each in (champion, challenger))
        bootstrap({"roc_auc": difference(*both)}, len(target), **settings.model_dump())

    def plain() -> None:
        random = np.random.default_rng(1)
        for _ in range(SOME):
            rows = random.integers(len(target), size=len(target))
            for model in (champion, challenger):
                scores(target[rows], model.prediction[rows, 1])

    found = {"compare": cost(everything), "roc_auc": cost(roc_auc)}
    print(json.dumps(found | {"plain": cost(plain) * SAMPLES / SOME}))


def made(rows: int) -> tuple[np.ndarray, Scored, Scored]:
    """Two models of a target that is 1 for a quarter of the rows; they err alike."""
    random = np.random.default_rng(1)
    target = (random.random(rows) < 0.25).astype(np.int64)
    shared = random.normal(size=rows) + target
    logits = [shared + noise * random.normal(size=rows) - 1.5 for noise in (0.5, 0.45)]
    chances = [(1 / (1 + np.exp(-each))).astype(np.float32) for each in logits]
    first, second = (Scored(np.column_stack([1 - p, p]), Rule(0.25, 0.8)) for p in chances)
    return target, first, second


def scores(target: np.ndarray, chance: np.ndarray) -> None:
    """Five of the seven metrics, which scikit-learn has."""
    for score in (
        metrics.roc_auc_score,
        metrics.average_precision_score,
        metrics.log_loss,
        metrics.brier_score_loss,
    ):
        score(target, chance)
    metrics.balanced_accuracy_score(target, chance >= 0.25)


def cost(work: Callable[[], None]) -> float:
    """Seconds of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
