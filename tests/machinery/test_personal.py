"""No personal value leaks into reports, files next to the model, answers, log and messages."""

import hmac
import json
import re
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from machinery.commands.cli import app
from machinery.pipeline.data.tags import tag
from machinery.pipeline.files import UserError, read_json
from machinery.pipeline.paths import EXAMPLES
from machinery.serving import log_files
from machinery.serving.app import Service, application
from machinery.serving.settings import Settings
from machinery.serving.telemetry import set_up_logs
from shop import features as shop
from shop.model_folder import column
from shop.project import Shop
from shop.whole_run import ROWS, Run

KEY = "a-key-of-16-signs"
PLANTED = re.compile(r"Nguyen|(?<![\w.])(631|739)\d{3}(\.0)?(?!\w)")  # in every string; and ages
FAILING = "Nguyen the unspeakable"
ROW = {
    **{"id": "Nguyen:900", "at": "2026-01-29T08:00:00", "weight": 20.0, "colour": "red"},
    **{"town": "Aa", "pieces": None, "gift": None, "seen": None, "name": "Jane Nguyen 9"},
    **{"street": "Nguyen Street 9", "title": "none", "age": 631_009},
}
HASHED = {"raw_name": ROW["name"], "raw_id": ROW["id"], "feature_side": "odd"}


@tag(owner="shop", unit="")
def side(street: np.ndarray) -> np.ndarray:
    """The side of the street."""
    return np.array(
        ["even" if str(address)[-1:] in "02468" else "odd" for address in street], object
    )


@tag(owner="shop", unit="")
def seniority(age: np.ndarray) -> np.ndarray:
    """A number that reveals the age."""
    return np.asarray(age, dtype=np.float32)


@tag(owner="shop", unit="")
def greeting(name: np.ndarray) -> np.ndarray:
    """Fails for one name, which is in the message."""
    if FAILING in name:
        raise ValueError(f"cannot greet {FAILING}")
    return np.full(len(name), "hello", object)


