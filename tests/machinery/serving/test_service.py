"""The service over HTTP, in memory: responses and refusals."""

import hmac
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import Answers
from machinery.serving.replies import predictions
from machinery.serving.rows import Reader

Serve = Callable[..., Any]
Row = Callable[..., dict[str, Any]]
KEY, OTHER = "a-key-of-16-signs", "another-key-of-24-signs"
JSON = {"content-type": "application/json"}
POSTS = ("/predict", "/explain", "/feedback")


def test_a_row_is_predicted(serve: Serve, row: Row) -> None:
    answer = serve().post("/predict", json=row()).json()
    (first,) = answer["predictions"]
    assert sum(first["probability"].values()) == pytest.approx(1)
    assert (first["prediction"], first["set"]) == ("true", ["true"])
    assert (answer["coverage"], answer["decision_threshold"]) == (0.9, 0.4)
    assert answer["model_version"].startswith("unreleased-")


def test_the_service_imports_neither_pandas_nor_pyarrow_nor_training_libraries() -> None:
    code = """
import sys
from machinery.serving.replies import predictions
from shop import features
from machinery.serving import app, server
print(*sorted({"dvc", "pandas", "pyarrow", "sklearn"} & sys.modules.keys()))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == []


def test_a_regression_answers_with_an_interval(serve: Serve, row: Row, models: Path) -> None:
    client = serve(model_folder=models / "days")
    answer = client.post("/predict", json=row()).json()
    (row_answer,) = answer["predictions"]
    prediction = row_answer["prediction"]
    assert row_answer["interval"] == pytest.approx([prediction - 0.6, prediction + 0.6], abs=1e-6)
    explained = client.post("/explain", json=row()).json()
    assert explained["explained"] == "days"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"weight": 31}, "weight", "weight must be a number from 0 to 30 in kg, or null; it is 31"),
        ({"weight": "20"}, "weight", "weight must be a number from 0 to 30 in kg, or null"),
        ({"weight": 10**400}, "weight", "weight must be a number"),
        ({"colour": "green"}, "colour", 'colour must be one of red, blue; it is "green"'),
        ({"colour": None}, "colour", "colour must be one of red, blue; it is null"),
        ({"colour": ...}, "colour", "colour is missing; send one of red, blue"),
        ({"town": "x" * 1001}, "town", "town must be a string of at most 1000 characters"),
        ({"pieces": 2.5}, "pieces", "pieces must be an integer from 1 to 9, or null"),
        ({"pieces": 1e300}, "pieces", "pieces must be an integer from 1 to 9, or null"),
        ({"gift": 1}, "gift", "gift must be true or false, or null"),
        ({"at": "2026-01-02T08:00:00Z"}, "at", "at must be a date and time without time zone"),
        ({"late": True}, "late", "late is only known after the prediction; leave it out"),
        ({"speed` of": 1}, "speed` of", "speed` of is not a field of a row"),
        ({"gift": ...}, "gift", "gift is missing; send true or false, or null"),
        (
            {"weight": ..., "wieght": 20.0},
            "wieght",
            "wieght is not a field of a row (see /openapi.json); rename it to weight",
        ),
        (
            {"wieght": 20.0},
            "wieght",
            "wieght is not a field of a row (see /openapi.json); leave it out",
        ),
    ],
)
def test_a_violation_is_refused_with_the_name_of_its_field(
    serve: Serve, row: Row, changes: dict[str, Any], field: str, words: str
) -> None:
    client = serve()
    refused = client.post("/explain", content=json.dumps(row(**changes)), headers=JSON)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert refused.json()["error"].startswith(words)
    rows = json.dumps([row(), row(), row(**changes)])
    refused = client.post("/predict", content=rows, headers=JSON)
    assert (refused.json()["field"], refused.json()["row"]) == (field, 2)
    assert refused.json()["error"].startswith(f"Row 2: {words}")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "The body is not valid JSON"),
        (b'{"id": "x"', 400, "The body is not valid JSON"),
        (b'{"id": "x"}', 422, "at is missing"),
        (
            b'{"id": 1, "id": "x", "at": "2026-01-02T08:00:00", "colour": "red", "town": "Aa", '
            b'"weight": null, "pieces": null, "gift": null, "seen": null}',
            422,
            "A field occurs twice",
        ),
        (b"null", 422, "A row must be an object"),
        (b"[]", 422, "The list has no rows"),
        (b" \n[1]", 422, "A row must be an object"),
        (b"[" * 100_000, 422, "A row must be an object"),
        (b'{"a":' * 100_000, 400, "The body is not valid JSON"),
        (b'{"weight": NaN}', 400, "The body is not valid JSON"),
        (b'{"weight": 1e400}', 422, "weight must be a number"),
        (b'{"town": "\xff"}', 400, "The body is not valid JSON"),
    ],
)
def test_a_body_without_rows_is_refused(serve: Serve, body: bytes, status: int, words: str) -> None:
    refused = serve().post("/predict", content=body, headers=JSON)
    assert (refused.status_code, refused.json()["error"][: len(words)]) == (status, words)


def test_a_long_name_from_a_client_is_truncated(serve: Serve, row: Row) -> None:
    refused = serve().post("/predict", json=row(**{"x" * 100_000: 1}))
    assert (refused.status_code, len(refused.json()["field"])) == (422, 1000)
    refused = serve().get("/" + "x" * 60_000)
    assert (refused.status_code, len(refused.content) < 2000) == (404, True)


def test_an_integer_may_be_written_as_a_float_or_be_null(serve: Serve, row: Row) -> None:
    client = serve()
    rows = [row(pieces=3), row(pieces=3.0), row(pieces=None)]
    assert client.post("/predict", json=rows).status_code == 200
    pieces = client.service.rows.read(json.dumps(rows).encode())["pieces"]
    assert [repr(value) for value in pieces] == ["3", "3", "None"]


@pytest.mark.parametrize("name", ['5" pipe', "back\\slash", "new\nline"])
def test_a_name_that_json_would_have_to_escape_is_refused(contract: Contract, name: str) -> None:
    with pytest.raises(UserError, match=r"contract.yaml: the name of .* rename it to serve it"):
        Reader({name: contract.columns["size"]}, 100)


def test_too_much_is_refused(serve: Serve, row: Row) -> None:
    client = serve(max_rows=2, max_body_bytes=2000)
    assert client.post("/predict", json=[row()] * 2).status_code == 200
    refused = client.post("/predict", json=[row()] * 3)
    assert (refused.status_code, "at most 2 at a time" in refused.json()["error"]) == (413, True)
    refused = client.post("/predict", content=b" " * 2001, headers=JSON)
    assert (refused.status_code, "larger than 2000 bytes" in refused.json()["error"]) == (413, True)
    parts = (b" " * 500 for _ in range(5))  # of unknown length
    assert client.post("/predict", content=parts, headers=JSON).status_code == 413


def test_only_plain_json_is_read(serve: Serve, row: Row) -> None:
    client = serve()
    for headers in ({}, {"content-type": "text/csv"}, JSON | {"content-encoding": "gzip"}):
        assert client.post("/predict", content=b"{}", headers=headers).status_code == 415
    for encoding in ("identity", "Identity "):
        headers = {"content-encoding": encoding}
        assert client.post("/predict", json=row(), headers=headers).status_code == 200


def test_each_of_several_api_keys_is_accepted_and_no_other(serve: Serve, row: Row) -> None:
    client = serve(demo=False, api_keys=f"{KEY}, {OTHER}")
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": OTHER}):
        assert client.post("/predict", json=row(), headers=headers).status_code == 200
        assert client.get("/model", headers=headers).status_code == 200
    for headers in ({}, {"authorization": f"Bearer {KEY}x"}, {"authorization": f"Basic {KEY}"}):
        for method, path in [*(("POST", path) for path in POSTS), ("GET", "/model")]:
            refused = client.request(method, path, json=row(), headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    for path in ("/health", "/ready", "/metrics", "/openapi.json", "/docs"):
        assert client.get(path).status_code == client.request("HEAD", path).status_code == 200


def test_responses_carry_the_request_id_and_security_headers(serve: Serve, row: Row) -> None:
    client = serve()
    answer = client.post("/predict", json=row(), headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
    for invalid in ("", "a b", "x" * 65, '{"a":1}'):
        response = client.get("/nowhere", headers={"x-request-id": invalid})
        assert response.headers["x-request-id"] == response.json()["request_id"] != invalid
    for response in (answer, client.get("/health"), client.get("/nowhere")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "access-control-allow-origin" not in response.headers


def test_a_wrong_path_or_method_is_refused_in_one_sentence(serve: Serve) -> None:
    client = serve()
    assert client.get("/nowhere").status_code == 404
    assert client.get("/predict").status_code == client.post("/model").status_code == 405
    assert client.get("/predict").headers["allow"] == "POST"
    for path in ("/nowhere", "/health"):
        error = client.request("DELETE", path).json()["error"]
        assert error == f"{path} does not answer DELETE; see /openapi.json"


def test_the_model_is_described(serve: Serve, shop: Path, models: Path) -> None:
    version = {"version": "v1.2.0", "commit": "abc", "date": "today"}
    metrics = {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}}
    gate = {"passed": True, "checks": [{"name": "better than the baseline", "passed": True}]}
    freshness = {"newest": "2026-01-05", "days": 2}
    (shop / "reports").mkdir()
    for path, document in {
        "version.json": version,
        "metrics.json": metrics,
        "reports/gate.json": gate,
        "reports/data_quality.json": {"freshness": freshness, "rows": 60},
    }.items():
        (shop / path).write_text(json.dumps(document))
    info = json.loads((shop / "models/model.json").read_text())
    copied = ("sha256", "task", "target", "classes", "candidate", "features", "contract_version")
    assert serve(shadow_folder=models / "shop", commit="ignored").get("/model").json() == {
        **version,
        **{name: info[name] for name in copied},
        "shadow_version": f"unreleased-{info['sha256'][:8]}",
        "coverage": 0.9,
        "positive": None,  # model.json of older versions lacks it
        "decision_threshold": 0.4,
        "data_window": {"rows": 60, "until": "2026-01-05 00:00:00"},
        "metrics": metrics,
        "gate": gate,
        "freshness": freshness,
    }


def test_every_key_is_compared_whichever_is_valid(
    serve: Serve, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(demo=False, api_keys=f"{KEY}, {OTHER}")
    compared: list[bool] = []

    def compare(digest: bytes, valid: bytes) -> bool:
        compared.append(digest == valid)
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for key in (KEY, OTHER, "wrong"):
        client.post("/predict", json=row(), headers={"x-api-key": key})
    assert compared == [True, False, False, True, False, False]


def test_metrics_count_answers_and_refusals(serve: Serve, row: Row) -> None:
    client = serve()
    client.post("/predict", json=[row(), row(weight=0)])
    client.post("/predict", json={})
    client.get("/made-up/by-a-stranger")
    page = client.get("/metrics").text
    assert 'serving_requests_total{path="/predict",status="200"} 1.0' in page
    assert 'serving_requests_total{path="/predict",status="422"} 1.0' in page
    assert 'serving_requests_total{path="other",status="404"} 1.0' in page
    assert 'serving_predictions_total{class="true"} 1.0' in page
    assert 'serving_request_seconds_bucket{le="0.1",path="/predict"}' in page
    assert "serving_model_age_seconds" in page
    assert "serving_ready 1.0" in page


def test_openapi_describes_rows_as_the_contract_does(serve: Serve, row: Row) -> None:
    document = serve().get("/openapi.json").json()
    schema = document["components"]["schemas"]["Row"]
    Draft202012Validator.check_schema(schema)
    valid = Draft202012Validator(schema).is_valid
    assert valid(row())
    assert valid(schema["examples"][0])
    invalid = [{"weight": 31}, {"colour": "green"}, {"late": True}, {"at": "2026-02-30T00:00:00"}]
    invalid += [{"pieces": 2.5}, {"pieces": 10}, {"pieces": ...}]
    assert not any(valid(row(**changes)) for changes in invalid)
    assert schema["properties"]["weight"]["description"] == "what it is, in kg"
    assert set(document["paths"]["/predict"]["post"]["responses"]) >= {"408", "413", "429"}


def test_the_document_requires_a_key_only_if_the_service_does(serve: Serve) -> None:
    for settings, guarded in [({}, set()), ({"demo": False, "api_keys": KEY}, {*POSTS, "/model"})]:
        paths = serve(**settings).get("/openapi.json").json()["paths"]
        for words in ('"security"', '"401"'):
            assert {name for name, path in paths.items() if words in json.dumps(path)} == guarded


def test_the_docs_page_loads_nothing(serve: Serve) -> None:
    page = serve().get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<h2>/predict</h2>" in page.text
    assert not re.search(r"<script|<link|<img|https?://", page.text)


def test_the_host_header_is_never_redirected_to(serve: Serve) -> None:
    answer = serve().get("/model/", headers={"host": "evil.example"})
    assert (answer.status_code, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("names", [["class", "a b", "1"], ["self", "", "é\"'"]])
def test_classes_may_have_any_name(names: list[str]) -> None:
    scorer = SimpleNamespace(info={"coverage": 0.9, "threshold": 0.5})
    model: Any = SimpleNamespace(scorer=scorer, version="v1")
    answers = Answers(
        np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32),
        decision=np.array([0, 2]),
        members=np.array([[True, True, False], [False, False, False]]),
    )
    reply = msgspec.json.encode(predictions("an-id", model, names, answers))
    first, second = json.loads(reply)["predictions"]
    assert first == {
        "prediction": names[0],
        "probability": dict(zip(names, [0.5, 0.25, 0.25], strict=True)),
        "set": names[:2],
    }
    assert (second["prediction"], second["set"]) == (names[2], [])
