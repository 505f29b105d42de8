"""validate: bad rows are quarantined and counted; too many, or a wrong table, stop the run."""

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from machinery.pipeline.data.checks import conform
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import CheckError
from machinery.pipeline.params import Validate, parse
from machinery.pipeline.stages.validate import validate

END = datetime(2013, 1, 11)


def params(quarantine_limit: float = 0.2) -> Validate:
    section = {"quarantine_limit": quarantine_limit, "window_days": 4, "level": 0.95}
    return parse(Validate, {"validate": section})


def table(**changes: Any) -> pd.DataFrame:
    rows = {
        "id": [f"row {number}" for number in range(10)],
        "at": pd.date_range("2013-01-01", periods=10),
        "size": [float(number) for number in range(10)],
        "colour": ["red"] * 7 + ["blue"] * 3,
        "delay": 0.0,
        "late": [False, True] * 5,
    }
    return pd.DataFrame(rows | changes)


def test_a_bad_row_goes_to_quarantine_and_is_counted(contract: Contract) -> None:
    sizes = [99.0] + [1.0] * 9
    result = validate(conform(table(size=sizes), contract), END, contract, params())
    assert result.quarantine["id"].to_pylist() == ["row 0"]
    assert len(result.valid) == 9
    assert result.report["quarantined"]["value"] == 0.1
    assert result.report["violations"][0]["column"] == "size"
    assert result.report["known_after"] == ["delay"]  # and the target counts as known


def test_a_row_without_a_target_goes_to_quarantine_and_the_others_keep_their_type(
    contract: Contract,
) -> None:
    rows = conform(table(late=[None] + [True] * 9), contract)
    result = validate(rows, END, contract, params())
    assert result.quarantine["id"].to_pylist() == ["row 0"]
    assert result.valid.to_pandas()["late"].dtype == "bool"


def test_too_many_bad_rows_stop_the_run_with_the_column_named(contract: Contract) -> None:
    with pytest.raises(CheckError) as caught:
        validate(conform(table(size=99.0), contract), END, contract, params())
    assert "10 of 10 rows break the contract" in str(caught.value)
    assert "size is outside 0 to 10" in str(caught.value)


def test_a_missing_and_an_extra_column_stop_the_run_together(contract: Contract) -> None:
    wrong = table(surprise=1).drop(columns="delay")
    with pytest.raises(CheckError, match=r"delay is missing.*surprise is not in the contract"):
        validate(conform(wrong, contract), END, contract, params(quarantine_limit=0.9))


def test_statistics_are_reported_for_both_windows(contract: Contract) -> None:
    sizes = [1.0] * 6 + [None, None, 1.0, 1.0]
    report = validate(conform(table(size=sizes), contract), END, contract, params()).report
    missing = report["columns"]["size"]["missing"]
    assert (missing["reference"]["value"], missing["newest"]["value"]) == (0.0, 0.5)
    assert missing["newest"]["low"] < 0.5 < missing["newest"]["high"]
    assert report["columns"]["colour"]["share of blue"]["newest"]["value"] == 0.75
    assert report["columns"]["late"]["mean"]["reference"]["value"] == 0.5


@pytest.mark.parametrize(("until", "age"), [(datetime(2013, 1, 13), 3.0), (None, None)])
def test_freshness_is_relative_to_the_end_of_the_window_not_to_today(
    until: datetime | None, age: float | None, contract: Contract
) -> None:
    report = validate(conform(table(), contract), until, contract, params()).report
    assert report["freshness"]["newest_row"] == "2013-01-10 00:00:00"
    assert report["freshness"]["age_days"] == age
