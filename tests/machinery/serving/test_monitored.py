"""The gauges of `monitor` on the metrics page of the service."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from machinery.monitoring import output
from machinery.pipeline.paths import GAUGES

Serve = Callable[..., Any]
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


def test_a_file_that_cannot_be_read_is_left_out_and_reported_once(
    serve: Serve, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (log / GAUGES).mkdir()
    client = serve(prediction_log=log)
    for _ in range(2):
        page = client.get("/metrics").text
        assert "\nserving_monitoring_unreadable 1.0\n" in page
        assert "\nserving_ready 1.0\n" in page
    (record,) = (record for record in caplog.records if "unreadable" in record.message)
    assert record.__dict__["fields"]["reason"].startswith("IsADirectoryError")
    (log / GAUGES).rmdir()
    (log / GAUGES).write_text("# TYPE monitoring_rows gauge\nmonitoring_rows 7.0\n")
    page = client.get("/metrics").text
    assert "\nserving_monitoring_unreadable 0.0\n" in page
    assert "\nmonitoring_rows 7.0\n" in page
