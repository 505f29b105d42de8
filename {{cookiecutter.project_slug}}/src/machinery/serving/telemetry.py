"""telemetry: what happens in the workers in; Prometheus's page and JSON log lines out."""

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from .output import OUTPUT

if TYPE_CHECKING:
    from .log import Counters
    from .served import Served

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """The metrics of one worker; with several, each page adds up what all of them have counted."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        requests = Counter(
            "serving_requests_total",
            "Requests answered, by path and status.",
            ["path", "status"],
            **own,
        )
        seconds = Histogram(
            "serving_request_seconds", "Time to answer a request.", ["path"], buckets=BUCKETS, **own
        )
        self._requests, self._seconds = requests, seconds
        self._classes: dict[str, Any] = {}
        self._pairs: dict[tuple[str, int], tuple[Any, Any]] = {}
        self.rows = Counter("serving_rows_total", "Rows answered.", **own)
        self._predictions = Counter(
            "serving_predictions_total", "Rows answered, by the class decided on.", ["class"], **own
        )
        self._totals: dict[str, Counter] = {
            "models": Counter(
                "serving_models_total",
                "Models found and swapped in, or refused, by role.",
                ["role", "outcome"],
                **own,
            ),
            "shadow_errors": Counter(
                "serving_shadow_errors_total", "Batches that the challenger failed on.", **own
            ),
            **log_counters(self._registry),
        }
        live = {**own, "multiprocess_mode": "livesum"}
        self._queued = Gauge("serving_log_queued_rows", "Rows waiting to be logged.", **live)
        self._in_flight = Gauge("serving_in_flight_requests", "Requests being answered.", **live)
        self.in_flight = 0  # which the gate counts
        newest = {**own, "multiprocess_mode": "livemax"}
        self._age = Gauge(
            "serving_model_age_seconds",
            "Since the newest row that the model learned from.",
            **newest,
        )
        self._ready = Gauge(
            "serving_ready", "1 when every worker has a model.", **own, multiprocess_mode="livemin"
        )
        self._taken: dict[tuple[str, ...], int] = {}

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        pair = self._pairs.get((path, status))
        if pair is None:
            pair = self._requests.labels(path, str(status)), self._seconds.labels(path)
            self._pairs[path, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def predicted(self, name: str, rows: int) -> None:
        """Count rows by the class decided on."""
        counter = self._classes.get(name)
        if counter is None:
            counter = self._classes[name] = self._predictions.labels(name)
        counter.inc(rows)

    def look(self, model: "Served | None") -> None:
        """How many requests are being answered, whether there is a model, and how old it is."""
        self._in_flight.set(self.in_flight)
        self._ready.set(model is not None)
        if model is not None and model.trained_until is not None:
            self._age.set(time.time() - model.trained_until)

    def look_at_log(self, counters: "Counters") -> None:
        """What the log has counted on this side of its journal."""
        self._queued.set(counters.queued_rows)
        for name, total in counters._asdict().items():
            if name != "queued_rows":
                self.take_over(name, total)

    def take_over(self, name: str, total: int, *labels: str) -> None:
        """Let a counter follow what somebody else counts."""
        counter, key = self._totals[name], (name, *labels)
        if total != self._taken.get(key, 0):
            (counter.labels(*labels) if labels else counter).inc(total - self._taken.get(key, 0))
            self._taken[key] = total

    def page(self) -> bytes:
        """The page that Prometheus reads: of all workers, where there are several."""
        from .settings import METRICS_FOLDER  # the writer of the log, which counts, has no settings

        if METRICS_FOLDER not in os.environ:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        multiprocess.MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)


def log_counters(registry: CollectorRegistry) -> dict[str, Counter]:
    """What becomes of logged rows, counted by the service and by the writer of its log."""
    told = {
        "written_rows": "Rows logged.",
        "dropped_rows": "Rows not logged: the queue was full, or no file holds them.",
        "write_errors": "Writes of the log that failed.",
        "recovered_rows": "Rows of killed processes, logged.",
        "torn_records": "What killed processes were about to log and had answered nobody with.",
    }
    return {
        name: Counter(f"serving_log_{name}_total", words, registry=registry)
        for name, words in told.items()
    }


def set_up_logs() -> None:
    """One JSON object a line on standard output, those of the libraries, too."""
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        logger_factory=structlog.BytesLoggerFactory(OUTPUT),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(OUTPUT)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.INFO
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True


def _json(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
