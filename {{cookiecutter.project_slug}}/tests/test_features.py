"""Each feature on a few values, at the edges and where values are missing."""

import numpy as np
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue

from {{cookiecutter.project_slug}} import features

NAN = float("nan")
CATALOGUE = Catalogue(contracts.load(), features)


def numbers(*values: float | None) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def texts(*values: object) -> np.ndarray:
    return np.array(values, dtype=object)


def times(*values: str) -> np.ndarray:
    return np.array(values, dtype="datetime64[us]")


def columns(number: np.ndarray, text: np.ndarray, time: np.ndarray) -> dict[str, np.ndarray]:
    """Every column that the features use, with the values of its type."""
    types = {name: CATALOGUE.contract.columns[name].type for name in CATALOGUE.inputs}
    return {name: {"number": number, "datetime": time}.get(types[name], text) for name in types}


def same(values: np.ndarray, *expected: float) -> bool:
    """Whether the values are float32 and equal; NaN equals NaN."""
    assert values.dtype == np.float32
    return np.allclose(values, expected, atol=1e-5, equal_nan=True)


def test_departure_hour_counts_from_local_midnight_with_minutes_as_a_fraction() -> None:
    when = times("2013-01-01T00:00", "2013-01-01T05:15", "2013-01-01T23:59", "NaT")
    assert same(features.departure_hour(when), 0, 5.25, 23 + 59 / 60, NAN)


def test_departure_hour_follows_the_clock_when_it_changes() -> None:
    when = times("2013-03-10T03:10", "2013-11-03T06:30")
    assert same(features.departure_hour(when), 3 + 10 / 60, 6.5)


def test_weekday_changes_at_midnight() -> None:
    when = times("2013-01-06T23:59", "2013-01-07T00:00", "1969-12-31T12:00", "NaT")
    assert features.weekday(when).tolist() == ["Sunday", "Monday", "Wednesday", "missing"]


@pytest.mark.parametrize("unit", ["m", "s", "ms", "us", "ns"])
def test_time_features_take_any_unit_of_time(unit: str) -> None:
    when = times("2013-01-07T06:30").astype(f"datetime64[{unit}]")
    assert same(features.departure_hour(when), 6.5)
    assert features.weekday(when).tolist() == ["Monday"]


def test_a_missing_string_becomes_the_category_missing() -> None:
    assert features.airline(texts("UA", None, NAN)).tolist() == ["UA", "missing", "missing"]


def test_dew_point_spread_is_zero_in_fog() -> None:
    spread = features.dew_point_spread(numbers(50, 50, NAN), numbers(50, 40, 40))
    assert same(spread, 0, 10, NAN)


def test_strongest_wind_is_the_gust_if_one_was_reported() -> None:
    assert same(features.strongest_wind(numbers(10, 10, NAN), numbers(25, NAN, NAN)), 25, 10, NAN)


def test_wind_components_point_to_where_the_wind_comes_from() -> None:
    speed, direction = numbers(10, 10, 10, 10), numbers(360, 90, 180, 270)
    assert same(features.northerly_wind(speed, direction), 10, 0, -10, 0)
    assert same(features.easterly_wind(speed, direction), 0, 10, 0, -10)


def test_calm_air_needs_no_direction_but_wind_does() -> None:
    speed, direction = numbers(0, 10, NAN), numbers(NAN, NAN, 90)
    assert same(features.northerly_wind(speed, direction), 0, NAN, NAN)
    assert same(features.easterly_wind(speed, direction), 0, NAN, NAN)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_feature_is_float32_or_string_even_if_everything_is_missing(rows: int) -> None:
    table = columns(numbers(*[NAN] * rows), texts(*[None] * rows), times(*["NaT"] * rows))
    for name, values in CATALOGUE.compute(table).items():
        assert len(values) == rows, name
        if CATALOGUE.features[name].type == "float32":
            assert values.dtype == np.float32 and np.isnan(values).all(), name
        else:
            assert values.dtype == object and set(values) <= {"missing"}, name


def test_features_of_a_row_do_not_depend_on_other_rows() -> None:
    moments = times("2013-01-07T00:00", "NaT", "2013-07-31T23:59")
    table = columns(numbers(0, 7, NAN), texts("JFK", None, ""), moments)
    together = CATALOGUE.compute(table)
    for row in range(3):
        alone = CATALOGUE.compute({name: table[name][row : row + 1] for name in table})
        for name in together:
            np.testing.assert_array_equal(alone[name], together[name][row : row + 1], name)