class Personal(Shop):
    """The shop, with features of personal columns."""

    package = "shop"

    def features(self) -> ModuleType:
        module = ModuleType("features")
        for function in (shop.mass, shop.hour, shop.place, side, seniority, greeting):
            setattr(module, function.__name__, function)
        return module


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose parcels have senders; some rows break the contract in personal columns."""
    monkeypatch.chdir(tmp_path)
    run, rows = Run(), np.arange(ROWS)
    run.contract["columns"]["id"]["personal"] = True
    run.contract["columns"] |= {
        "name": column("string", personal=True),
        "street": column("string", personal=True, nullable=True),
        "title": column("category", personal=True, allowed=["Dr", "none"]),
        "age": column("number", personal=True, allowed={"min": 0, "max": 700_000}),
    }
    run.table["id"] = [f"Nguyen:{row}" for row in rows]
    run.table["name"] = [f"Jane Nguyen {row}" for row in rows]
    run.table["street"] = [f"Nguyen Street {row}" for row in rows]
    run.table["title"], run.table["age"] = "none", 631_000.0 + rows % 300
    run.table.loc[7, ["title", "age"]] = ["Lord Nguyen", 739_999.0]
    run.table = pd.concat([run.table, run.table[8:9]], ignore_index=True)  # a duplicate key
    run.params["train"]["features"]["all"] += ["side", "seniority", "greeting"]
    return run


def too_many_bad_rows(run: Run) -> None:
    run.params["validate"]["quarantine_limit"] = 0.0


def a_column_too_many(run: Run) -> None:
    run.table["more"] = 1


def a_feature_that_fails(run: Run) -> None:
    run.table.loc[9, "name"] = FAILING


def the_same_content_in_both_parts(run: Run) -> None:
    run.params["split"]["by"] = "stratified"
    twins = run.table[20:60]
    run.table = pd.concat([run.table, twins.assign(id=twins["id"] + " again")])


STOPS = {
    too_many_bad_rows: "2 of 398 rows break the contract",
    a_column_too_many: "more is not in the contract.* title is not among the allowed values",
    a_feature_that_fails: r"features.py: greeting fails: ValueError in line \d+$",
    the_same_content_in_both_parts: "have the same content; deduplicate",
}
WRONG: list[Any] = [
    {**ROW, "age": 739_999},
    {**ROW, "age": "Nguyen"},
    {**ROW, "title": "Lord Nguyen"},
    {**ROW, "name": "Nguyen" * 200},
    {**ROW, "street": 631_009},
    [ROW, {**ROW, "id": None}, {**ROW, "id": 631_009}],
    [{**ROW, "town": ...}],
]


def stopped(run: Run, change: Callable[[Run], None], sentence: str) -> str:
    """The error message of the changed run."""
    changed = deepcopy(run)
    change(changed)
    with pytest.raises(UserError, match=sentence) as caught:
        changed(Personal())
    return str(caught.value)


JSON = {"content-type": "application/json"}
PLAIN = "weight", "colour", "town", "pieces", "gift"  # all others are personal, or times


def served() -> list[str]:
    """All answers of the service, including refusals and failures."""
    settings = {"prediction_log": Path("logs"), "personal_key": KEY, "demo": True}
    set_up_logs()
    service = Service(Personal().features(), Settings(**settings))
    with TestClient(application(service), raise_server_exceptions=False) as client:
        first = client.post("/predict", json=[ROW, ROW])
        outcome = {"request_id": first.json()["request_id"], "outcome": True}
        good = [
            first,
            client.post("/explain", json=ROW),
            client.post("/feedback", json=outcome),
        ]
        pages = ("/model", "/ready", "/metrics", "/openapi.json", "/docs")
        good += [client.get(path) for path in pages]
        assert [response.status_code for response in good] == [200] * len(good)
        bodies = [json.dumps(row, default=lambda _: None) for row in WRONG]
        bad = [client.post("/predict", content=body, headers=JSON) for body in bodies]
        bad += [client.post("/predict", content=bodies[0][:-9], headers=JSON)]
        bad += [client.post("/explain", json=[ROW, ROW])]
        assert {response.status_code for response in bad} == {400, 422}
        failed = client.post("/predict", json={**ROW, "name": FAILING})
        assert failed.status_code == 500
        return [response.text for response in (*good, *bad, failed)]


def predicted() -> list[str]:
    """The output of predict, and the reasons of the bad rows."""
    rows = pd.DataFrame([ROW, {**ROW, "age": 739_999}, {**ROW, "title": "Lord Nguyen"}])
    rows.to_csv("in.csv", index=False)
    with Path("in.csv").open("a") as file:
        file.write("Nguyen:901,is no row\n")
    outputs = []
    for allowed, code in (("1", 0), ("0", 1)):
        words = ["predict", "in.csv", f"{allowed}.parquet", "--max-bad", allowed]
        done = CliRunner().invoke(app, words, obj=Personal())
        assert done.exit_code == code
        outputs.append(done.output)
    reasons = pd.read_parquet("1.bad.parquet")["bad_reason"].tolist()
    assert reasons[-1].startswith("has 2 fields")
    return [*outputs, *reasons]


def monitored() -> str:
    """The output of monitor; its page is among the reports."""
    done = CliRunner().invoke(app, ["monitor", "--log", "logs", "--json"], obj=Personal())
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    drifted = {drift["column"] for drift in report["drift"]["training"]["columns"]}
    assert drifted == {*report["windows"][0]["quality"]} == {*PLAIN}
    assert report["windows"][0]["skew"]["differ"] == 0
    return done.output


def test_no_personal_value_leaks(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """The pipeline's tables in data/ and models/candidates/ are data, and keep every value."""
    messages = [stopped(run, *stop) for stop in STOPS.items()]
    run(Personal())
    messages += [*served(), *predicted(), monitored()]
    logged = [path.read_text(encoding="utf-8") for path in Path("logs").glob("*.jsonl")]
    log_files.compact(Path("logs"), datetime(2100, 1, 1, tzinfo=UTC))
    rows = log_files.read(Path("logs")).to_pylist()
    printed = capfd.readouterr()
    texts = {"messages": messages, "logged": logged, "read": [str(rows)], "printed": [*printed]}
    for folder in ("reports", "models"):
        for path in Path(folder).rglob("*.*"):
            if path.is_file() and path.suffix != ".parquet":
                texts[str(path)] = [path.read_bytes().decode("utf-8", "replace")]
    assert {"reports/index.html", "models/examples.json", "models/model.onnx"} < texts.keys()
    assert len(printed.out.splitlines()) > len(WRONG)
    leaks = {name: PLANTED.search("\n".join(of)) for name, of in texts.items()}
    assert not {name: leak for name, leak in leaks.items() if leak}
    for name, value in HASHED.items():
        assert rows[0][name] == hmac.new(KEY.encode(), str(value).encode(), "sha256").hexdigest()
    assert [rows[0][name] for name in ("raw_age", "feature_seniority")] == [None, None]
    assert (rows[0]["raw_weight"], rows[0]["feature_mass"], rows[0]["outcome"]) == (20, 20, True)
    stored = read_json(EXAMPLES)["rows"][0]
    assert [stored[name] for name in ("name", "street", "title", "age")] == ["", None, "Dr", 0]
