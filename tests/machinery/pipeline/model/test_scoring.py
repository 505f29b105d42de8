"""The scorer answers as the pipeline does, and refuses files that do not fit together."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machinery.pipeline.data.columns import from_python
from machinery.pipeline.data.contract import Column
from machinery.pipeline.files import UserError
from machinery.pipeline.model import examples
from machinery.pipeline.model.scoring import Scorer
from shop import features

Row = Callable[..., dict[str, Any]]


def answers(scorer: Scorer, *rows: dict[str, Any]) -> Any:
    columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
    return scorer.answers(scorer.arrays(columns))


def change(shop: Path, **values: Any) -> None:
    path = shop / "models/model.json"
    info = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in info.items() if value is not ...}))


def test_only_the_columns_behind_the_features_are_needed(shop: Path) -> None:
    assert Scorer(features, shop).columns == ["at", "town", "weight"]


def test_the_decision_is_made_at_the_threshold_and_the_set_at_the_quantile(
    shop: Path, row: Row
) -> None:
    plain = answers(Scorer(features, shop), row())
    probability = float(plain.prediction[0, 1])
    change(shop, threshold=probability + 1e-4, conformal_quantile=1.0)
    changed = answers(Scorer(features, shop), row())
    assert (plain.decision.tolist(), changed.decision.tolist()) == ([1], [0])
    assert changed.members.tolist() == [[True, True]]
    change(shop, conformal_quantile=None)  # too few rows to promise anything: infinite
    assert answers(Scorer(features, shop), row()).members.tolist() == [[True, True]]


def test_missing_and_never_seen_values_are_scored_as_in_training(shop: Path, row: Row) -> None:
    scorer = Scorer(features, shop)
    absences = {"weight": None}, {"town": "Nowhere"}, {"weight": None, "town": "Nowhere"}
    scored = answers(scorer, *(row(**absence) for absence in absences))
    assert np.isfinite(scored.prediction).all()
    arrays = scorer.features(scorer.arrays({"weight": [None], "town": ["x"], "at": ["NaT"]}))
    assert np.isnan(arrays["mass"][0])
    assert np.isnan(arrays["hour"][0])


def test_times_as_text_and_as_datetime_are_the_same(shop: Path) -> None:
    scorer = Scorer(features, shop)
    moments = [datetime(1969, 12, 31, 23, 59, 59, 5), datetime(2026, 1, 2, 3, 4, 5, 678_901)]
    (array,) = scorer.arrays({"at": moments}).values()
    (read,) = scorer.arrays({"at": [moment.isoformat() for moment in moments]}).values()
    assert array.dtype == read.dtype == np.dtype("datetime64[us]")
    assert array.tolist() == read.tolist() == moments


def test_every_time_is_exact_and_a_missing_one_is_nat(shop: Path) -> None:
    scorer, step = Scorer(features, shop), timedelta(microseconds=1)
    epoch = datetime(1970, 1, 1)
    moments = [datetime.min, datetime.min + step, epoch - step, epoch, epoch + step]
    moments += [datetime(year, 12, 31, 23, 59, 59, 999_999) for year in range(1, 10_000, 7)]
    for values in ([*moments, datetime.max], [None, *moments, None], [None], []):
        (array,) = scorer.arrays({"at": values}).values()
        assert array.dtype == np.dtype("datetime64[us]")
        assert array.tolist() == values
    mixed = [None, "2026-01-02T03:04:05", datetime.max]
    (array,) = scorer.arrays({"at": mixed}).values()
    assert array.tolist() == [None, datetime(2026, 1, 2, 3, 4, 5), datetime.max]


def test_columns_are_arrays_as_in_training(shop: Path) -> None:
    plain = {"unit": None, "allowed": None, "description": "it", "owner": "us", "known": "before"}

    def array(kind: str, nullable: bool, *values: Any) -> np.ndarray:
        column = Column.model_validate(plain | {"type": kind, "nullable": nullable})
        return from_python(values, column)

    texts = [array("string", nullable, "a", "bcd", "") for nullable in (False, True)]
    assert all(text.tolist() == ["a", "bcd", ""] and text.dtype == object for text in texts)
    assert np.isnan(array("string", True, "a", None)[1])
    numbers = array("number", True, 1, None, 2.5, 10**300)
    np.testing.assert_array_equal(numbers, [1, np.nan, 2.5, 1e300])
    assert array("integer", False, 2**63 - 1, -(2**63)).tolist() == [2**63 - 1, -(2**63)]
    assert np.isnan(array("integer", True, None))
    assert array("boolean", False, True, False).dtype == np.bool_


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sha256": "of another file"}, "is not the file that model.json describes"),
        ({"contract_version": 2}, "was trained on version 2 of the contract"),
        ({"sha256": ..., "threshold": ...}, "model.json lacks sha256, threshold; run 'dvc repro'"),
    ],
)
def test_files_of_different_versions_are_refused(
    shop: Path, values: dict[str, Any], words: str
) -> None:
    change(shop, **values)
    with pytest.raises(UserError, match=words):
        Scorer(features, shop)


def test_skew_between_the_pipeline_and_the_scorer_stops_evaluate(shop: Path) -> None:
    import pandas as pd

    stored = json.loads((shop / "models/examples.json").read_text())
    rows = stored["rows"][: stored["real"]]
    table = pd.DataFrame(rows).assign(at=lambda rows: pd.to_datetime(rows["at"]))
    prediction = np.array(stored["predictions"][: len(rows)])
    scorer = Scorer(features, shop)
    assert examples.make(table, prediction, scorer)["rows"][0] == rows[0]
    with pytest.raises(UserError, match=r"the prediction of example 3 .* do not belong"):
        prediction[3] += 1e-3
        examples.make(table, prediction, scorer)
