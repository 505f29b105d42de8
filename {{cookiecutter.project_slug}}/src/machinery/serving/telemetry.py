"""telemetry: what happens in the workers in; Prometheus's page and JSON log lines out."""

import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
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
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from machinery.pipeline.files import first_line
from machinery.pipeline.paths import GAUGES

from .settings import METRICS_FOLDER

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_GAUGES_BYTES = 100_000
LOGGER = logging.getLogger(__name__)


class Monitored(Collector):
    """The gauges that `monitor` left beside the prediction log; `fault` says why there are none."""

    def __init__(self, log: Path | None) -> None:
        """Take the folder of the log; None for none."""
        self._path = None if log is None else log / GAUGES
        self._families: list[Metric] = []
        self.fault: str | None = None

    def look(self) -> None:
        """Read the file again; the page goes without one that is missing or damaged."""
        self._families, before, self.fault = [], self.fault, None
        try:
            self._families = _gauges(self._path) if self._path else []
        except FileNotFoundError:
            pass
        except Exception as error:  # whatever a damaged file does, the page goes on
            self.fault = f"{type(error).__name__}: {first_line(error)}"
            if not before:
                fields = {"file": str(self._path), "reason": self.fault}
                LOGGER.error("gauges of monitor unreadable", extra={"fields": fields})

    def collect(self) -> Iterator[Metric]:
        """Give what the last look found."""
        yield from self._families


def _gauges(path: Path) -> list[Metric]:
    """The gauges of a file, each once, all of them named `monitoring_…`."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_GAUGES_BYTES:
        raise ValueError(f"it is not a file of at most {MAX_GAUGES_BYTES} bytes")
    families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    samples = [sample for family in families for sample in family.samples]
    if not samples:
        raise ValueError("it is empty")
    for family in families:
        if family.type != "gauge" or not family.name.startswith("monitoring_"):
            raise ValueError(f"{family.name} is not a gauge of monitor")
    if len({(each.name, *sorted(each.labels.items())) for each in samples}) < len(samples):
        raise ValueError("a gauge is given twice")
    if any(each.timestamp is not None for each in samples):
        raise ValueError("a gauge has a time of its own")
    return families


class Telemetry:
    """The metrics of one worker; with several, each page adds up what all of them have counted."""

    def __init__(self, log: Path | None = None) -> None:
        """Take the folder of the prediction log, where `monitor` leaves its gauges."""
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
        about = f"1 while {GAUGES} beside the prediction log cannot be read."
        self._unreadable = gauge("monitoring_unreadable", about, "livemax")
        self._monitored = Monitored(log)
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
        self._monitored.look()
        self._unreadable.set(self._monitored.fault is not None)
        folder, everything = os.environ.get(METRICS_FOLDER), CollectorRegistry()
        everything.register(self._monitored)
        if folder is None:
            return generate_latest(self._registry) + generate_latest(everything)
        for path in Path(folder).glob("gauge_live*.db"):
            pid = int(path.stem.rpartition("_")[2])
            if not Path(f"/proc/{pid}").exists():  # it was killed
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
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
