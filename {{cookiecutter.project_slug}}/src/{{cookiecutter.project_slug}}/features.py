"""features: columns of the contract in; one array for each feature out.

A function is a feature: its name is the feature's name, its arguments are columns of contract.yaml
that are known before the prediction (or other features), its docstring says what it is, and its tag
who owns it and in which unit, "" where there is none. Arguments and results are arrays of the same
length, one row or millions. A number is float32, NaN where it is missing and never infinite; a
category is a Python string (dtype object), "missing" where there is none.

No feature looks at other rows: what is learned from data is learned inside the model.

The month is not a feature: trained on January to June, it says nothing about July.
"""
# mypy: no-warn-return-any

import numpy as np

from machinery.pipeline.data.tags import tag

MISSING = "missing"
WEEKDAYS = np.array(
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], dtype=object
)
EPOCH_WEEKDAY = 3  # 1970-01-01, where NumPy's days begin, was a Thursday


@tag(owner="scheduling", unit="h")
def departure_hour(scheduled_departure: np.ndarray) -> np.ndarray:
    """Local time of the scheduled departure, minutes as a fraction. Delays pile up over the day."""
    midnight = scheduled_departure.astype("datetime64[D]")
    return _number((scheduled_departure - midnight) / np.timedelta64(1, "h"))


@tag(owner="scheduling", unit="")
def weekday(scheduled_departure: np.ndarray) -> np.ndarray:
    """Day of the week of the scheduled departure, in English; Saturdays are quiet."""
    days = scheduled_departure.astype("datetime64[D]").astype(np.int64)
    names = WEEKDAYS[(days + EPOCH_WEEKDAY) % 7]
    return np.where(np.isnat(scheduled_departure), MISSING, names)


@tag(owner="scheduling", unit="mi")
def flight_distance(distance: np.ndarray) -> np.ndarray:
    """Distance between the two airports. A long flight can make up time on its way."""
    return _number(distance)


@tag(owner="scheduling", unit="")
def airline(carrier: np.ndarray) -> np.ndarray:
    """The airline's two-character code."""
    return _text(carrier)


@tag(owner="scheduling", unit="")
def departure_airport(origin: np.ndarray) -> np.ndarray:
    """The New York airport from which the flight leaves, as its three-letter code."""
    return _text(origin)


@tag(owner="scheduling", unit="")
def arrival_airport(destination: np.ndarray) -> np.ndarray:
    """The airport to which the flight goes, as its three-letter code."""
    return _text(destination)


@tag(owner="weather", unit="°F")
def air_temperature(temperature: np.ndarray) -> np.ndarray:
    """Temperature of the air; near freezing, aircraft have to be de-iced."""
    return _number(temperature)


@tag(owner="weather", unit="°F")
def dew_point_spread(temperature: np.ndarray, dew_point: np.ndarray) -> np.ndarray:
    """Temperature minus dew point, about 0 in fog."""
    return _number(temperature) - _number(dew_point)


@tag(owner="weather", unit="mph")
def strongest_wind(wind_speed: np.ndarray, wind_gust: np.ndarray) -> np.ndarray:
    """Speed of the gusts where any were reported, else of the wind."""
    return np.fmax(_number(wind_speed), _number(wind_gust))


@tag(owner="weather", unit="mph")
def northerly_wind(wind_speed: np.ndarray, wind_direction: np.ndarray) -> np.ndarray:
    """The part of the wind that comes from the north, negative from the south; 0 when calm."""
    return _part_of_wind(wind_speed, np.cos(_radians(wind_direction)))


@tag(owner="weather", unit="mph")
def easterly_wind(wind_speed: np.ndarray, wind_direction: np.ndarray) -> np.ndarray:
    """The part of the wind that comes from the east, negative from the west; 0 when calm."""
    return _part_of_wind(wind_speed, np.sin(_radians(wind_direction)))


@tag(owner="weather", unit="in")
def hourly_precipitation(precipitation: np.ndarray) -> np.ndarray:
    """Rain or melted snow that fell within the hour."""
    return _number(precipitation)


@tag(owner="weather", unit="hPa")
def air_pressure(pressure: np.ndarray) -> np.ndarray:
    """Pressure of the air at sea level; low pressure brings bad weather."""
    return _number(pressure)


@tag(owner="weather", unit="mi")
def visible_distance(visibility: np.ndarray) -> np.ndarray:
    """How far one can see, at most 10; in poor sight fewer aircraft land in an hour."""
    return _number(visibility)


def _number(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def _text(values: np.ndarray) -> np.ndarray:
    texts = [value if isinstance(value, str) else MISSING for value in values.tolist()]
    return np.array(texts, dtype=object)


def _radians(degrees: np.ndarray) -> np.ndarray:
    return np.deg2rad(_number(degrees))


def _part_of_wind(wind_speed: np.ndarray, share: np.ndarray) -> np.ndarray:
    # A calm has no direction, so its missing direction must not make the wind missing.
    speed = _number(wind_speed)
    return np.where(speed == 0, speed, speed * share)
