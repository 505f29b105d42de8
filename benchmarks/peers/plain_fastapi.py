"""plain_fastapi: a service as people write it: pydantic, a DataFrame, the pickled pipeline."""

import os
import pickle
from pathlib import Path

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
pipeline = pickle.loads(Path(os.environ["PIPELINE"]).read_bytes())


class Features(BaseModel):
    """One flight, its features made already."""

    departure_hour: float
    weekday: str
    flight_distance: float
    airline: str
    departure_airport: str
    arrival_airport: str
    air_temperature: float | None = None
    dew_point_spread: float | None = None
    strongest_wind: float | None = None
    northerly_wind: float | None = None
    easterly_wind: float | None = None
    hourly_precipitation: float | None = None
    air_pressure: float | None = None
    visible_distance: float | None = None


class Answer(BaseModel):
    """The probability that it is late."""

    probabilities: list[float]


@app.post("/predict")
def predict(rows: list[Features]) -> Answer:
    """Answer rows."""
    table = pd.DataFrame([row.model_dump() for row in rows])
    return Answer(probabilities=pipeline.predict_proba(table)[:, 1].tolist())
