"""Every alert fires: real services, a real Prometheus and Alertmanager, a real webhook.

The files of deploy/prometheus are used with other addresses and shorter durations. Each alert has
its real cause: a service is killed, a model damaged, a log blocked, a body sent slowly. The results
of `monitor` are constructed, since no real window violates every limit at once, and written by its
own code. deploy/prometheus/alerts_test.yml and the first test here show when alerts do not fire.
"""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import BakedProject
from machinery.monitoring.output import VIOLATIONS, prometheus
from machinery.pipeline.paths import GAUGES
from s3 import free_port
from service import KEY, PATIENCE, Server, for_serving, serving, until

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus", "prometheus-alertmanager")]
NOW = datetime.now(UTC)
SECONDS = {"m": 2, "h": 2, "d": 1}  # how long a minute, an hour and a day last here
SLOW = 0.6
# A feature that reads a file: once the file exists, its values differ from those in training.
UNSTEADY = """

_steady = flight_distance


@tag(owner="scheduling", unit="mi")
def flight_distance(distance: np.ndarray) -> np.ndarray:
    \"\"\"A distance in miles; in something else once a file is there.\"\"\"
    from pathlib import Path

    return _steady(distance) * (100 if Path("unit").exists() else 1)
"""
# A model for exactly as many rows as it has examples: it fails on any other number.
FIXED = """
import json, onnx
model = onnx.load("models/model.onnx")
rows = len(json.load(open("models/examples.json"))["rows"])
for each in model.graph.input:
    each.type.tensor_type.shape.dim[0].dim_value = rows
onnx.save(model, "models/model.onnx")
"""


def report(*violations: str, worse: bool = False, **faults: int) -> dict[str, Any]:
    """A report of `monitor` on a window that violates these limits."""
    window = {
        "name": "2013-09",
        "enough": True,
        "over": True,
        "rows": 2000,
        "labelled": 1900,
        "figures": {"calibration": {"value": 0.12, "low": 0.1, "high": 0.14}},
        "violations": dict.fromkeys(violations, "beyond the limit"),
        "freshness": {"model_age_days": 60},
    }
    return {
        "latest": "2013-09",
        "windows": [window],
        "models": {"verdict": "worse" if worse else "no relevant difference"},
        "retrain": {"answer": bool(violations)},
        "faults": {name.replace("_", " "): count for name, count in faults.items()},
    }


def shortened(text: str) -> str:
    """A configuration with minutes, hours and days shortened to seconds."""
    text = re.sub(r"\b(\d+)([mhd])\b", lambda m: f"{int(m[1]) * SECONDS[m[2]]}s", text)
    return re.sub(r"(scrape|evaluation|group)_(interval|wait): \d+s", r"\1_\2: 1s", text)


class Webhook:
    """A receiver of Alertmanager's notifications."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        took = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                took.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the receiver."""
        return f"http://127.0.0.1:{self.server.server_port}/alerts"

    def names(self, status: str = "firing") -> set[str]:
        """The names of the alerts that it received."""
        return {alert["labels"]["alertname"] for alert in self.alerts if alert["status"] == status}


