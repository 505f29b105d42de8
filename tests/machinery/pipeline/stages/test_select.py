"""select: the simplest within one standard error of the best."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.params import Select, Threshold
from machinery.pipeline.stages import select as stage
from machinery.pipeline.stages.select import calibrate, select


def report(name: str, *scores: float | None, metric: str = "roc_auc") -> dict[str, Any]:
    folds = [{"rows": 10, metric: score} for score in scores]
    return {"candidate": name, "folds": folds, "features": {}, "bytes": 1}


@pytest.mark.parametrize(
    ("forest", "candidate", "why"),
    [
        ((0.71, 0.75), "linear", "linear is the simplest within one standard error (0.0200) of"),
        ((0.81, 0.85), "forest", "forest is the best, and no simpler one"),
    ],
)
def test_a_candidate_wins_by_more_than_a_standard_error_or_by_being_simpler(
    forest: tuple[float, float], candidate: str, why: str
) -> None:
    result = select([report("linear", 0.70, 0.74), report("forest", *forest)], "roc_auc")
    assert (result["candidate"], result["baseline"]) == (candidate, "linear")
    assert why in result["why"]


def test_of_a_loss_the_lowest_is_the_best() -> None:
    scores = {"linear": (0.60, 0.61), "forest": (0.31, 0.32), "boosting": (0.51, 0.52)}
    reports = [report(name, *folds, metric="log_loss") for name, folds in scores.items()]
    assert select(reports, "log_loss")["candidate"] == "forest"


def test_a_fold_without_the_headline_metric_is_refused() -> None:
    with pytest.raises(UserError, match="linear has a fold without roc_auc"):
        select([report("linear", 0.6, None)], "roc_auc")


def test_threshold_and_quantile_come_from_rows_not_trained_on(contract: Contract) -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.4])
    table = pd.DataFrame(
        {
            "late": [False, False, True, True],
            "probability_false": 1 - probability,
            "probability_true": probability,
        }
    )
    rule = Threshold(rule="recall", value=0.9)
    result = calibrate(table, contract, Select(headline="roc_auc", threshold=rule, coverage=0.5))
    assert result["threshold"] == pytest.approx(0.25)
    assert result["threshold_rule"] == "highest with a recall of 0.9"
    assert result["conformal_quantile"] == pytest.approx(0.6)


def test_files_of_candidates_no_longer_named_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept.onnx", "dropped.onnx", "dropped.json", ".gitignore"):
        (tmp_path / name).touch()
    monkeypatch.setattr(stage, "CANDIDATES", tmp_path)
    stage.prune(["kept"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "kept.onnx"]
