"""Turn monthly flights and weather into feature tables for training and test."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

Settings = dict[str, Any]
Table = pd.DataFrame
Months = dict[str, Callable[[], Table]]

TIME_ZONE = "America/New_York"
LATE_MINUTES = 15
CARRIERS = "9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV".split()
WEATHER = {
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


def _number(low: float, high: float, nullable: bool = False) -> pa.Column:
    return pa.Column("float64", pa.Check.in_range(low, high), nullable=nullable)


SCHEMA = pa.DataFrameSchema(
    {
        "flight_id": pa.Column("str", unique=True),
        "scheduled_departure": pa.Column("datetime64[us]"),
        "scheduled_arrival": _number(0, 1439),
        "carrier": pa.Column("str", pa.Check.isin(CARRIERS)),
        "origin": pa.Column("str", pa.Check.isin(["EWR", "JFK", "LGA"])),
        "destination": pa.Column("str"),
        "flight_number": pa.Column("str"),
        "tail_number": pa.Column("str", nullable=True),
        "distance": _number(1, 5500),
        "departure_delay": _number(-60, 1440),
        "arrival_delay": _number(-120, 1440),
        "air_time": _number(10, 900),
        "late": pa.Column("bool"),
        "weather_observed_at": pa.Column("datetime64[us]", nullable=True),
        "temperature": _number(-30, 120, nullable=True),
        "dew_point": _number(-50, 90, nullable=True),
        "humidity": _number(0, 100, nullable=True),
        "wind_direction": _number(0, 360, nullable=True),
        "wind_speed": _number(0, 120, nullable=True),
        "wind_gust": _number(0, 150, nullable=True),
        "precipitation": _number(0, 5, nullable=True),
        "pressure": _number(920, 1060, nullable=True),
        "visibility": _number(0, 10, nullable=True),
    },
    strict=True,
    drop_invalid_rows=True,
)


def preprocess_flights(flights: Months, ingest: Settings) -> Table:
    """The completed flights, and `moment`, when the prediction is made (UTC)."""
    table = pd.concat([load() for _, load in sorted(flights.items())], ignore_index=True)
    table = table[table["arr_delay"].notna()]
    departure = table["time_hour"] + pd.to_timedelta(table["sched_dep_time"] % 100, unit="min")
    departure = departure.astype("datetime64[us, UTC]")
    local = departure.dt.tz_convert(TIME_ZONE).dt.tz_localize(None)
    number = table["flight"].astype("int64").astype("str")
    arrival = table["sched_arr_time"].astype("float64")
    minute = local.dt.strftime("%Y-%m-%dT%H:%M")
    hours = ingest["source"]["hours_before_departure"]
    preprocessed = pd.DataFrame(
        {
            "flight_id": minute + "-" + table["origin"] + "-" + table["carrier"] + "-" + number,
            "scheduled_departure": local,
            "scheduled_arrival": arrival // 100 * 60 + arrival % 100,
            "carrier": table["carrier"],
            "origin": table["origin"],
            "destination": table["dest"],
            "flight_number": number,
            "tail_number": table["tailnum"],
            "distance": table["distance"].astype("float64"),
            "departure_delay": table["dep_delay"].astype("float64"),
            "arrival_delay": table["arr_delay"].astype("float64"),
            "air_time": table["air_time"].astype("float64"),
            "late": table["arr_delay"] > LATE_MINUTES,
            "moment": departure - pd.Timedelta(hours=hours),
        }
    )
    if ingest["until"] is None:
        return preprocessed
    return preprocessed[preprocessed["scheduled_departure"] < ingest["until"]]


def preprocess_weather(weather: Months, ingest: Settings) -> Table:
    """The weather reports, and `available`, the time from which each is available (UTC)."""
    table = pd.concat([load() for _, load in sorted(weather.items())], ignore_index=True)
    label = table["time_hour"].astype("datetime64[us, UTC]")
    delay = pd.Timedelta(minutes=ingest["source"]["weather_delay_minutes"])
    measurements = table[list(WEATHER)].astype("float64").rename(columns=WEATHER)
    return measurements.assign(
        origin=table["origin"],
        available=label + delay,
        weather_observed_at=label.dt.tz_convert(TIME_ZONE).dt.tz_localize(None),
    )


def join_weather(flights: Table, weather: Table, ingest: Settings) -> Table:
    """Each flight with the newest weather report that is available at its moment."""
    joined = pd.merge_asof(
        flights.sort_values("moment"),
        weather.sort_values("available"),
        left_on="moment",
        right_on="available",
        by="origin",
        tolerance=pd.Timedelta(hours=ingest["source"]["weather_max_age_hours"]),
    )
    joined = joined.drop(columns=["moment", "available"])
    return joined.sort_values(["scheduled_departure", "flight_id"], ignore_index=True)


def validate(joined: Table) -> tuple[Table, Settings]:
    """The rows that fit the schema, and how many did not."""
    valid = SCHEMA.validate(joined, lazy=True).reset_index(drop=True)
    return valid, {"rows": len(joined), "valid": len(valid), "dropped": len(joined) - len(valid)}


def make_features(flights: Table) -> Table:
    """Key, time, target and features of each flight."""
    departure = flights["scheduled_departure"]
    speed, direction = flights["wind_speed"], np.deg2rad(flights["wind_direction"])
    calm = speed == 0
    return pd.DataFrame(
        {
            "flight_id": flights["flight_id"],
            "scheduled_departure": departure,
            "late": flights["late"],
            "departure_hour": departure.dt.hour + departure.dt.minute / 60,
            "weekday": departure.dt.day_name(),
            "flight_distance": flights["distance"],
            "airline": flights["carrier"],
            "departure_airport": flights["origin"],
            "arrival_airport": flights["destination"],
            "air_temperature": flights["temperature"],
            "dew_point_spread": flights["temperature"] - flights["dew_point"],
            "strongest_wind": flights[["wind_speed", "wind_gust"]].max(axis=1),
            "northerly_wind": (speed * np.cos(direction)).mask(calm, 0.0),
            "easterly_wind": (speed * np.sin(direction)).mask(calm, 0.0),
            "hourly_precipitation": flights["precipitation"],
            "air_pressure": flights["pressure"],
            "visible_distance": flights["visibility"],
        }
    )


def split(features: Table, split: Settings) -> tuple[Table, Table]:
    """All but the last days for training, the last days for the test."""
    time = features["scheduled_departure"]
    is_test = time >= time.max() - pd.Timedelta(days=split["test_days"])
    return features[~is_test].reset_index(drop=True), features[is_test].reset_index(drop=True)
