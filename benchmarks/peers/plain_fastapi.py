"""A service as people write it: pydantic, a DataFrame, the pickled pipeline."""

import os
import pickle
from datetime import datetime
from pathlib import Path

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
pipeline = pickle.loads(Path(os.environ["PIPELINE"]).read_bytes())


class Flight(BaseModel):
    """One flight and the weather, as the contract has them."""

    flight_id: str
    scheduled_departure: datetime
    scheduled_arrival: float
    carrier: str
    origin: str
    destination: str
    flight_number: str
    tail_number: str | None = None
    distance: float
    weather_observed_at: datetime | None = None
    temperature: float | None = None
    dew_point: float | None = None
    humidity: float | None = None
    wind_direction: float | None = None
    wind_speed: float | None = None
    wind_gust: float | None = None
    precipitation: float | None = None
    pressure: float | None = None
    visibility: float | None = None


class Answer(BaseModel):
    """The probability that it is late."""

    probabilities: list[float]


@app.post("/predict")
def predict(rows: list[Flight]) -> Answer:
    """Answer rows."""
    table = pd.DataFrame([row.model_dump() for row in rows])
    return Answer(probabilities=pipeline.predict_proba(table)[:, 1].tolist())
