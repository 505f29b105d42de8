"""The service of the reproduced project in real processes, over real HTTP."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import BakedProject
from s3 import free_port
from service import KEY, PATIENCE, Server, for_serving, serving, until

ROWS_OF = """
import json, sys
import pandas as pd
rows = pd.read_parquet("data/test.parquet").drop(columns=sys.argv[1:])
times = rows.select_dtypes("datetime")
texts = {name: times[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in times}
rows = rows.assign(**texts).astype(object)
answers = pd.read_parquet("data/predictions.parquet")
print(json.dumps([rows.where(rows.notna(), None).to_dict("records"),
    answers.drop(columns="scheduled_departure").to_dict("records")]))
"""
MONITORED = "# HELP monitoring_rows Rows.\n# TYPE monitoring_rows gauge\nmonitoring_rows 7.0\n"
AFTER = ("departure_delay", "arrival_delay", "air_time", "late")


@pytest.fixture(scope="module")
def table(reproduced: BakedProject) -> tuple[list[Any], list[Any]]:
    """Every row of the test table as in requests, and the pipeline's predictions."""
    printed = reproduced.run("python", "-c", ROWS_OF, *AFTER).stdout
    rows, answers = json.loads(printed)
    return rows, answers


@pytest.fixture
def served(reproduced: BakedProject, tmp_path: Path) -> BakedProject:
    """A copy of the files and the code of the reproduced project that the service needs."""
    return for_serving(reproduced, tmp_path)


def differences(server: Server, rows: list[Any], answers: list[Any]) -> list[int]:
    """The rows for which HTTP and the pipeline differ."""
    predictions, wrong = [], []
    for start in range(0, len(rows), 1000):
        status, document = server.ask("/predict", rows[start : start + 1000])
        assert status == 200, document
        predictions += document["predictions"]
    assert len(predictions) == len(answers)
    for place, (prediction, expected) in enumerate(zip(predictions, answers, strict=True)):
        near = all(
            math.isclose(
                prediction["probability"][name], expected[f"probability_{name}"], abs_tol=1e-6
            )
            and (name in prediction["set"]) == expected[f"in_set_{name}"]
            for name in ("false", "true")
        )
        if not near or prediction["prediction"] != expected["prediction"]:
            wrong.append(place)
    return wrong


def test_every_test_row_is_answered_over_http_as_in_the_pipeline(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    rows, answers = table
    assert len(rows) > 2000
    with serving(served) as server:
        version = server.ask("/model")[1]["version"]
        assert server.ask("/ready") == (200, {"status": "ready", "model_version": version})
        assert differences(server, rows, answers) == []
        planted = [*rows[:4], rows[4] | {"scheduled_departure": "2013-07-01T23:00:00"}, *rows[5:]]
        assert differences(server, planted, answers) == [4]
        assert server.stop() == 0
    assert len(logged(served)) == 2 * len(rows)


def logged(project: BakedProject) -> list[tuple[str, bool | None]]:
    """The request id of each row in the prediction log, and its outcome."""
    script = (
        "import json\nfrom pathlib import Path\nfrom machinery.serving.log_files import read\n"
        "rows = read(Path('logs/predictions')).select(['request_id', 'outcome']).to_pylist()\n"
        "print(json.dumps([[*row.values()] for row in rows]))"
    )
    return [tuple(row) for row in json.loads(project.run("python", "-c", script).stdout)]


def test_features_that_changed_after_training_are_refused_before_anybody_is_answered(
    served: BakedProject,
) -> None:
    path = served.path / "src/flight_delays/features.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('timedelta64(1, "h")', 'timedelta64(1, "m")'), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    done = served.run("flight-delays", "serve", "--demo", "--port", "0", check=False)
    assert done.returncode == 2
    assert "features.py do not belong together" in done.stdout


def test_a_new_model_takes_over_without_a_request_lost(
    served: BakedProject, small: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    with serving(served, workers=2, shadow_folder=small.path) as server:
        old = server.ask("/model")[1]["version"]
        responses: list[tuple[int, str]] = []

        def answers_of_new_model() -> bool:
            status, document = server.ask("/predict", table[0][0])
            responses.append((status, document["model_version"]))
            return len(responses) > 20 and all(version != old for _, version in responses[-20:])

        (served.path / "models/model.onnx").write_bytes(b"a bad file")
        server.printed("model refused", 2)
        assert server.ask("/predict", table[0][0])[1]["model_version"] == old
        for name in ("model.onnx", "model.json", "examples.json"):
            part = served.path / "models" / f"{name}.part"
            shutil.copy(small.path / "models" / name, part)
            part.replace(served.path / "models" / name)
        until(answers_of_new_model)
        assert {status for status, _ in responses} == {200}
        assert server.stop() == 0


def test_a_request_under_way_is_answered_when_the_service_is_stopped(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    body = json.dumps(table[0][0]).encode()
    head = (
        "POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with serving(served, workers=2) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        connection.sendall(head.encode() + body[:50])
        until(lambda: server.ask("/health")[0] == 200)
        server.process.send_signal(signal.SIGTERM)
        server.printed(r"Shutting down", 2)
        connection.sendall(body[50:])
        assert connection.recv(100_000).startswith(b"HTTP/1.1 200")
        connection.close()
        assert server.process.wait(PATIENCE) == 0
    assert len(logged(served)) == 1


def test_a_worker_that_is_killed_is_replaced_while_the_others_answer(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    with serving(served, workers=2) as server:
        first, _ = server.workers(2)
        os.kill(first, signal.SIGKILL)
        server.workers(3)
        server.printed(r"Application startup complete", 3)
        with ThreadPoolExecutor(8) as pool:
            statuses = pool.map(lambda row: server.ask("/predict", row)[0], table[0][:40])
            assert set(statuses) == {200}
        page = server.ask("/metrics")[1]
        assert 'serving_requests_total{path="/predict",status="200"} 40.0' in page
        gauges = served.path / "logs/predictions/monitoring.prom"
        gauges.write_text(MONITORED, encoding="utf-8")
        page = server.ask("/metrics")[1]
        assert page.count(MONITORED) == 1
        assert "\nserving_monitoring_unreadable 0.0\n" in page
        assert server.stop() == 0


def test_a_worker_that_starts_beside_a_bad_file_is_started_again_while_the_other_answers(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    model = served.path / "models/model.onnx"
    good = model.read_bytes()
    with serving(served, workers=2) as server:
        first, _ = server.workers(2)
        model.write_bytes(b"a bad file")
        server.printed("model refused", 2)
        os.kill(first, signal.SIGKILL)
        server.printed("is not a model file that 'train' wrote", 4)  # twice when started
        assert server.ask("/predict", table[0][0])[0] == 200
        model.write_bytes(good)
        server.printed(r"Application startup complete", 3)
        assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_answered_before_a_kill_stands_in_the_log_once(
    served: BakedProject, table: tuple[list[Any], list[Any]], workers: int
) -> None:
    with serving(served, workers=workers) as server:
        answered = [server.ask("/predict", row)[1]["request_id"] for row in table[0][:20]]
        for request_id in answered:
            assert server.ask("/feedback", {"request_id": request_id, "outcome": True})[0] == 200
        for pid in server.workers(workers):
            os.kill(pid, signal.SIGKILL)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(PATIENCE)
    assert sorted(logged(served)) == sorted((request_id, True) for request_id in answered)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_told_to_stop_while_it_opens_its_model_stops(
    project: BakedProject, tmp_path: Path, workers: int, number: int
) -> None:
    pipe = tmp_path / "contract.yaml"  # whoever reads it waits
    os.mkfifo(pipe)

    def writer() -> int | None:
        with suppress(OSError):  # nobody reads yet
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        return None

    with serving(project, workers, opened=False, model_folder=tmp_path) as server:
        end = until(writer)
        time.sleep(0.5)  # a signal between Python's last look for one and read() would wait for it
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE) == 0
        os.close(end)


def test_every_line_of_the_log_is_json_and_requests_are_told_by_their_id(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    with serving(served) as server:
        answered = server.ask("/predict", table[0][0])[1]["request_id"]
        refused = server.ask("/predict", {})[1]["request_id"]
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.output.read_text().splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["request_id"], line["path"], line["status"]) for line in requests] == [
        (answered, "/predict", 200),
        (refused, "/predict", 422),
    ]
    assert all(line["milliseconds"] > 0 for line in requests)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_service_whose_own_log_has_no_room_answers_all_the_same(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    output, port = served.path / "errors", free_port()
    command = ["flight-delays", "serve", "--port", str(port)]
    with Path("/dev/full").open("wb") as full, output.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=served.path,
            env=served.environment | {"FLIGHT_DELAYS_API_KEYS": KEY},
            stdout=full,
            stderr=errors,
        )
    try:
        server = Server(process, output, port)
        until(lambda: answers(server, "/ready"))
        assert server.ask("/predict", table[0][0])[0] == 200
        (served.path / "models/model.onnx").write_bytes(b"a bad file")  # which is logged
        until(lambda: 'outcome="refused"' in server.ask("/metrics")[1])
        assert server.ask("/predict", table[0][1])[0] == 200
        assert server.stop() == 0
    finally:
        process.kill()
        process.wait()
    lines = output.read_text().splitlines()
    assert {*lines} == {"Lines of the log are lost: [Errno 28] No space left on device"}
    assert len(logged(served)) == 2


def answers(server: Server, path: str) -> bool:
    with suppress(OSError):
        return server.ask(path)[0] == 200
    return False


def test_many_idle_clients_do_not_stop_the_service(
    served: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    with serving(served) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        assert server.ask("/predict", table[0][0])[0] == 200
        for connection in idle:
            connection.close()
        assert server.ask("/predict", b" " * 10_000_000)[0] == 413
        assert server.ask("/predict", table[0][0], key="wrong")[0] == 401


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({}, [], "FLIGHT_DELAYS_API_KEYS is not set"),
        ({"API_KEYS": KEY, "MODEL_FOLDER": "nowhere"}, [], "nowhere/contract.yaml is missing"),
        ({"API_KEYS": KEY, "MODEL_FOLDER": "nowhere"}, ["--workers", "2"], "nowhere/contract.yaml"),
        ({}, ["--demo", "--host", "0.0.0.0"], "listens on 127.0.0.1 only"),
    ],
)
def test_the_service_does_not_start_without_what_it_needs(
    project: BakedProject, settings: dict[str, str], arguments: list[str], words: str
) -> None:
    names = {f"FLIGHT_DELAYS_{name}": value for name, value in settings.items()}
    command = ["flight-delays", "serve", "--port", "0", *arguments]
    done = project.run(*command, check=False, **names)
    assert (done.returncode, words in done.stdout) == (2, True), done.stdout
    assert "Traceback" not in done.stdout


def test_a_port_that_is_taken_is_named(project: BakedProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = project.run("flight-delays", "serve", "--demo", "--port", port, check=False)
    assert (done.returncode, f"127.0.0.1:{port}" in done.stdout) == (2, True)


def test_the_service_installs_and_runs_without_dvc_and_scikit_learn(
    served: BakedProject, project: BakedProject, table: tuple[list[Any], list[Any]]
) -> None:
    project.run("uv", "venv", "--quiet", str(served.path / ".venv"))
    python = served.path / ".venv/bin/python"
    project.run(
        "uv", "pip", "install", "--quiet", "--python", str(python), f"{project.path}[serve]"
    )
    for name in ("dvc", "sklearn", "skl2onnx", "pandera", "hamilton", "pandas"):
        assert served.run(python, "-c", f"import {name}", check=False).returncode == 1
    path = f"{served.path / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    alone = BakedProject(served.path, served.environment | {"PATH": path})
    with serving(alone) as server:
        assert server.ask("/ready")[0] == 200
        assert differences(server, table[0][:100], table[1][:100]) == []
