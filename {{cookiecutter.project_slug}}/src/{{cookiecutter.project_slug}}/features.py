"""The features, computed from columns of the contract; one function per feature.

A function's name is the feature's name. Its arguments are columns of contract.yaml that are known
before the prediction (or other features), its docstring is the documentation, and its tag gives the
owner and the unit, "" if there is none. Arguments and results are arrays of the same length, one
row or millions. Numbers are float32, NaN if missing and never infinite; categories are Python
strings (dtype object), "missing" if there is none.

No feature uses other rows: anything that learns from data belongs in the model.

The month is not a feature: trained on January to June, it says nothing about July.
"""
# mypy: no-warn-return-any

import numpy as np

from machinery.pipeline.data.tags import tag

MISSING = "missing"
WEEKDAYS = np.array(
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], dtype=object
)
EPOCH_WEEKDAY = 3  # 1970-01-01, NumPy's day 0, was a Thursday


@tag(owner="scheduling", unit="h")
def departure_hour(scheduled_departure: np.ndarray) -> np.ndarray:
    """Local time of the scheduled departure, in hours; delays add up over the day."""
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
    """Two-character code of the airline."""
    return _text(carrier)


@tag(owner="scheduling", unit="")
def departure_airport(origin: np.ndarray) -> np.ndarray:
    """Three-letter code of the New York airport of departure."""
    return _text(origin)


@tag(owner="scheduling", unit="")
def arrival_airport(destination: np.ndarray) -> np.ndarray:
    """Three-letter code of the destination airport."""
    return _text(destination)


@tag(owner="weather", unit="°F")
def air_temperature(temperature: np.ndarray) -> np.ndarray:
    """Air temperature; near freezing, aircraft must be de-iced."""
    return _number(temperature)


@tag(owner="weather", unit="°F")
def dew_point_spread(temperature: np.ndarray, dew_point: np.ndarray) -> np.ndarray:
    """Temperature minus dew point, about 0 in fog."""
    return _number(temperature) - _number(dew_point)


@tag(owner="weather", unit="mph")
def strongest_wind(wind_speed: np.ndarray, wind_gust: np.ndarray) -> np.ndarray:
    """Speed of the gusts if any were reported, otherwise of the wind."""
    return np.fmax(_number(wind_speed), _number(wind_gust))


@tag(owner="weather", unit="mph")
def northerly_wind(wind_speed: np.ndarray, wind_direction: np.ndarray) -> np.ndarray:
    """Northerly component of the wind, negative from the south; 0 when calm."""
    return _wind_component(wind_speed, np.cos(_radians(wind_direction)))


@tag(owner="weather", unit="mph")
def easterly_wind(wind_speed: np.ndarray, wind_direction: np.ndarray) -> np.ndarray:
    """Easterly component of the wind, negative from the west; 0 when calm."""
    return _wind_component(wind_speed, np.sin(_radians(wind_direction)))


@tag(owner="weather", unit="in")
def hourly_precipitation(precipitation: np.ndarray) -> np.ndarray:
    """Rain or melted snow that fell within the hour."""
    return _number(precipitation)


@tag(owner="weather", unit="hPa")
def air_pressure(pressure: np.ndarray) -> np.ndarray:
    """Air pressure at sea level; low pressure brings bad weather."""
    return _number(pressure)


@tag(owner="weather", unit="mi")
def visible_distance(visibility: np.ndarray) -> np.ndarray:
    """Visibility, at most 10; if it is poor, fewer aircraft can land per hour."""
    return _number(visibility)


def _number(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def _text(values: np.ndarray) -> np.ndarray:
    texts = [value if isinstance(value, str) else MISSING for value in values.tolist()]
    return np.array(texts, dtype=object)


def _radians(degrees: np.ndarray) -> np.ndarray:
    return np.deg2rad(_number(degrees))


def _wind_component(wind_speed: np.ndarray, direction: np.ndarray) -> np.ndarray:
    # Calm air has no direction, and must give 0 and not a missing value.
    speed = _number(wind_speed)
    return np.where(speed == 0, speed, speed * direction)
