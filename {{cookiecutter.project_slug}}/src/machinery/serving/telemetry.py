"""telemetry: what happens in the workers in; Prometheus's page and JSON log lines out."""

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

from .settings import METRICS_FOLDER

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """The metrics of one worker; with several, each page adds up what all of them have counted."""

    def __init__(self) -> None:
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
        about = "Since the newest row that the model learned from."
        self._age = gauge("model_age_seconds", about, "livemax")
        self.ready = gauge("ready", "1 while the model answers its examples.", "livemin")
        self.ready.set(1)
        self.in_flight = 0

    def logged(self, written: int, lost: int) -> None:
        """Count rows of the prediction log."""
        self._written.inc(written)
        self._lost.inc(lost)

    def page(self, trained_until: float | None) -> bytes:
        """The page that Prometheus reads: of all workers, where there are several."""
        self._in_flight.set(self.in_flight)
        if trained_until is not None:
            self._age.set(time.time() - trained_until)
        folder = os.environ.get(METRICS_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        for path in Path(folder).glob("gauge_live*.db"):
            pid = int(path.stem.rpartition("_")[2])
            if not Path(f"/proc/{pid}").exists():  # it was killed
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        everything = CollectorRegistry()
        multiprocess.MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)


class Output(logging.Handler):
    """Standard output: one JSON object a line; standard error says when it begins to fail."""

    is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record: its level and event, its `fields`, its traceback."""
        fields = getattr(record, "fields", {})
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            fields = {**fields, "exception": trace}
        self.line(record.levelname.lower(), record.getMessage(), fields)

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write a line; for each request, a record of logging would take a sixth of the time."""
        line = {"timestamp": datetime.now(UTC), "level": level, "event": event, **fields}
        try:
            os.write(1, msgspec.json.encode(line, enc_hook=str) + b"\n")
            self.is_failing = False
        except OSError as error:
            if not self.is_failing:
                print(f"Lines of the log are lost: {error}", file=sys.stderr, flush=True)
            self.is_failing = True


OUTPUT = Output()


def set_up_logs() -> None:
    """One JSON object a line on standard output, of the libraries, too."""
    logging.basicConfig(level=logging.INFO, handlers=[OUTPUT], force=True)
