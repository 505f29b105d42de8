"""A shop's late parcels: models of a contract that is not the project's, ready to be served."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from machinery.pipeline.model.building import build
from machinery.pipeline.model.model_file import save
from machinery.pipeline.model.scoring import Scorer
from machinery.serving.app import Service, application
from machinery.serving.settings import Settings
from shop import features
from shop.candidates import CANDIDATES

from machinery.pipeline.model import examples

KINDS = {"mass": "number", "hour": "number", "place": "string"}


def column(kind: str, **changes: Any) -> dict[str, Any]:
    plain = {"unit": None, "allowed": None, "nullable": False, "known": "before"}
    return {"type": kind, "description": "what it is", "owner": "shop", **plain, **changes}


def document(task: str) -> dict[str, Any]:
    kinds = {"late": column("boolean", known="after"), "days": column("number", known="after")}
    return {
        "version": 1,
        "task": task,
        "target": "late" if task == "classification" else "days",
        "key": "id",
        "time": "at",
        "group": None,
        "columns": {
            "id": column("string", identifier=True),
            "at": column("datetime"),
            "weight": column("number", allowed={"min": 0, "max": 30}, nullable=True, unit="kg"),
            "colour": column("category", allowed=["red", "blue"]),
            "town": column("string"),
            "pieces": column("integer", allowed={"min": 1, "max": 9}, nullable=True),
            "gift": column("boolean", nullable=True),
            "seen": column("datetime", nullable=True),
            **kinds,
        },
    }


def a_table(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(1)
    weight = random.uniform(0, 30, rows).round(2)
    return pd.DataFrame(
        {
            "id": [f"parcel:{row}" for row in range(rows)],
            "at": pd.date_range("2026-01-01 06:30", periods=rows, freq="97min").as_unit("us"),
            "weight": weight,
            "colour": random.choice(["red", "blue"], rows),
            "town": random.choice(["Aa", "Ulm: south"], rows),
            "pieces": pd.array(random.integers(1, 9, rows), dtype="Int64"),
            "gift": pd.array(random.random(rows) < 0.5, dtype="boolean"),
            "seen": pd.NaT,
            "late": weight > 15,
            "days": weight / 10,
        }
    )


def write_model(folder: Path, task: str = "classification", strength: float = 1.0) -> Path:
    """A whole model folder; `strength` tells one model from another."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    contract = document(task)
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    table, target = a_table(), contract["target"]
    inputs = pd.DataFrame(
        {
            "mass": table["weight"].astype(np.float32),
            "hour": (table["at"].dt.hour + table["at"].dt.minute / 60).astype(np.float32),
            "place": table["town"].astype(object),
        }
    )
    dials = {"C": strength, "max_iter": 500} if task == "classification" else {"alpha": strength}
    pipeline = build(
        "linear",
        CANDIDATES,
        task=task,  # type: ignore[arg-type]
        numeric=["mass", "hour"],
        categorical=["place"],
        hyperparameters=dials,
        seed=1,
    ).fit(inputs, table[target])
    path = folder / "models/model.onnx"
    save(pipeline, KINDS, path)  # type: ignore[arg-type]
    info = {
        "candidate": "all-linear",
        "features": KINDS,
        "contract_version": 1,
        "task": task,
        "target": target,
        "classes": ["false", "true"] if task == "classification" else [],
        "trained_on": {"rows": len(table), "until": "2026-01-05 00:00:00"},
        "threshold": 0.4 if task == "classification" else None,
        "coverage": 0.9,
        "conformal_quantile": 0.6,
        "sha256": sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "models/model.json").write_text(json.dumps(info), encoding="utf-8")
    scorer = Scorer(features, folder)
    prediction = scorer.model.predict({name: inputs[name].to_numpy() for name in inputs})
    stored = examples.make(table, prediction, scorer)
    (folder / "models/examples.json").write_text(json.dumps(stored), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models: `shop`, `other` of the same contract, and `days`, a regression."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "shop")
    write_model(folder / "other", strength=0.01)
    write_model(folder / "days", "regression")
    return folder


@pytest.fixture
def shop(models: Path, tmp_path: Path) -> Path:
    """The folder of a model that says whether a parcel will be late; the test may change it."""
    shutil.copytree(models / "shop", tmp_path / "shop")
    return tmp_path / "shop"


class Client:
    """A client of the application in memory, from its start to its end."""

    def __init__(self, service: Service) -> None:
        self.service, self._runner = service, asyncio.Runner()
        self.app = app = application(service)
        self._closed = False
        self._life = app.router.lifespan_context(app)
        self.run(self._life.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://shop")

    def run(self, coroutine: Any) -> Any:
        """Wait for something in the application's loop."""
        return self._runner.run(coroutine)

    def request(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask for a path."""
        answer: httpx.Response = self.run(self._client.request(method, path, **body))
        return answer

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST to a path."""
        return self.request("POST", path, **body)

    def get(self, path: str, **headers: Any) -> httpx.Response:
        """GET a path."""
        return self.request("GET", path, **headers)

    def close(self) -> None:
        """Stop the application, as a server would."""
        if self._closed:
            return
        self._closed = True
        self.run(self._client.aclose())
        self.run(self._life.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def serve(shop: Path) -> Iterator[Callable[..., Client]]:
    """Start the service, with settings; it is stopped after the test."""
    clients: list[Client] = []

    def start(**settings: Any) -> Client:
        plain = {"model_folder": shop, "prediction_log": None, "demo": True, "poll_seconds": 3600}
        clients.append(Client(Service(features, Settings(**{**plain, **settings}))))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def service(shop: Path) -> Callable[..., Service]:
    """Make the service itself, for what a client cannot do."""

    def build_service(**settings: Any) -> Service:
        plain = {"model_folder": shop, "prediction_log": None, "demo": True}
        return Service(features, Settings(**{**plain, **settings}))

    return build_service


def a_row(**changes: Any) -> dict[str, Any]:
    """A row that is valid; a change to `...` leaves the field out."""
    row = {"id": "x", "at": "2026-01-02T08:00:00", "weight": 20.0, "colour": "red", "town": "Aa"}
    return {name: value for name, value in {**row, **changes}.items() if value is not ...}


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """Make a valid row, with changes."""
    return a_row
