"""The gauges of `monitor` on the metrics page of the service."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from machinery.monitoring import output
from machinery.pipeline.paths import GAUGES
from machinery.serving.telemetry import MAX_GAUGES_BYTES

Serve = Callable[..., Any]
ONE = "# TYPE monitoring_rows gauge\nmonitoring_rows 7.0\n"
REPORT = {
    "latest": "2026-01",
    "windows": [
        {
            "name": "2026-01",
            "enough": True,
            "over": True,
            "rows": 700,
            "labelled": 600,
            "figures": {"calibration": {"value": 0.12, "low": 0.1, "high": 0.14}},
            "violations": {"calibration": "predictions are on average 0.12 above what happened"},
            "freshness": {"model_age_days": 40},
        }
    ],
    "models": {"verdict": "worse"},
    "retrain": {"answer": True},
    "faults": {"lines cannot be read": 3},
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


def test_the_gauges_of_monitor_are_on_the_page(serve: Serve, log: Path) -> None:
    client = serve(prediction_log=log)
    assert "\nmonitoring_" not in client.get("/metrics").text
    (log / GAUGES).write_text(output.prometheus(REPORT, datetime(2026, 2, 1, tzinfo=UTC)))
    page = client.get("/metrics").text
    for line in (
        'monitoring_violation{name="calibration"} 1.0',
        'monitoring_violation{name="headline"} 0.0',
        'monitoring_low{figure="calibration"} 0.1',
        "monitoring_model_age_seconds 3456000",
        "monitoring_run_timestamp_seconds 1769904000.0",
        "monitoring_canary_worse 1",
        'monitoring_faults{fault="lines cannot be read"} 3',
        "serving_ready 1.0",
        "serving_monitoring_unreadable 0.0",
    ):
        assert f"\n{line}\n" in page, line
    (log / GAUGES).unlink()
    assert "\nmonitoring_" not in client.get("/metrics").text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "its last line is incomplete"),
        (b"\x00\xff", "can't decode"),
        (b"hello world\n", "could not convert"),
        (ONE[:-5].encode(), "Invalid value"),
        (b"# TYPE monitoring_a counter\nmonitoring_a 1\n", "monitoring_a is not a gauge of mon"),
        (b"monitoring_a 1\n", "monitoring_a is not a gauge of monitor"),
        (b"# TYPE serving_ready gauge\nserving_ready 1\n", "serving_ready is not a gauge of mon"),
        (ONE.encode() + b"#" * MAX_GAUGES_BYTES, "it is not a file of at most"),
    ],
)
def test_a_damaged_file_is_left_out_and_reported_once(
    serve: Serve, log: Path, text: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    (log / GAUGES).write_bytes(text)
    client = serve(prediction_log=log)
    for _ in range(2):
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert "\nmonitoring_" not in answer.text
        assert "\nserving_monitoring_unreadable 1.0\n" in answer.text
        assert "\nserving_ready 1.0\n" in answer.text
    (record,) = (record for record in caplog.records if "unreadable" in record.message)
    assert reason in record.__dict__["fields"]["reason"]
    (log / GAUGES).write_text(ONE)
    page = client.get("/metrics").text
    assert "\nserving_monitoring_unreadable 0.0\n" in page
    assert "\nmonitoring_rows 7.0\n" in page


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_only_a_regular_file_is_opened(
    serve: Serve, log: Path, make: Callable[[Path], object]
) -> None:
    make(log / GAUGES)
    page = serve(prediction_log=log).get("/metrics").text
    assert "\nserving_monitoring_unreadable 1.0\n" in page
