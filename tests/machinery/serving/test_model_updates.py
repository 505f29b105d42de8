"""New models while the service runs, challengers, and feedback."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import Answers
from machinery.serving.log_files import read

Serve = Callable[..., Any]
Row = Callable[..., dict[str, Any]]


def replace(shop: Path, other: Path) -> None:
    for path in other.rglob("*.*"):
        target = shop / path.relative_to(other)
        shutil.copy(path, target.with_suffix(".part"))
        target.with_suffix(".part").replace(target)


def poll(client: Any, times: int = 2) -> None:
    """Poll as the service does every few seconds; files must not change between two polls."""
    for _ in range(times):
        asyncio.run(client.service.champion.poll())


def version(client: Any, row: Row) -> Any:
    return client.post("/predict", json=row()).json()["model_version"]


def test_a_new_model_is_swapped_in_while_the_service_runs(
    serve: Serve, row: Row, shop: Path, models: Path
) -> None:
    client = serve()
    old = version(client, row)
    replace(shop, models / "other")
    assert client.get("/ready").status_code == 200
    poll(client, times=1)
    assert version(client, row) == old == client.get("/ready").json()["model_version"]
    poll(client, times=1)
    assert version(client, row) != old
    assert client.get("/ready").status_code == 200
    assert 'outcome="swapped",role="champion"} 1.0' in client.get("/metrics").text


def make_personal(path: Path) -> None:
    """Mark a column as personal that the service logs unchanged."""
    contract = yaml.safe_load(path.read_text())
    contract["columns"]["town"]["personal"] = True
    path.write_text(yaml.safe_dump(contract))


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "model": lambda shop, _: (shop / "models/model.onnx").write_bytes(b"no model"),
    "torn": lambda shop, models: copy("models/model.onnx", models / "other", shop),
    "answers": lambda shop, models: copy("models/examples.json", models / "other", shop),
    "contract": lambda shop, models: replace(shop, models / "days"),
    "personal": lambda shop, _: make_personal(shop / "contract.yaml"),
    "gone": lambda shop, _: (shop / "models/model.json").unlink(),
    "version": lambda shop, _: (shop / "version.json").write_text("[]"),
}


def copy(name: str, source: Path, target: Path) -> None:
    shutil.copy(source / name, target / name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_refused_and_the_old_model_keeps_answering(
    serve: Serve, row: Row, shop: Path, models: Path, damage: str
) -> None:
    client = serve()
    before = client.post("/predict", json=row()).json()
    DAMAGES[damage](shop, models)
    assert client.get("/ready").status_code == 200
    poll(client)
    assert client.get("/ready").json()["model_version"] == before["model_version"]
    after = client.post("/predict", json=row()).json()
    assert after["predictions"] == before["predictions"]
    assert after["model_version"] == before["model_version"]
    assert 'outcome="refused",role="champion"} 1.0' in client.get("/metrics").text
    poll(client, times=3)
    assert 'outcome="refused",role="champion"} 1.0' in client.get("/metrics").text
    (shop / "version.json").unlink(missing_ok=True)
    replace(shop, models / "shop")
    poll(client)
    assert version(client, row) == before["model_version"]


def test_models_without_a_version_are_distinguished_by_their_hash(
    serve: Serve, row: Row, shop: Path, models: Path
) -> None:
    client = serve(version="v1", commit="abc")
    old, commit = version(client, row), client.get("/model").json()["commit"]
    digest = json.loads((shop / "models/model.json").read_text())["sha256"]
    assert (old, commit) == (f"v1-{digest[:8]}", "abc")
    replace(shop, models / "other")
    poll(client)
    assert version(client, row) not in (old, "v1")
    assert client.get("/model").json()["commit"] is None


def test_a_model_that_no_longer_reproduces_its_examples_is_not_ready(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    scorer = client.service.champion.model.scorer
    monkeypatch.setattr(scorer, "answers", lambda columns: Answers(np.zeros((18, 2))))
    ready = client.get("/ready")
    assert (ready.status_code, "do not belong together" in ready.json()["error"]) == (503, True)
    assert client.get("/health").status_code == 200
    assert "serving_ready 0.0" in client.get("/metrics").text
    monkeypatch.undo()
    assert client.get("/ready").status_code == 200
    assert "serving_ready 1.0" in client.get("/metrics").text


def test_a_folder_without_a_model_is_refused_at_the_start(serve: Serve, shop: Path) -> None:
    (shop / "models/model.onnx").unlink()
    with pytest.raises(UserError, match="model.onnx is missing"):
        serve()


def test_answers_of_a_challenger_are_only_logged(
    serve: Serve, row: Row, shop: Path, models: Path, tmp_path: Path
) -> None:
    rows = [row(), row(weight=None)]
    plain = serve().post("/predict", json=rows).json()["predictions"]
    client = serve(shadow_folder=models / "other", prediction_log=tmp_path / "log")
    answer = client.post("/predict", json=rows, headers={"x-request-id": "r"})
    assert answer.json()["predictions"] == plain
    logged = read(tmp_path / "log").to_pandas().set_index(["role", "row"])
    assert len(logged) == 4
    assert set(logged["request_id"]) == {"r"}
    champion, shadow = (logged.loc[(role, 0)] for role in ("champion", "shadow"))
    assert champion["probability_true"] == pytest.approx(plain[0]["probability"]["true"], abs=1e-6)
    assert abs(champion["probability_true"] - shadow["probability_true"]) > 0.01
    assert champion["model_version"] != shadow["model_version"]


def test_a_challenger_that_fails_is_counted_and_fails_no_request(
    serve: Serve, row: Row, models: Path, tmp_path: Path
) -> None:
    client = serve(shadow_folder=models / "other", prediction_log=tmp_path / "log")

    def fail(features: Any) -> Any:
        raise RuntimeError("a challenger that fails")

    client.service.shadow.model.scorer.score = fail
    assert [client.post("/predict", json=row()).status_code for _ in range(2)] == [200, 200]
    assert "serving_shadow_errors_total 2.0" in client.get("/metrics").text
    assert read(tmp_path / "log").to_pandas()["role"].tolist() == ["champion"] * 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"request_id": "r", "outcome": "yes"}, "outcome must be true or false"),
        ({"request_id": "r"}, "outcome is missing"),
        ({"outcome": True}, "request_id is missing"),
        ({"request_id": "r", "outcome": True, "row": -1}, "row must be an integer from 0"),
    ],
)
def test_invalid_feedback_is_refused(
    serve: Serve, tmp_path: Path, body: dict[str, Any], words: str
) -> None:
    refused = serve(prediction_log=tmp_path / "log").post("/feedback", json=body)
    assert (refused.status_code, refused.json()["error"][: len(words)]) == (422, words)


def test_feedback_without_a_log_is_refused(serve: Serve) -> None:
    refused = serve().post("/feedback", json={"request_id": "r", "outcome": True})
    assert (refused.status_code, "no prediction log" in refused.json()["error"]) == (503, True)


def test_examples_include_missing_values_and_unseen_strings(shop: Path) -> None:
    stored = json.loads((shop / "models/examples.json").read_text())
    rows = stored["rows"]
    assert len(rows) == stored["real"] + 2 == len(stored["predictions"])
    assert rows[-2]["weight"] is None
    assert rows[-1]["town"] == "(never seen)"
