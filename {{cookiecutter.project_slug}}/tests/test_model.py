"""The model's behaviour: invariance, direction, and minimum functionality."""

from datetime import datetime
from functools import cache

import pytest

from machinery.pipeline.model.scoring import Scorer
from machinery.pipeline.paths import MODEL

from {{cookiecutter.project_slug}} import features

pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="no model here: dvc repro or dvc pull")

FLIGHT = {
    "scheduled_departure": datetime(2013, 7, 10, 17, 30),
    "scheduled_arrival": 1170.0,
    "carrier": "UA",
    "origin": "EWR",
    "destination": "ORD",
    "flight_number": "1545",
    "tail_number": "N39463",
    "distance": 719.0,
    "temperature": 75.0,
    "dew_point": 60.0,
    "humidity": 60.0,
    "wind_direction": 200.0,
    "wind_speed": 10.0,
    "wind_gust": None,
    "precipitation": 0.0,
    "pressure": 1014.0,
    "visibility": 10.0,
}


@cache
def scorer() -> Scorer:
    return Scorer(features)


def probability(**changes: object) -> float:
    """The probability that the flight with these changes is late."""
    row = FLIGHT | changes
    columns = {name: [row[name]] for name in scorer().columns}
    return float(scorer().answers(scorer().arrays(columns)).prediction[0, 1])


@pytest.mark.parametrize("change", [{"flight_number": "1"}, {"tail_number": "N14228"}])
def test_an_identifier_does_not_matter(change: dict[str, str]) -> None:
    assert probability(**change) == probability()


def test_a_flight_in_the_evening_is_likelier_late_than_one_at_dawn() -> None:
    dawn = datetime(2013, 7, 10, 6)
    assert probability() > probability(scheduled_departure=dawn, scheduled_arrival=480.0)


def test_a_storm_makes_a_flight_likelier_late() -> None:
    storm = {"precipitation": 0.5, "visibility": 1.0, "pressure": 998.0, "wind_gust": 40.0}
    assert probability(**storm) > probability()


@pytest.mark.parametrize("change", [{"carrier": "??"}, {"destination": None}, {"pressure": None}])
def test_an_unknown_or_missing_value_gets_a_moderate_probability(
    change: dict[str, object],
) -> None:
    assert 0.02 < probability(**change) < 0.98
