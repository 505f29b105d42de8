"""Reading the months, and joining the weather as of the moment of prediction."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.params import Ingest
from machinery.pipeline.stages import ingest

from {{cookiecutter.project_slug}} import source
from {{cookiecutter.project_slug}}.source import read

HOUR = timedelta(hours=1)
NOON = pd.Timestamp("2013-01-10 12:00", tz="UTC")
PARAMS: dict[str, Any] = {
    "until": None,
    "hours_before_departure": 2,
    "weather_delay_minutes": 60,
    "weather_max_age_hours": 6,
}


def flight(hour: str, hhmm: int | None = 1200, **changes: Any) -> dict[str, Any]:
    """A flight; `hour` is the hour of its scheduled departure in UTC, `hhmm` the local time."""
    plain = {"sched_arr_time": 1435, "carrier": "UA", "flight": 7, "tailnum": "N1", "origin": "EWR"}
    plain |= {"dest": "MIA", "distance": 1085, "dep_delay": 3, "arr_delay": 16, "air_time": 150}
    return {"time_hour": pd.Timestamp(hour, tz="UTC"), "sched_dep_time": hhmm} | plain | changes


def report(hour: str, temp: float, **changes: Any) -> dict[str, Any]:
    """A weather report; `hour` is its label in UTC."""
    plain = {"origin": "EWR", "temp": temp, "dewp": 30.0, "humid": 50.0, "wind_dir": 90}
    plain |= {"wind_speed": 5.0, "wind_gust": 9.0, "precip": 0.0, "pressure": 1010.0, "visib": 10.0}
    return {"time_hour": pd.Timestamp(hour, tz="UTC")} | plain | changes


def month(folder: Path, name: str, flights: list[Any], reports: list[Any]) -> None:
    """Write one month of flights and weather."""
    write_table(pd.DataFrame(flights), folder / f"{name}.parquet")
    write_table(pd.DataFrame(reports), folder / "weather" / f"{name}.parquet")


def january(folder: Path, flights: list[Any], reports: list[Any] | None = None) -> pd.DataFrame:
    """Write one month and `read` it."""
    month(folder, "2013-01", flights, reports or [report("2013-01-01T05:00", 20.0)])
    return read(folder, **PARAMS)


@settings(deadline=None, max_examples=50)
@given(
    labels=st.lists(st.integers(-30, 5), min_size=1, max_size=6, unique=True),
    minute=st.integers(0, 59),
    before=st.integers(0, 8),
    delay=st.integers(0, 240),
    max_age=st.integers(0, 12),
)
def test_no_parameters_join_a_report_that_was_not_available_at_prediction_time(
    labels: list[int], minute: int, before: int, delay: int, max_age: int
) -> None:
    params = PARAMS | {"hours_before_departure": before, "weather_delay_minutes": delay}
    reports = [report(str(NOON.tz_localize(None) + hour * HOUR), hour) for hour in labels]
    with TemporaryDirectory() as folder:
        month(Path(folder), "2013-01", [flight("2013-01-10T12:00", 700 + minute)], reports)
        table = read(Path(folder), **params | {"weather_max_age_hours": max_age})
    prediction = minute - before * 60  # in minutes after noon, like `available`
    available = {hour: hour * 60 + delay for hour in labels}
    usable = [hour for hour, at in available.items() if 0 <= prediction - at <= max_age * 60]
    joined = table["temperature"].item()
    assert joined == max(usable) if usable else pd.isna(joined)


def test_a_report_counts_only_once_it_is_available(tmp_path: Path) -> None:
    # Departure at 12:00 in New York is 17:00 UTC, so the prediction is at 15:00 UTC. The report
    # labelled 14:00 was taken at 14:51 and is available from 15:00; the next one is too late.
    reports = [report(f"2013-01-10T{hour}:00", hour) for hour in (13, 14, 15)]
    table = january(tmp_path, [flight("2013-01-10T17:00")], reports)
    assert table["temperature"].tolist() == [14]
    assert table["weather_observed_at"].tolist() == [pd.Timestamp("2013-01-10 09:00")]


@pytest.mark.parametrize(
    ("hour", "hhmm", "local"),
    [
        ("2013-03-10T07:00", 310, "2013-03-10 03:10"),  # 02:00 to 03:00 does not exist
        ("2013-11-03T05:00", 140, "2013-11-03 01:40"),  # 01:00 to 02:00 exists twice
        ("2013-11-03T06:00", 140, "2013-11-03 01:40"),
        ("2013-01-11T05:00", 5, "2013-01-11 00:05"),
    ],
)
def test_changing_clocks_and_midnight_do_not_move_a_flight(
    tmp_path: Path, hour: str, hhmm: int, local: str
) -> None:
    label = pd.Timestamp(hour) - 3 * HOUR
    table = january(tmp_path, [flight(hour, hhmm)], [report(str(label), 40.0)])
    assert table["scheduled_departure"].tolist() == [pd.Timestamp(local)]
    assert table["temperature"].tolist() == [40]


def test_the_flight_id_is_time_origin_carrier_and_number(tmp_path: Path) -> None:
    table = january(tmp_path, [flight("2013-01-01T10:00", 515, flight=1545)])
    assert table["flight_id"].tolist() == ["2013-01-01T05:15-EWR-UA-1545"]
    assert table["scheduled_arrival"].tolist() == [14 * 60 + 35]


def test_late_is_more_than_15_minutes(tmp_path: Path) -> None:
    flights = [flight("2013-01-01T10:00", 500 + late, arr_delay=late) for late in (15, 16)]
    assert january(tmp_path, flights)["late"].tolist() == [False, True]


def test_cancelled_and_diverted_flights_are_left_out(tmp_path: Path) -> None:
    flights = [flight("2013-01-01T10:00"), flight("2013-01-01T11:00", arr_delay=None)]
    assert len(january(tmp_path, flights)) == 1


def test_a_flight_without_a_time_is_kept_for_the_contract_to_report(tmp_path: Path) -> None:
    flights = [flight("2013-01-01T10:00"), flight("2013-01-01T11:00", None)]
    month(tmp_path, "2013-01", flights, [report("2013-01-01T05:00", 20.0)])
    table = read(tmp_path, **PARAMS | {"until": datetime(2013, 2, 1)})
    assert table["scheduled_departure"].isna().tolist() == [False, True]


def test_the_window_ends_strictly_before_until_and_later_months_are_not_opened(
    tmp_path: Path,
) -> None:
    reports = [report("2013-01-31T05:00", 20.0)]
    flights = [flight("2013-02-01T04:00", 2359), flight("2013-02-01T05:00", 0)]
    month(tmp_path, "2013-01", flights, reports)
    (tmp_path / "2013-02.parquet").write_bytes(b"")
    table = read(tmp_path, **PARAMS | {"until": datetime(2013, 2, 1)})
    assert table["scheduled_departure"].tolist() == [pd.Timestamp("2013-01-31 23:59")]
    with pytest.raises(UserError, match="2013-02.parquet"):
        read(tmp_path, **PARAMS | {"until": datetime(2013, 2, 1, 1)})


def test_a_window_without_rows_is_refused(tmp_path: Path) -> None:
    month(tmp_path, "2013-01", [flight("2013-01-09T10:00")], [report("2013-01-09T05:00", 20.0)])
    with pytest.raises(UserError, match="ingest.until in params.yaml is 2013-01-01"):
        read(tmp_path, **PARAMS | {"until": datetime(2013, 1, 1)})
    with pytest.raises(UserError, match="no completed flight before 2013-01-02 00:00"):
        read(tmp_path, **PARAMS | {"until": datetime(2013, 1, 2)})


def test_a_folder_without_flights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere has no files such as .*dvc checkout"):
        read(tmp_path / "nowhere", **PARAMS)


def test_a_month_without_weather_is_refused(tmp_path: Path) -> None:
    write_table(pd.DataFrame([flight("2013-01-01T10:00")]), tmp_path / "2013-01.parquet")
    with pytest.raises(UserError, match="weather.2013-01.parquet is missing"):
        read(tmp_path, **PARAMS)


@pytest.mark.parametrize("name", ["hours_before_departure", "weather_delay_minutes"])
@pytest.mark.parametrize("value", [-5, float("nan"), 1e300])
def test_no_parameter_can_reach_into_the_future(name: str, value: float) -> None:
    parameters = {key: PARAMS[key] for key in PARAMS if key != "until"} | {name: value}
    with pytest.raises(UserError, match=f"ingest.source does not fit `read`.*{name}"):
        ingest.read(source, Ingest(until=None, source=parameters))
