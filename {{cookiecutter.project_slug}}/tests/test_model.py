"""The model's behaviour: what must not change its mind, what must, and what it has to get right."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data import contract
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.model.model_file import Model
from machinery.pipeline.paths import MODEL

pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="no model here: dvc repro or dvc pull")

FLIGHT = {
    "scheduled_departure": pd.Timestamp("2013-07-10 17:30"),
    "scheduled_arrival": 1170.0,
    "carrier": "UA",
    "origin": "EWR",
    "destination": "ORD",
    "distance": 719.0,
    "temperature": 75.0,
    "dew_point": 60.0,
    "humidity": 60.0,
    "wind_direction": 200.0,
    "wind_speed": 10.0,
    "wind_gust": np.nan,
    "precipitation": 0.0,
    "pressure": 1014.0,
    "visibility": 10.0,
}


@cache
def scorer() -> tuple[Model, Catalogue]:
    return Model(MODEL), Catalogue(contract.load())


def probability(**changes: object) -> float:
    """Of being late, for the flight with these changes."""
    model, catalogue = scorer()
    columns = {name: np.array([value]) for name, value in (FLIGHT | changes).items()}
    for name in ("carrier", "origin", "destination"):
        columns[name] = columns[name].astype(object)
    columns["scheduled_departure"] = columns["scheduled_departure"].astype("datetime64[us]")
    features = catalogue.compute(columns, list(model.features))
    return float(model.predict(features)[0, 1])


@pytest.mark.parametrize("change", [{"flight_number": "1"}, {"tail_number": "N14228"}])
def test_an_identifier_changes_nothing(change: dict[str, str]) -> None:
    assert probability(**change) == probability()


def test_a_flight_in_the_evening_is_likelier_late_than_one_at_dawn() -> None:
    dawn = pd.Timestamp("2013-07-10 06:00")
    assert probability() > probability(scheduled_departure=dawn, scheduled_arrival=480.0)


def test_a_storm_makes_a_flight_likelier_late() -> None:
    storm = {"precipitation": 0.5, "visibility": 1.0, "pressure": 998.0, "wind_gust": 40.0}
    assert probability(**storm) > probability()


@pytest.mark.parametrize("change", [{"carrier": "??"}, {"destination": None}, {"pressure": np.nan}])
def test_an_unknown_or_missing_value_still_gets_a_sober_answer(change: dict[str, object]) -> None:
    assert 0.02 < probability(**change) < 0.98
