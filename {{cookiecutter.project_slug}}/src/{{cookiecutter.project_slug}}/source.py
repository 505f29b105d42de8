"""Make the raw table from the flights and hourly weather in data/source, one file per month.

data/README.md describes the files.

A prediction is made some hours before the scheduled departure, and each flight gets the latest
weather report that was available at that time. A report is labelled with the hour in which it was
taken, mostly at minute 51, so it counts as available only `weather_delay_minutes` after its label.
The join is in UTC, where no hour is missing or repeated when the clocks change.

Cancelled and diverted flights have no arrival delay and so no outcome: they are left out.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from machinery.pipeline.data.source import Hours, Kind, Minutes, as_of, monthly, read_columns
from machinery.pipeline.files import UserError
from machinery.pipeline.progress import track

TIME_ZONE = "America/New_York"
LATE_MINUTES = 15

FLIGHTS: dict[str, Kind] = {
    "time_hour": "datetime with time zone",
    "sched_dep_time": "number",
    "sched_arr_time": "number",
    "carrier": "string",
    "flight": "number",
    "tailnum": "string",
    "origin": "string",
    "dest": "string",
    "distance": "number",
    "dep_delay": "number",
    "arr_delay": "number",
    "air_time": "number",
}
MEASUREMENTS = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}
WEATHER: dict[str, Kind] = {
    "time_hour": "datetime with time zone",
    "origin": "string",
    **dict.fromkeys(MEASUREMENTS, "number"),
}


def read(
    folder: Path,
    *,
    until: datetime | None,
    hours_before_departure: Hours,
    weather_delay_minutes: Minutes,
    weather_max_age_hours: Hours,
) -> pd.DataFrame:
    """The raw table of all completed flights scheduled before `until` (New York time).

    Args:
        folder: contains `YYYY-MM.parquet` (flights) and `weather/YYYY-MM.parquet` (reports).
        until: end of the data window; later months are not opened. None takes all.
        hours_before_departure: how long before the scheduled departure the prediction is made.
        weather_delay_minutes: time from the label of a weather report until it is available.
        weather_max_age_hours: reports that have been available for longer are not used.

    Raises:
        UserError: if a file or column is missing, unreadable, empty or of another type.
    """
    months = monthly(folder, until)
    tracked = track(months, f"read {folder}", len(months))
    flights = pd.concat([_flights(read_columns(path, FLIGHTS)) for path in tracked])
    if until is not None:
        # Keep flights without a time, so that the contract reports them.
        flights = flights[~(flights["scheduled_departure"] >= until)]
    if flights.empty:
        raise UserError(f"{folder} has no completed flight {_before(until)}")
    weather = pd.concat(
        [read_columns(path.parent / "weather" / path.name, WEATHER) for path in months]
    )
    flights = flights.sort_values("moment", kind="stable", ignore_index=True)
    flights["moment"] -= timedelta(hours=hours_before_departure)
    observations = as_of(
        flights[["moment", "origin"]],
        _reports(weather, weather_delay_minutes),
        by="origin",
        max_age=timedelta(hours=weather_max_age_hours),
    )
    return pd.concat([flights.drop(columns="moment"), observations], axis=1)


def _flights(flights: pd.DataFrame) -> pd.DataFrame:
    """Completed flights, in the columns of the contract, and `moment`, the departure in UTC."""
    flights = flights[flights["arr_delay"].notna()]
    minutes = pd.to_timedelta(flights["sched_dep_time"] % 100, unit="min")
    departure = (flights["time_hour"] + minutes).astype("datetime64[us, UTC]")
    local = _local(departure)
    number = flights["flight"].astype("Int64").astype("str")
    arrival = flights["sched_arr_time"].astype("float64")
    return pd.DataFrame(
        {
            "flight_id": _flight_id(local, flights["origin"], flights["carrier"], number),
            "scheduled_departure": local,
            "scheduled_arrival": arrival // 100 * 60 + arrival % 100,
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "destination": flights["dest"],
            "flight_number": number,
            "tail_number": flights["tailnum"],
            "distance": flights["distance"].astype("float64"),
            "departure_delay": flights["dep_delay"].astype("float64"),
            "arrival_delay": flights["arr_delay"].astype("float64"),
            "air_time": flights["air_time"].astype("float64"),
            "late": flights["arr_delay"] > LATE_MINUTES,
            "moment": departure,
        }
    )


def _flight_id(
    departure: "pd.Series[pd.Timestamp]",
    origin: "pd.Series[str]",
    carrier: "pd.Series[str]",
    number: "pd.Series[str]",
) -> "pd.Series[str]":
    """E.g. `2013-01-01T05:15-EWR-UA-1545`, unique among all flights of 2013."""
    minute = pd.Series(np.datetime_as_string(departure, unit="m"), departure.index, dtype="str")
    return minute + "-" + origin + "-" + carrier + "-" + number


def _reports(weather: pd.DataFrame, delay_minutes: float) -> pd.DataFrame:
    """Weather reports, in the columns of the contract, and `available`, the time in UTC."""
    label = weather["time_hour"].astype("datetime64[us, UTC]")
    measurements = weather[list(MEASUREMENTS)].astype("float64").rename(columns=MEASUREMENTS)
    return measurements.assign(
        origin=weather["origin"],
        available=label + timedelta(minutes=delay_minutes),
        weather_observed_at=_local(label),
    )


def _local(moments: "pd.Series[pd.Timestamp]") -> "pd.Series[pd.Timestamp]":
    """Convert to New York's local time."""
    return moments.dt.tz_convert(TIME_ZONE).dt.tz_localize(None)


def _before(until: datetime | None) -> str:
    if until is None:
        return "at all; add months as data/README.md describes"
    return f"before {until:%Y-%m-%d %H:%M}; move ingest.until in params.yaml"
