"""Tools for source.py: monthly files, checked columns, point-in-time joins."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.pipeline.data.source import Kind, as_of, monthly, read_columns
from machinery.pipeline.files import UserError, write_table

HOUR = timedelta(hours=1)
NOON = pd.Timestamp("2026-01-10 12:00", tz="UTC")
COLUMNS: dict[str, Kind] = {"at": "datetime with time zone", "town": "string", "weight": "number"}
PARCEL: dict[str, Any] = {"at": NOON, "town": "Ulm", "weight": 2.5, "note": "fragile"}


def moments(hours: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"moment": [NOON + hour * HOUR for hour in hours], "place": "A"})


def observed(hours: list[int], place: str = "A") -> pd.DataFrame:
    times = [NOON + hour * HOUR for hour in hours]
    return pd.DataFrame({"available": times, "place": place, "hour": map(float, hours)})


def test_as_of_takes_the_latest_observation_not_after_the_moment() -> None:
    joined = as_of(moments([0, 3]), observed([-2, 0, 1, 4]), by="place", max_age=6 * HOUR)
    assert joined["hour"].tolist() == [0, 1]


def test_as_of_keeps_the_order_and_index_of_the_rows() -> None:
    rows = moments([3, 0]).set_axis([8, 9])
    joined = as_of(rows, observed([1, 0]), by="place", max_age=6 * HOUR)
    assert joined["hour"].to_dict() == {8: 1, 9: 0}


def test_as_of_gives_null_for_another_place_an_old_observation_and_a_row_without_moment() -> None:
    rows = moments([0])
    assert as_of(rows, observed([0], place="B"), by="place", max_age=HOUR)["hour"].isna().all()
    assert as_of(rows, observed([-2]), by="place", max_age=HOUR)["hour"].isna().all()
    rows["moment"] = rows["moment"].where([False])
    assert as_of(rows, observed([0]), by="place", max_age=HOUR)["hour"].isna().all()


@settings(deadline=None)
@given(
    at=st.lists(st.integers(-50, 50), min_size=1, max_size=8),
    available=st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True),
    max_age=st.integers(0, 20),
)
def test_an_observation_from_the_future_is_never_joined(
    at: list[int], available: list[int], max_age: int
) -> None:
    joined = as_of(moments(at), observed(available), by="place", max_age=max_age * HOUR)
    for moment, latest in zip(at, joined["hour"], strict=True):
        fitting = [hour for hour in available if moment - max_age <= hour <= moment]
        assert latest == max(fitting) if fitting else pd.isna(latest)


def test_the_named_columns_are_read_and_no_others(tmp_path: Path) -> None:
    write_table(pd.DataFrame([PARCEL]), tmp_path / "a.parquet")
    assert list(read_columns(tmp_path / "a.parquet", COLUMNS)) == list(COLUMNS)


def test_a_file_without_rows_or_without_a_column_is_refused(tmp_path: Path) -> None:
    write_table(pd.DataFrame([PARCEL]).iloc[:0], tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet has no rows"):
        read_columns(tmp_path / "a.parquet", COLUMNS)
    write_table(pd.DataFrame([PARCEL]).drop(columns="town"), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet has no column town"):
        read_columns(tmp_path / "a.parquet", COLUMNS)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("weight", "ten", "number"),
        ("town", 9, "string"),
        ("at", pd.Timestamp("2026-01-01T10:00"), "datetime with time zone"),
    ],
)
def test_a_column_of_another_type_is_named(
    tmp_path: Path, column: str, value: Any, kind: str
) -> None:
    write_table(pd.DataFrame([PARCEL | {column: value}]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=f"a.parquet: column {column} is .*must be a {kind}"):
        read_columns(tmp_path / "a.parquet", COLUMNS)


def test_an_age_below_zero_is_refused() -> None:
    with pytest.raises(UserError, match="as_of has a max_age of -1 day"):
        as_of(moments([0]), observed([0]), by="place", max_age=-HOUR)


def months(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / f"{name}.parquet").touch()
    return folder


def test_months_are_those_that_begin_before_the_end_of_the_window(tmp_path: Path) -> None:
    folder = months(tmp_path, "2013-02", "2012-12", "2013-01")
    months_read = [path.stem for path in monthly(folder, datetime(2013, 2, 1))]
    assert months_read == ["2012-12", "2013-01"]
    assert len(monthly(folder, None)) == len(monthly(folder, datetime(2020, 1, 1))) == 3


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), "has no files such as 2013-01.parquet; restore it with 'dvc checkout"),
        (("2013-01", "2013-03"), "2013-02.parquet is missing between others"),
        (("2013-01", "2013-13"), "2013-13.parquet is not named as a month"),
        (("2013-01", "2013-02 (1)"), "is not named as a month"),
        (("2014-01",), "which is not after 2014-01, the first month"),
    ],
)
def test_a_month_that_is_missing_or_misnamed_is_refused(
    tmp_path: Path, names: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        monthly(months(tmp_path, *names), datetime(2013, 4, 1))
    assert sentence in str(caught.value)
