"""ingest: the data window, the contract's order and types, and the params of the source."""

from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from machinery.pipeline.data import checks
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.params import Ingest
from machinery.pipeline.stages import ingest as stage


def table() -> pd.DataFrame:
    days = pd.to_datetime(["2013-01-03", "2013-01-01", "2013-01-02"])
    return pd.DataFrame({"id": ["c", "b", "a"], "at": days, "size": [3, 1, 2]})


def test_rows_before_the_end_of_the_window_are_kept_and_sorted(contract: Contract) -> None:
    rows = stage.ingest(table(), datetime(2013, 1, 3), contract)
    assert rows["id"].to_pylist() == ["b", "a"]
    assert rows["size"].type == pa.float64()


def test_a_window_without_rows_is_refused(contract: Contract) -> None:
    with pytest.raises(UserError, match="has no row before ingest.until"):
        stage.ingest(table(), datetime(2012, 1, 1), contract)


def test_a_row_without_a_time_is_kept_for_validate_to_quarantine(contract: Contract) -> None:
    timeless = table().assign(at=pd.to_datetime([None, "2013-01-01", "2013-01-02"]))
    rows = stage.ingest(timeless, datetime(2013, 1, 2), contract)
    assert rows["id"].to_pylist() == ["b", "c"]
    checked = checks.check({"at": rows["at"].combine_chunks()}, contract)
    assert checked.bad(2).tolist() == [False, True]


def test_times_as_strings_are_converted(contract: Contract) -> None:
    rows = stage.ingest(table().assign(at=table()["at"].astype("str")), None, contract)
    assert rows["at"].type == pa.timestamp("us")


@pytest.mark.parametrize(
    "times",
    [table()["at"].dt.tz_localize("UTC"), ["soon", "later", "now"], [1, 2, 3]],
    ids=["a time zone", "no times", "numbers"],
)
def test_a_time_column_without_times_is_named(contract: Contract, times: Any) -> None:
    with pytest.raises(UserError) as caught:
        stage.ingest(table().assign(at=times), datetime(2013, 1, 3), contract)
    assert "data/source: the time column at is " in str(caught.value)
    assert "convert it in source.py" in str(caught.value)


def logged(**changes: Any) -> pa.Table:
    day = datetime(2013, 1, 2)
    rows = {"id": ["a", "z"], "at": [day] * 2, "size": [9.0, 8.0], "late": [True] * 2}
    return pa.table(rows | changes)


def test_logged_rows_are_appended_unless_the_source_has_their_key(contract: Contract) -> None:
    rows = stage.ingest(table().assign(extra=1), datetime(2013, 1, 3), contract, logged())
    assert rows["id"].to_pylist() == ["b", "a", "z"]
    assert rows["size"].to_pylist() == [1.0, 2.0, 8.0]
    assert rows["extra"].to_pylist() == [1, 1, None]
    assert "late" not in rows.column_names  # a column that source.py lacks stays a fault


def test_logged_rows_after_the_window_are_left_out(contract: Contract) -> None:
    late = logged(at=[datetime(2013, 1, 3)] * 2)
    rows = stage.ingest(table(), datetime(2013, 1, 3), contract, late)
    assert rows["id"].to_pylist() == ["b", "a"]


def test_logged_rows_do_not_hide_that_the_source_has_no_key(contract: Contract) -> None:
    rows = stage.ingest(table().drop(columns="id"), None, contract, logged())
    assert len(rows) == 3 and "id" not in rows.column_names


def test_logged_rows_of_another_key_or_type_are_refused(contract: Contract) -> None:
    with pytest.raises(UserError, match="data/source/logged has no column id, the key"):
        stage.ingest(table(), None, contract, logged().drop_columns("id"))
    with pytest.raises(UserError, match=r"source\.py gives a column another type than contract"):
        stage.ingest(table().assign(size=["much"] * 3), None, contract, logged())


def test_the_stage_reads_the_logged_rows_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stage.read_logged() is None
    write_table(logged(), Path("data/source/logged/2013-01.parquet"))
    write_table(logged(), Path("data/source/logged/2013-02.parquet"))
    assert len(stage.read_logged() or ()) == 4


def read(folder: Path, *, until: datetime | None, hours: float) -> pd.DataFrame:
    """A source that takes one parameter."""
    return table().assign(hours=hours)


ONE_PARAMETER = ModuleType("source")
ONE_PARAMETER.read = read  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"hours": "two"}, "hours: input should be a valid number"),
        ({"hours": 2, "minutes": 3}, "minutes: unexpected keyword argument"),
        ({}, "hours: missing required keyword only argument"),
    ],
)
def test_params_that_do_not_fit_the_source_are_named(source: dict[str, Any], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        stage.read(ONE_PARAMETER, Ingest(until=None, source=source))


def test_params_that_fit_reach_the_source() -> None:
    rows = stage.read(ONE_PARAMETER, Ingest(until=None, source={"hours": 2}))
    assert rows["hours"].tolist() == [2, 2, 2]