@dataclass
class Site:
    """Three services with Prometheus, Alertmanager and a webhook."""

    rules: list[dict[str, Any]]
    service: Server
    project: BakedProject  # that the service runs
    killed: Server
    canary: Server
    gauges: Path
    webhook: Webhook
    prometheus: str
    rows: list[dict[str, Any]]  # as many as the challenger can take
    stop: threading.Event = field(default_factory=threading.Event)

    def firing(self) -> set[str]:
        """The alerts that are firing in Prometheus."""
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/alerts", timeout=PATIENCE) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def write_gauges(self, results: dict[str, Any], ran: datetime = NOW) -> None:
        """Write gauges like `monitor`."""
        self.gauges.parent.mkdir(parents=True, exist_ok=True)
        self.gauges.write_text(prometheus(results, ran), encoding="utf-8")

    def trouble(self) -> None:
        """Send requests until stopped, one of them slowly, so that others are rejected."""
        row = self.rows[0]
        body = json.dumps(row).encode()
        head = (
            "POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        outcome = {"request_id": "r", "outcome": True}
        while not self.stop.is_set():
            with socket.create_connection(("127.0.0.1", self.service.port), PATIENCE) as slow:
                slow.sendall(head.encode() + body[:10])
                time.sleep(SLOW / 2)
                self.service.ask("/predict", row)
                time.sleep(SLOW / 2)
                slow.sendall(body[10:])
                slow.recv(100_000)
            self.service.ask("/predict", row)
            self.service.ask("/feedback", outcome)
            self.service.ask("/ready")
            self.canary.ask("/feedback", outcome)


@contextmanager
def running(command: Sequence[str | Path], output: Path, ready: str) -> Iterator[None]:
    """Run a program until the end of the block; waits until it is ready."""
    with output.open("wb") as file:
        process = subprocess.Popen([*map(str, command)], stdout=file, stderr=file)

    def is_ready() -> bool:
        if process.poll() is not None:
            pytest.fail(output.read_text(encoding="utf-8"))
        try:
            with urllib.request.urlopen(ready, timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        until(is_ready)
        yield
    finally:
        process.kill()
        process.wait()


def part(small: BakedProject, folder: Path) -> BakedProject:
    """A copy of the parts of the small project that a service needs."""
    folder.mkdir()
    return for_serving(small, folder)


def spoil(project: BakedProject) -> None:
    """Make one feature depend on a file that does not exist yet."""
    path = project.path / "src/flight_delays/features.py"
    text = path.read_text(encoding="utf-8")
    before, mark, after = text.partition('\n\n@tag(owner="scheduling", unit="")\ndef airline(')
    path.write_text(before + UNSTEADY + mark + after, encoding="utf-8")


def fix_the_number_of_rows(project: BakedProject) -> None:
    """Make the model accept a fixed number of rows only."""
    project.run("python", "-c", FIXED)
    model, info = (project.path / "models" / name for name in ("model.onnx", "model.json"))
    described = json.loads(info.read_text(encoding="utf-8"))
    described["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    info.write_text(json.dumps(described), encoding="utf-8")


@pytest.fixture(scope="module")
def site(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("alerts")
    champion, shadow, other = (part(small, root / name) for name in ("one", "shadow", "other"))
    spoil(champion)
    fix_the_number_of_rows(shadow)
    config, webhook = root / "prometheus", Webhook()
    shutil.copytree(small.path / "deploy/prometheus", config)
    alertmanager, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with ExitStack() as stack:
        service, killed, canary = (
            stack.enter_context(server)
            for server in (
                serving(champion, shadow_folder=shadow.path, max_concurrency=1),
                serving(other),
                serving(other, prediction_log=""),  # so it cannot take feedback
            )
        )
        targets = [
            {"targets": [f"127.0.0.1:{watched.port}" for watched in (service, killed)]},
            {"targets": [f"127.0.0.1:{canary.port}"], "labels": {"pod": "flight-delays-canary-1"}},
        ]
        for path in config.glob("*.yml"):
            text = shortened(path.read_text(encoding="utf-8"))
            text = text.replace("alertmanager:9093", alertmanager)
            text = text.replace("http://webhook.example.com/alerts", webhook.url)
            path.write_text(text, encoding="utf-8")
        path = config / "prometheus.yml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["scrape_configs"][0]["static_configs"] = targets
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        command = [
            *("prometheus-alertmanager", f"--config.file={config / 'alertmanager.yml'}"),
            *(f"--storage.path={root / 'alertmanager'}", "--cluster.listen-address="),
            f"--web.listen-address={alertmanager}",
        ]
        ready = f"http://{alertmanager}/-/ready"
        stack.enter_context(running(command, root / "alertmanager.log", ready))
        command = [
            *("prometheus", f"--config.file={path}", f"--storage.tsdb.path={root / 'data'}"),
            f"--web.listen-address={prometheus}",
        ]
        ready = f"http://{prometheus}/-/ready"
        stack.enter_context(running(command, root / "prometheus.log", ready))
        stored = json.loads((small.path / "models/examples.json").read_text(encoding="utf-8"))
        groups = yaml.safe_load((config / "alerts.yml").read_text(encoding="utf-8"))["groups"]
        yield Site(
            [rule for group in groups for rule in group["rules"]],
            service,
            champion,
            killed,
            canary,
            other.path / "logs/predictions" / GAUGES,
            webhook,
            f"http://{prometheus}",
            stored["rows"],
        )
        webhook.server.shutdown()
        webhook.server.server_close()


def test_healthy_services_raise_no_alert_but_that_the_sample_is_old(site: Site) -> None:
    site.write_gauges(report(outcomes_were_given_again=3))
    for _ in range(30):  # longer than any alert takes
        assert site.service.ask("/predict", site.rows)[0] == 200
        assert site.canary.ask("/predict", site.rows)[0] == 200
        time.sleep(1)
    until(lambda: "ModelOld" in site.webhook.names())
    assert site.firing() == site.webhook.names() == {"ModelOld"}


def test_every_alert_fires_by_its_cause_reaches_the_webhook_and_ends_with_its_cause(
    site: Site,
) -> None:
    log, path = site.project.path / "logs/predictions", site.project.path
    shutil.rmtree(log)
    log.touch()  # in place of the folder: no line can be written, no gauge read
    (path / "unit").touch()
    (path / "models/model.onnx").write_bytes(b"not a model")
    results = report(*VIOLATIONS, worse=True, lines_cannot_be_read=3)
    site.write_gauges(results, NOW - timedelta(days=9))
    trouble = threading.Thread(target=site.trouble)
    trouble.start()
    try:
        expected = {rule["alert"] for rule in site.rules}
        for name in sorted(expected - {"ServingDown"}):
            until(lambda name=name: name in site.webhook.names())
        site.killed.process.kill()
        until(lambda: "ServingDown" in site.webhook.names())
        log.unlink()
        for name in ("PredictionLogLosesRows", "MonitoringUnreadable"):
            until(lambda name=name: name in site.webhook.names("resolved"))
    finally:
        site.stop.set()
        trouble.join()
    assert site.webhook.names() == expected
    for alert in site.webhook.alerts:
        assert not re.search(r"<|error|NaN|\{", alert["annotations"]["summary"]), alert
        assert alert["labels"]["severity"] in ("page", "ticket")
    summaries = {alert["annotations"]["summary"] for alert in site.webhook.alerts}
    assert "monitor left out 3 of the prediction log: lines cannot be read" in summaries
