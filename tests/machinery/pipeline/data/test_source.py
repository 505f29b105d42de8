"""What a project reads its source with: columns checked, joins as of a moment."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.pipeline.data.source import Kind, as_of, read_columns
from machinery.pipeline.files import UserError, write_table

HOUR = timedelta(hours=1)
NOON = pd.Timestamp("2026-01-10 12:00", tz="UTC")
COLUMNS: dict[str, Kind] = {"at": "datetime with time zone", "town": "string", "weight": "number"}
PARCEL: dict[str, Any] = {"at": NOON, "town": "Ulm", "weight": 2.5, "note": "fragile"}


def moments(hours: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"moment": [NOON + each * HOUR for each in hours], "place": "A"})


def seen(hours: list[int], place: str = "A") -> pd.DataFrame:
    times = [NOON + each * HOUR for each in hours]
    return pd.DataFrame({"available": times, "place": place, "hour": [float(h) for h in hours]})


def test_as_of_takes_the_latest_observation_not_after_the_moment() -> None:
    joined = as_of(moments([0, 3]), seen([-2, 0, 1, 4]), by="place", max_age=6 * HOUR)
    assert joined["hour"].tolist() == [0, 1]


def test_as_of_keeps_the_order_and_index_of_the_rows() -> None:
    rows = moments([3, 0]).set_axis([8, 9])
    joined = as_of(rows, seen([1, 0]), by="place", max_age=6 * HOUR)
    assert joined["hour"].to_dict() == {8: 1, 9: 0}


def test_as_of_gives_null_for_another_place_an_old_observation_and_a_row_without_moment() -> None:
    rows = moments([0])
    assert as_of(rows, seen([0], place="B"), by="place", max_age=HOUR)["hour"].isna().all()
    assert as_of(rows, seen([-2]), by="place", max_age=HOUR)["hour"].isna().all()
    rows["moment"] = rows["moment"].where([False])
    assert as_of(rows, seen([0]), by="place", max_age=HOUR)["hour"].isna().all()


@settings(deadline=None)  # a slow machine is no fault
@given(
    at=st.lists(st.integers(-50, 50), min_size=1, max_size=8),
    available=st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True),
    max_age=st.integers(0, 20),
)
def test_an_observation_from_the_future_is_never_joined(
    at: list[int], available: list[int], max_age: int
) -> None:
    joined = as_of(moments(at), seen(available), by="place", max_age=max_age * HOUR)
    for moment, hour in zip(at, joined["hour"], strict=True):
        fitting = [each for each in available if moment - max_age <= each <= moment]
        assert hour == max(fitting) if fitting else pd.isna(hour)


def test_the_named_columns_are_read_and_no_others(tmp_path: Path) -> None:
    write_table(pd.DataFrame([PARCEL]), tmp_path / "a.parquet")
    assert list(read_columns(tmp_path / "a.parquet", COLUMNS)) == list(COLUMNS)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    write_table(pd.DataFrame([PARCEL]).iloc[:0], tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet holds no rows"):
        read_columns(tmp_path / "a.parquet", COLUMNS)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
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
