"""telemetry: what happens in the workers in; Prometheus's page and JSON log lines out."""

import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from functools import cache
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
REPORT_SECONDS = 60.0  # between two reports of lost lines
GAUGE_FILE = re.compile(r"gauge_live\w+_(\d+)\.db")


class Telemetry:
    """The metrics of one worker; with several, each page adds up what all of them have counted."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"serving_{name}_total", about, labels, registry=self._registry)

        def gauge(name: str, about: str, mode: Any) -> Gauge:
            own = {"registry": self._registry, "multiprocess_mode": mode}
            return Gauge(f"serving_{name}", about, **own)

        seconds = "serving_request_seconds", "Time to answer a request.", ["path"]
        histogram = Histogram(*seconds, registry=self._registry, buckets=BUCKETS)
        requests = counter("requests", "Requests answered, by path and status.", "path", "status")
        decided = counter("predictions", "Rows answered, by the class decided on.", "class")
        self._requests, self._seconds = cache(requests.labels), cache(histogram.labels)
        self._class = cache(decided.labels)
        self.rows = counter("rows", "Rows answered.")
        self._models = counter(
            "models", "New models, swapped in or refused, by role.", "role", "outcome"
        )
        self.shadow_errors = counter("shadow_errors", "Requests that the challenger failed on.")
        self._written = counter("log_written_rows", "Rows logged.")
        self._lost = counter("log_lost_rows", "Rows that could not be written to the log.")
        self._in_flight = gauge("in_flight_requests", "Requests being answered.", "livesum")
        self._age = gauge(
            "model_age_seconds", "Since the newest row that the model learned from.", "livemax"
        )
        self._ready = gauge("ready", "1 while the model answers its examples.", "livemin")
        self._ready.set(1)
        self.in_flight = 0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests(path, status).inc()
        self._seconds(path).observe(seconds)

    def predicted(self, name: str, rows: int) -> None:
        """Count rows by the class decided on."""
        self._class(name).inc(rows)

    def model(self, role: str, outcome: str) -> None:
        """Count a model that was swapped in or refused."""
        self._models.labels(role, outcome).inc()

    def logged(self, written: int, lost: int) -> None:
        """Count rows of the prediction log."""
        self._written.inc(written)
        self._lost.inc(lost)

    def ready(self, *, is_ready: bool) -> None:
        """Say whether the model answers its stored examples."""
        self._ready.set(is_ready)

    def page(self, trained_until: float | None) -> bytes:
        """The page that Prometheus reads: of all workers, where there are several."""
        self._in_flight.set(self.in_flight)
        if trained_until is not None:
            self._age.set(time.time() - trained_until)
        folder = os.environ.get(METRICS_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        for path in Path(folder).iterdir():  # gauges of workers that were killed
            name = GAUGE_FILE.fullmatch(path.name)
            if name and not Path(f"/proc/{name[1]}").exists():
                multiprocess.mark_process_dead(int(name[1]))  # type: ignore[no-untyped-call]
        everything = CollectorRegistry()
        multiprocess.MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)


class Output(logging.Handler):
    """Standard output: one JSON object a line; when it takes none, standard error says so."""

    report_at = 0.0

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
        except OSError as error:
            if time.monotonic() >= self.report_at:
                self.report_at = time.monotonic() + REPORT_SECONDS
                print(f"Lines of the log are lost: {error}", file=sys.stderr, flush=True)


OUTPUT = Output()


def set_up_logs() -> None:
    """One JSON object a line on standard output, of the libraries, too."""
    logging.basicConfig(level=logging.INFO, handlers=[OUTPUT], force=True)
