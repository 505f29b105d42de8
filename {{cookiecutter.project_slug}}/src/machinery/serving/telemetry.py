"""The Prometheus metrics of the service, and its log of JSON lines."""

import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from machinery.pipeline.files import first_line
from machinery.pipeline.paths import GAUGES

from .settings import METRICS_FOLDER

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOGGER = logging.getLogger(__name__)


class Telemetry:
    """The metrics of one worker; the page of metrics sums those of all workers."""

    def __init__(self, log: Path | None = None) -> None:
        """Create the metrics; `monitor` writes its gauges to the folder of the prediction log."""
        self._gauges_path = None if log is None else log / GAUGES
        self._gauges_fault: str | None = None
        self._registry = registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"serving_{name}_total", about, labels, registry=registry)

        def gauge(name: str, about: str, mode: Any) -> Gauge:
            return Gauge(f"serving_{name}", about, registry=registry, multiprocess_mode=mode)

        self.requests = counter("requests", "Requests, by path and status.", "path", "status")
        self.seconds = Histogram(
            "serving_request_seconds",
            "Time to answer a request.",
            ["path"],
            registry=registry,
            buckets=BUCKETS,
        )
        self.rows = counter("rows", "Rows answered.")
        self.predictions = counter("predictions", "Rows answered, by predicted class.", "class")
        about = "New models, swapped in or refused, by role."
        self.models = counter("models", about, "role", "outcome")
        self.shadow_errors = counter("shadow_errors", "Requests that the challenger failed on.")
        self._written = counter("log_written_rows", "Rows logged.")
        self._lost = counter("log_lost_rows", "Rows that could not be written to the log.")
        self._in_flight = gauge("in_flight_requests", "Requests being answered.", "livesum")
        about = "Age of the newest row that the model was trained on."
        self._age = gauge("model_age_seconds", about, "livemax")
        self.ready = gauge("ready", "1 while the model reproduces its examples.", "livemin")
        self.ready.set(1)
        about = f"1 while {GAUGES} in the prediction log cannot be read."
        self._unreadable = gauge("monitoring_unreadable", about, "livemax")
        self.in_flight = 0

    def logged(self, written: int, lost: int) -> None:
        """Count rows of the prediction log."""
        self._written.inc(written)
        self._lost.inc(lost)

    def page(self, trained_until: float | None) -> bytes:
        """The page that Prometheus scrapes."""
        self._in_flight.set(self.in_flight)
        if trained_until is not None:
            self._age.set(time.time() - trained_until)
        gauges, folder = self._monitoring_gauges(), os.environ.get(METRICS_FOLDER)
        if folder is None:
            return generate_latest(self._registry) + gauges
        for path in Path(folder).glob("gauge_live*.db"):
            pid = int(path.stem.rpartition("_")[2])
            if not Path(f"/proc/{pid}").exists():  # it was killed
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + gauges

    def _monitoring_gauges(self) -> bytes:
        """The file that `monitor` replaces at once; nothing if it is missing or not readable."""
        gauges, fault = b"", None
        try:
            if self._gauges_path is not None:
                gauges = self._gauges_path.read_bytes()
        except FileNotFoundError:
            pass
        except OSError as error:
            fault = f"{type(error).__name__}: {first_line(error)}"
            if self._gauges_fault is None:
                fields = {"file": str(self._gauges_path), "reason": fault}
                LOGGER.error("gauges of monitor unreadable", extra={"fields": fields})
        self._gauges_fault = fault
        self._unreadable.set(fault is not None)
        return gauges


class JsonHandler(logging.Handler):
    """Writes JSON lines to standard output; standard error reports the first that is lost."""

    is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the level and message of a record, its `fields` and its traceback."""
        line = {
            "timestamp": datetime.now(UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        try:
            os.write(1, msgspec.json.encode(line, enc_hook=str) + b"\n")
            self.is_failing = False
        except OSError as error:
            if not self.is_failing:
                print(f"Lines of the log are lost: {error}", file=sys.stderr, flush=True)
            self.is_failing = True


def set_up_logs() -> None:
    """Log JSON lines to standard output, including those of libraries."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonHandler()], force=True)
