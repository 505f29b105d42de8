"""Models come and go while the service answers; what it answers is logged, and what they say."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machinery.pipeline.files import UserError
from machinery.serving.log_reader import read
from machinery.serving.model_files import Kept, signature

Serve = Callable[..., Any]
Row = Callable[..., dict[str, Any]]
Features = Callable[[str], None]


def replace(shop: Path, other: Path) -> None:
    for path in other.rglob("*.*"):
        target = shop / path.relative_to(other)
        shutil.copy(path, target.with_suffix(".part"))
        target.with_suffix(".part").replace(target)


def look(client: Any, times: int = 2) -> None:
    """What the service does every few seconds; files must rest for one look before they count."""
    for _ in range(times):
        client.run(client.service.champion.look())


def version(client: Any, row: Row) -> str:
    found: str = client.post("/predict", json=row()).json()["model_version"]
    return found


def test_a_new_model_is_swapped_in_while_the_service_runs(
    serve: Serve, row: Row, shop: Path, models: Path
) -> None:
    client = serve()
    old = version(client, row)
    replace(shop, models / "other")
    assert client.get("/ready").status_code == 200
    look(client, times=1)
    assert version(client, row) == old == client.get("/ready").json()["model_version"]
    look(client, times=1)
    assert version(client, row) != old
    assert client.get("/ready").status_code == 200
    assert 'outcome="swapped",role="champion"} 1.0' in client.get("/metrics").text


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "model": lambda shop, _: (shop / "models/model.onnx").write_bytes(b"no model"),
    "torn": lambda shop, models: copy("models/model.onnx", models / "other", shop),
    "answers": lambda shop, models: copy("models/examples.json", models / "other", shop),
    "contract": lambda shop, models: replace(shop, models / "days"),
    "gone": lambda shop, _: (shop / "models/model.json").unlink(),
    "info": lambda shop, _: (shop / "models/model.json").write_text("{}"),
    "list": lambda shop, _: (shop / "models/model.json").write_text("[]"),
    "no examples": lambda shop, _: (shop / "models/examples.json").unlink(),
    "empty examples": lambda shop, _: (shop / "models/examples.json").write_text("{}"),
    "version": lambda shop, _: (shop / "version.json").write_text("[]"),
}


def copy(name: str, source: Path, target: Path) -> None:
    shutil.copy(source / name, target / name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_refused_and_the_old_model_goes_on(
    serve: Serve, row: Row, shop: Path, models: Path, damage: str
) -> None:
    client = serve()
    before = client.post("/predict", json=row()).json()
    DAMAGES[damage](shop, models)
    assert client.get("/ready").status_code == 200
    look(client)
    assert client.get("/ready").json()["model_version"] == before["model_version"]
    after = client.post("/predict", json=row()).json()
    assert after["predictions"] == before["predictions"]
    assert after["model_version"] == before["model_version"]
    assert 'outcome="refused",role="champion"} 1.0' in client.get("/metrics").text
    look(client, times=3)
    assert 'outcome="refused",role="champion"} 1.0' in client.get("/metrics").text
    (shop / "version.json").unlink(missing_ok=True)
    replace(shop, models / "shop")
    look(client)
    assert version(client, row) == before["model_version"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_worker_that_starts_over_a_bad_file_answers_with_the_model_of_its_siblings(
    serve: Serve, row: Row, shop: Path, models: Path, tmp_path: Path, damage: str
) -> None:
    first = serve(kept=tmp_path / "kept")
    DAMAGES[damage](shop, models)
    second = serve(kept=tmp_path / "kept")
    assert version(second, row) == version(first, row)
    assert second.get("/ready").status_code == 200
    assert second.get("/openapi.json").json() == first.get("/openapi.json").json()
    assert 'outcome="refused",role="champion"} 1.0' in second.get("/metrics").text


def test_what_was_swapped_in_last_is_kept_and_nothing_before_it(
    serve: Serve, row: Row, shop: Path, models: Path, tmp_path: Path
) -> None:
    first = serve(kept=tmp_path / "kept")
    replace(shop, models / "other")
    look(first)
    (shop / "models/model.onnx").unlink()
    assert version(serve(kept=tmp_path / "kept"), row) == version(first, row)
    folder = tmp_path / "kept/champion"
    assert {each.name for each in folder.iterdir()} == {
        "lock",
        "accepted",
        (folder / "accepted").resolve().name,
    }


def test_files_that_changed_since_they_were_accepted_are_not_kept(
    shop: Path, models: Path, tmp_path: Path
) -> None:
    kept, accepted = Kept(tmp_path), signature(shop)
    kept.keep(shop, accepted)
    first = kept.model
    replace(shop, models / "other")
    kept.keep(shop, accepted)  # of a worker that is late
    assert kept.model == first
    kept.keep(shop, (*accepted[:-1], (0, 0, 0)))
    assert kept.model == first


def test_a_disk_that_is_full_keeps_nothing_and_stops_nothing(
    serve: Serve, row: Row, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("no folder")
    assert serve(kept=tmp_path / "kept").post("/predict", json=row()).status_code == 200


def test_models_without_a_version_of_their_own_are_told_apart_by_their_hash(
    serve: Serve, row: Row, shop: Path, models: Path
) -> None:
    client = serve(version="v1", commit="abc")
    old, commit = version(client, row), client.get("/model").json()["commit"]
    digest = json.loads((shop / "models/model.json").read_text())["sha256"]
    assert (old, commit) == (f"v1-{digest[:8]}", "abc")
    replace(shop, models / "other")
    look(client)
    assert version(client, row) not in (old, "v1")
    assert client.get("/model").json()["commit"] is None


def test_features_that_changed_after_training_are_caught(
    serve: Serve, row: Row, features: Features, shop: Path
) -> None:
    source = (shop.parent / "shop_features.py").read_text()
    features(source.replace("dtype=np.float32)\n\n@tag", "dtype=np.float32) + 1\n\n@tag"))
    client = serve()
    ready, answer = client.get("/ready"), client.post("/predict", json=row())
    assert (ready.status_code, answer.status_code) == (503, 503)
    assert "do not belong together" in ready.json()["error"]
    assert answer.headers["retry-after"] == "5"
    assert client.get("/health").status_code == 200
    assert client.get("/model").status_code == 503
    assert "serving_ready 0.0" in client.get("/metrics").text


def test_a_folder_without_a_model_is_refused_at_the_start(serve: Serve, shop: Path) -> None:
    (shop / "models/model.onnx").unlink()
    with pytest.raises(UserError, match="model.onnx is missing"):
        serve()


def test_a_challenger_answers_into_the_log_only(
    serve: Serve, row: Row, shop: Path, models: Path, tmp_path: Path
) -> None:
    plain = serve().post("/predict", json=row()).json()["predictions"]
    client = serve(shadow_folder=models / "other", prediction_log=tmp_path / "log")
    answer = client.post("/predict", json=[row(), row(weight=None)], headers={"x-request-id": "r"})
    assert answer.json()["predictions"][0] == plain[0]
    client.close()
    logged = read(tmp_path / "log").to_pandas().set_index(["role", "row"])
    assert len(logged) == 4
    assert set(logged["request_id"]) == {"r"}
    champion, shadow = (logged.loc[(role, 0)] for role in ("champion", "shadow"))
    assert champion["probability_true"] == pytest.approx(plain[0]["probability"]["true"], abs=1e-6)
    assert abs(champion["probability_true"] - shadow["probability_true"]) > 0.01
    assert champion["model_version"] != shadow["model_version"]


def test_a_challenger_that_fails_is_counted_and_answers_go_on(
    serve: Serve, row: Row, models: Path, tmp_path: Path
) -> None:
    client = serve(shadow_folder=models / "other", prediction_log=tmp_path / "log")

    def fail(features: Any) -> Any:
        raise RuntimeError("a challenger that fails")

    client.service.shadow.model.scorer.score = fail
    assert [client.post("/predict", json=row()).status_code for _ in range(2)] == [200, 200]
    assert "serving_shadow_errors_total 2.0" in client.get("/metrics").text
    client.close()
    assert read(tmp_path / "log").to_pandas()["role"].tolist() == ["champion"] * 2


def test_every_answer_is_logged_and_joined_with_its_outcome(
    serve: Serve, row: Row, tmp_path: Path
) -> None:
    client = serve(prediction_log=tmp_path / "log")
    first = client.post("/predict", json=[row(), row(town="Bonn")]).json()
    client.post("/predict", json=row(weight=99))
    outcome = {"request_id": first["request_id"], "row": 1, "outcome": True}
    assert client.post("/feedback", json=outcome).json()["accepted"] == 1
    client.close()
    logged = read(tmp_path / "log").to_pandas()
    assert logged["raw_town"].tolist() == ["Aa", "Bonn"]
    assert logged["feature_place"].tolist() == ["Aa", "Bonn"]
    assert logged["outcome"].tolist() == [None, True]
    given = [each["probability"]["true"] for each in first["predictions"]]
    assert logged["probability_true"].tolist() == pytest.approx(given, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"request_id": "r", "outcome": "yes"}, "outcome must be true or false"),
        ({"request_id": "r"}, "outcome is missing"),
        ({"outcome": True}, "request_id is missing"),
        ({"request_id": "r", "outcome": True, "row": -1}, "row must be an integer from 0"),
    ],
)
def test_feedback_that_means_nothing_is_refused(
    serve: Serve, tmp_path: Path, body: dict[str, Any], words: str
) -> None:
    refused = serve(prediction_log=tmp_path / "log").post("/feedback", json=body)
    assert (refused.status_code, refused.json()["error"][: len(words)]) == (422, words)


def test_feedback_without_a_log_is_not_swallowed(serve: Serve) -> None:
    refused = serve().post("/feedback", json={"request_id": "r", "outcome": True})
    assert (refused.status_code, "No prediction log" in refused.json()["error"]) == (503, True)


def test_a_log_that_is_full_fails_no_answer_and_is_counted(
    serve: Serve, row: Row, tmp_path: Path
) -> None:
    client = serve(prediction_log=tmp_path / "log", log_queue_rows=1, log_flush_seconds=60)
    assert client.post("/predict", json=[row()] * 3).status_code == 200
    assert "serving_log_dropped_rows_total 3.0" in client.get("/metrics").text


def test_a_folder_that_cannot_be_written_fails_no_answer_and_is_counted_until_it_can(
    serve: Serve, row: Row, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.write_text("a file in its place")
    client = serve(prediction_log=folder)
    answer = client.post("/predict", json=[row()] * 3)
    outcome = {"request_id": answer.json()["request_id"], "outcome": True}
    assert (answer.status_code, client.post("/feedback", json=outcome).status_code) == (200, 200)
    assert counted(client, "serving_log_write_errors_total") >= 2
    assert counted(client, "serving_log_queued_rows") == 4
    folder.unlink()
    assert counted(client, "serving_log_queued_rows") == 0
    assert counted(client, "serving_log_dropped_rows_total") == 0
    client.close()
    assert read(folder)["outcome"].to_pylist() == [True, None, None]


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def counted(client: Any, name: str) -> float:
    """A metric without labels, as the page says it."""
    (line,) = re.findall(rf"^{name} (.*)$", client.get("/metrics").text, re.MULTILINE)
    return float(line)


def test_what_was_answered_outlives_the_process(
    serve: Serve, row: Row, shop: Path, models: Path, tmp_path: Path
) -> None:
    folder, killed = tmp_path / "log", tmp_path / "killed"
    client = serve(shadow_folder=models / "other", prediction_log=folder, log_flush_seconds=60)
    request_id = client.post("/predict", json=[row()] * 2).json()["request_id"]
    client.post("/feedback", json={"request_id": request_id, "row": 1, "outcome": True})
    shutil.copytree(folder, killed)  # as it lies there now, without the lock
    serve(prediction_log=killed)
    until(lambda: not [*killed.glob(".*")])
    logged = read(killed).select(["request_id", "row", "role", "outcome"]).to_pylist()
    assert sorted(tuple(each.values()) for each in logged) == [
        (request_id, 0, "champion", None),
        (request_id, 0, "shadow", None),
        (request_id, 1, "champion", True),
        (request_id, 1, "shadow", True),
    ]


def test_examples_hold_rows_that_lack_things_and_unknown_texts(shop: Path) -> None:
    stored = json.loads((shop / "models/examples.json").read_text())
    rows = stored["rows"]
    assert len(rows) == stored["real"] + 2 == len(stored["predictions"])
    assert rows[-2]["weight"] is None
    assert rows[-1]["town"] == "(never seen)"
