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


def test_a_simpler_candidate_within_one_standard_error_wins() -> None:
    chosen = select([report("linear", 0.70, 0.74), report("forest", 0.71, 0.75)], "roc_auc")
    assert chosen["candidate"] == chosen["baseline"] == "linear"
    assert "simplest within one standard error" in chosen["why"]


def test_a_clearly_better_candidate_wins_though_it_is_less_simple() -> None:
    chosen = select([report("linear", 0.60, 0.61), report("forest", 0.71, 0.72)], "roc_auc")
    assert (chosen["candidate"], chosen["baseline"]) == ("forest", "linear")


def test_of_a_loss_the_lowest_is_the_best() -> None:
    reports = [
        report("linear", 0.60, 0.61, metric="log_loss"),
        report("forest", 0.31, 0.32, metric="log_loss"),
        report("boosting", 0.51, 0.52, metric="log_loss"),
    ]
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
    how = Threshold(rule="recall", value=0.9)
    found = calibrate(table, contract, Select(headline="roc_auc", threshold=how, coverage=0.5))
    assert found["threshold"] == pytest.approx(0.25)
    assert found["threshold_rule"] == "highest with a recall of 0.9"
    assert found["conformal_quantile"] == pytest.approx(0.6)


def test_files_of_candidates_no_longer_named_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept.onnx", "dropped.onnx", "dropped.json", ".gitignore"):
        (tmp_path / name).touch()
    monkeypatch.setattr(stage, "CANDIDATES", tmp_path)
    stage.prune(["kept"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "kept.onnx"]
