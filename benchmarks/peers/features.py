"""The features of the model in pandas, as people write them.

They equal those of the project's features.py, which this module does not import.
"""

import numpy as np
import pandas as pd

NUMBERS = ["distance", "temperature", "dew_point", "wind_direction", "wind_speed", "wind_gust"]
NUMBERS += ["precipitation", "pressure", "visibility"]


def make_features(rows: pd.DataFrame) -> pd.DataFrame:
    """Compute features from raw rows; times may be strings, and missing values None."""
    departure = pd.to_datetime(rows["scheduled_departure"])
    numbers = rows[NUMBERS].astype("float32")
    hour = departure.dt.hour + departure.dt.minute / 60
    speed, direction = numbers["wind_speed"], np.deg2rad(numbers["wind_direction"])
    return pd.DataFrame(
        {
            "departure_hour": hour.astype("float32"),
            "weekday": departure.dt.day_name().fillna("missing"),
            "flight_distance": numbers["distance"],
            "airline": rows["carrier"].fillna("missing"),
            "departure_airport": rows["origin"].fillna("missing"),
            "arrival_airport": rows["destination"].fillna("missing"),
            "air_temperature": numbers["temperature"],
            "dew_point_spread": numbers["temperature"] - numbers["dew_point"],
            "strongest_wind": np.fmax(speed, numbers["wind_gust"]),
            "northerly_wind": np.where(speed == 0, 0, speed * np.cos(direction)),
            "easterly_wind": np.where(speed == 0, 0, speed * np.sin(direction)),
            "hourly_precipitation": numbers["precipitation"],
            "air_pressure": numbers["pressure"],
            "visible_distance": numbers["visibility"],
        }
    )
