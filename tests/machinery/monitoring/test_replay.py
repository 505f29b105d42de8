"""A real service gets the rows of a replay, each once, and each outcome when it was known."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
import yaml
from typer.testing import CliRunner, Result

from machinery.commands.cli import app
from machinery.monitoring import replay
from machinery.monitoring.replay import timeline
from machinery.pipeline.data import contract as contracts
from machinery.serving.app import Service, application
from machinery.serving.log_files import read
from machinery.serving.settings import Settings
from shop import features
from shop.model_folder import a_table
from shop.project import Shop

KEY = "a-key-of-the-shop"
LOG = Path("logs/predictions")
PARAMS = {"ingest": {"until": "2026-01-03", "source": {"days": 2}}}
Start = Callable[..., str]


def write_source(**columns: Any) -> pd.DataFrame:
    """Sixty parcels of four days; the data window ends after two."""
    table = a_table().assign(**columns)
    table.to_parquet("data/source")
    return table[table["at"] >= "2026-01-03"].reset_index(drop=True)


@pytest.fixture(autouse=True)
def rows(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pd.DataFrame]:
    """The shop as a project; the rows of its source after the data window.

    The environment names a proxy that does not answer: replay must not use it.
    """
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(shop)
    (shop / "data").mkdir()
    (shop / "params.yaml").write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    yield write_source()
    contracts.load.cache_clear()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A service that listens, in a thread; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        service = application(Service(features, settings))
        server = uvicorn.Server(uvicorn.Config(service, ws="none", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the service with settings; it is stopped after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            serving(Settings(demo=True, access_log=False, **settings))
        )


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["replay", "--url", url, *arguments], obj=Shop())


def test_each_row_after_the_data_window_is_answered_once_and_has_its_outcome(
    start: Start, rows: pd.DataFrame
) -> None:
    done = run(start())
    assert done.exit_code == 0, done.output
    count = len(rows)
    assert f"{count} rows answered, {count} outcomes delivered\n" in done.output
    assert "'shop monitor --log logs/predictions'" in done.output
    logged = read(LOG).to_pandas()
    assert logged["raw_id"].tolist() == rows["id"].tolist()  # in the order of time
    assert logged["outcome"].astype(bool).tolist() == rows["late"].tolist()


def test_an_outcome_comes_after_the_rows_of_the_hours_until_it_is_known(start: Start) -> None:
    run(start(), "--from", "2026-01-01", "--outcome-after", "6")
    (path,) = LOG.glob("*.jsonl")
    times: dict[str, np.datetime64] = {}
    delays = []
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if line["line"] == "answers":
            times[line["request_id"]] = np.datetime64(line["raw"]["at"][0])
        elif line["line"] == "outcome":
            delays.append(max(times.values()) - times[line["request_id"]])
    assert len(delays) == len(times) == 60
    hours = np.array(delays) / np.timedelta64(1, "h")
    assert hours.max() <= 6
    assert (hours[:-5] > 4).all()  # at the end no rows come any more


def test_rows_of_an_hour_are_one_batch_until_the_outcome_of_the_last_is_known() -> None:
    minutes = ["10:05", "10:50", "11:00", "11:10", "11:20"]
    times = np.array([f"2026-01-01T{minute}" for minute in minutes], "datetime64[us]")
    events = timeline(times, np.timedelta64(30, "m"), batch_rows=2)
    assert [(str(event.moment)[11:16], *event[1:]) for event in events] == [
        ("10:05", False, 0, 2),
        ("11:00", False, 2, 4),
        ("11:20", False, 4, 5),
        ("11:20", True, 0, 2),
        ("11:40", True, 2, 4),
        ("11:50", True, 4, 5),
    ]


def test_a_service_that_takes_few_rows_at_a_time_gets_few(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_source(at=pd.Timestamp("2026-01-03"))
    url = start(max_rows=7)
    done = run(url)
    assert done.exit_code == 2
    assert "predict answered with status 413: " in done.stderr
    assert "; lower SHOP_MAX_ROWS" in done.stderr
    monkeypatch.setenv("SHOP_MAX_ROWS", "7")
    assert run(url).exit_code == 0
    logged = read(LOG)
    assert sorted(logged["raw_id"].to_pylist()) == sorted(rows["id"])
    assert logged["outcome"].null_count == 0
    assert len(logged["request_id"].unique()) == 9


def test_a_row_that_is_refused_is_counted_and_the_first_reason_is_named(start: Start) -> None:
    weight = [20.0] * 57 + [99.0, 20.0, 77.0]
    rows = write_source(weight=weight, at=pd.Timestamp("2026-01-03"))
    done = run(start())
    assert done.exit_code == 0
    assert "58 rows answered, 58 outcomes delivered\n2 refused by the service, the" in done.output
    assert "the first: weight must be a number from 0 to 30 in kg, or null; it is 99" in done.output
    logged = read(LOG)
    late = dict(zip(rows["id"], rows["late"], strict=True))
    assert logged["outcome"].to_pylist() == [late[key] for key in logged["raw_id"].to_pylist()]


def test_a_service_that_refuses_every_row_is_a_failure(start: Start) -> None:
    write_source(weight=31.0)
    done = run(start())
    assert (done.exit_code, done.stdout) == (1, "")
    assert "refused every row: weight must be" in done.stderr


def test_the_key_is_that_of_the_settings(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    url = start(api_keys=f"{KEY},{KEY}-2")
    done = run(url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "answered with status 401: The API key is missing or wrong" in done.stderr
    assert "set SHOP_API_KEYS to a key of the service" in done.stderr
    monkeypatch.setenv("SHOP_API_KEYS", KEY)
    assert run(url).exit_code == 0


def test_a_service_without_a_log_takes_no_outcomes(start: Start) -> None:
    done = run(start(prediction_log=None))
    assert done.exit_code == 2
    assert "This service has no prediction log to store feedback in" in done.stderr
    assert "0 outcomes delivered" in done.stdout


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:9", "does not answer"),
        ("http://127.0.0.1:no", "does not answer (nonnumeric port: 'no')"),
        ("http://[::1", "does not answer"),
        ("http://127.0.0.1:9/é", "does not answer"),
        ("127.0.0.1:8000", "is not a URL such as http://127.0.0.1:8000"),
    ],
)
def test_a_service_that_is_not_there_is_named(url: str, sentence: str) -> None:
    done = run(url)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert url in done.stderr
    assert sentence in done.stderr


def test_a_redirect_does_not_get_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEYS", KEY)
    requests = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer(302, location="/elsewhere")

        def do_GET(self) -> None:
            self.answer(200)

        def answer(self, status: int, **headers: str) -> None:
            requests.append((self.path, self.headers["authorization"]))
            self.send_response(status)
            for name, value in {**headers, "content-length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.exit_code == 2
    assert "answered with status 302" in done.stderr
    assert requests == [("/predict", f"Bearer {KEY}")]


def test_a_path_of_another_service_is_named(start: Start) -> None:
    done = run(start() + "/other/")
    assert done.exit_code == 2
    assert "/other/predict answered with status 404" in done.stderr


@pytest.mark.parametrize(
    "span",
    [
        ("--from", "2027-01-01"),
        ("--to", "2026-01-02"),
        ("--to", "2025-01-01"),
        ("--from", "2026-01-09", "--to", "2027-01-01"),
    ],
)
def test_a_span_without_rows_is_named(span: tuple[str, ...]) -> None:
    done = run("http://127.0.0.1:9", *span)
    assert done.exit_code == 2
    assert "data/source has no row from 202" in done.stderr


def test_rows_without_time_cannot_be_replayed() -> None:
    document = yaml.safe_load(Path("contract.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(document | {"time": None})
    Path("contract.yaml").write_text(text, encoding="utf-8")
    done = run("http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "contract.yaml names no time column" in done.stderr


def test_speed_is_of_data_time(start: Start) -> None:
    begin = time.monotonic()
    span = "--from", "2026-01-03", "--to", "2026-01-03T12:00", "--outcome-after", "0.8"
    done = run(start(), "--speed", "36000", *span)
    assert done.exit_code == 0, done.output
    assert time.monotonic() - begin > 0.9  # nine hours and more from the first row to the last


def test_ctrl_c_ends_it_and_says_what_was_sent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    def interrupted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(replay.time, "sleep", interrupted)
    done = run(start(), "--speed", "1")
    assert (done.exit_code, done.stderr) == (130, "")
    assert "2 rows answered, 0 outcomes delivered" in done.output
    assert len(read(LOG)) == 2
