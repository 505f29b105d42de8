"""Deployment: container, Lambda function, compose, Prometheus, Kubernetes."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from conftest import BakedProject
from dockerfile import Image, changes, ignored, parse, snapshot
from machinery.monitoring.output import prometheus
from machinery.pipeline.paths import GAUGES
from s3 import free_port

KEY = "a-key-of-the-tests"  # pragma: allowlist secret
SECONDS = 90
METRIC = re.compile(r"\b((?:serving|monitoring)_[a-z_]+)(\{[^}]*\})?")
LINT = "{extends: default, rules: {document-start: disable, line-length: {max: 120}}}"

# What `monitor` found, as it hands it to Prometheus.
FOUND: dict[str, Any] = {
    "latest": "2013-09",
    "windows": [
        {
            "name": "2013-09",
            "over": True,
            "enough": True,
            "rows": 2000,
            "labelled": 1900,
            "figures": {
                name: {"value": 0.1, "low": 0.05, "high": 0.15}
                for name in ("calibration", "roc_auc", "coverage", "gap")
            },
            "violations": {"calibration": "too high"},
            "freshness": {"model_age_days": 60},
        }
    ],
    "models": {"verdict": "better"},
    "retrain": {"answer": False},
    "faults": {"lines cannot be read": 1},
}

needs_prometheus = pytest.mark.needs("prometheus", "promtool")


@dataclass
class Container:
    """The service, running like its container."""

    image: Image
    port: int
    output: Path
    process: "subprocess.Popen[bytes]"
    files: dict[Path, int]

    def ask(self, path: str, body: Any = None) -> tuple[int, str]:
        """The status and the body of an answer."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return get(f"http://127.0.0.1:{self.port}{path}", data, headers)

    def is_well(self) -> bool:
        """The result of the health check."""
        check = self.image.start(
            self.image.healthcheck(), self.output, FLIGHT_DELAYS_PORT=str(self.port)
        )
        return check.wait(SECONDS) == 0


def get(
    url: str, data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """The status and the body of an answer, with any status."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers or {}), timeout=SECONDS
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(condition: Any, process: "subprocess.Popen[bytes] | None" = None) -> Any:
    """Wait for the first true result of the condition, or fail after a timeout."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}")
        try:
            if value := condition():
                return value
        except urllib.error.URLError:
            pass
        time.sleep(0.2)
    pytest.fail(f"not within {SECONDS} seconds")


@pytest.fixture(scope="module")
def image(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(small.path, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def container(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    port, output = free_port(), tmp_path_factory.mktemp("container") / "output"
    before = snapshot(image.root, "app/logs", "tmp")
    settings = {"API_KEYS": KEY, "PORT": str(port), "HOST": "127.0.0.1", "POLL_SECONDS": "0.2"}
    variables = {f"FLIGHT_DELAYS_{name}": value for name, value in settings.items()}
    process = image.start(image.command("service"), output, **variables)
    running = Container(image, port, output, process, before)
    try:
        wait_for(lambda: running.ask("/health")[0] == 200, process)
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def row(small: BakedProject) -> Any:
    path = small.path / "models/examples.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"][0]


def text(project: BakedProject, name: str) -> str:
    return (project.path / name).read_text(encoding="utf-8")


# The container


def test_the_container_is_ready_answers_and_logs(container: Container, row: Any) -> None:
    assert container.ask("/ready")[0] == 200
    status, body = container.ask("/predict", row)
    assert status == 200, body
    assert json.loads(body)["model_version"].startswith("unreleased-")
    logs = container.image.root / "app/logs/predictions"
    assert wait_for(lambda: list(logs.glob("*.jsonl")))


def test_the_health_check_passes_while_the_service_answers(container: Container) -> None:
    assert container.is_well()


def test_the_container_writes_nothing_but_its_log_and_temporary_files(
    container: Container, row: Any
) -> None:
    assert container.ask("/predict", row)[0] == 200
    after = snapshot(container.image.root, "app/logs", "tmp")
    assert changes(container.files, after) == set()


@pytest.mark.parametrize(("path", "code"), [("logs/x", 0), ("contract.yaml", 1), ("new", 1)])
def test_the_user_of_the_container_can_write_its_log_alone(
    image: Image, tmp_path: Path, path: str, code: int
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    writes = ["python", "-c", f"open({path!r}, 'a').close()"]
    assert image.start(writes, tmp_path / "output").wait(SECONDS) == code


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_container_runs_as_a_user_without_rights(container: Container) -> None:
    status = Path(f"/proc/{container.process.pid}/status").read_text(encoding="ascii")
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)


def test_the_image_has_nothing_of_the_training(image: Image) -> None:
    (packages,) = (image.root / "opt/venv/lib").glob("python*/site-packages")
    installed = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    assert {"flight_delays", "onnxruntime", "starlette"} <= installed
    assert not installed & {"dvc", "gto", "scikit_learn", "skl2onnx", "onnx", "scipy", "matplotlib"}
    assert not installed & {"pandas"}
    assert not installed & {"hatchling", "uv", "pip", "setuptools", "pytest", "mypy"}


def test_the_last_stage_is_the_service_from_one_pinned_base(small: BakedProject) -> None:
    stages = parse(small.path / "Dockerfile")
    names = {stage.name for stage in stages}
    (base,) = {stage.base for stage in stages} - names - {"scratch"}
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base)
    assert {stage.base for stage in parse(small.path / "deploy/dask/Dockerfile")} == {base}
    assert stages[-1].base == "service"
    service = next(stage for stage in stages if stage.name == "service")
    assert service.all("USER") == ["10001:10001"]
    assert not re.search(r"apt|gcc|pip|uv ", " ".join(service.all("RUN")))


def test_the_linter_of_dockerfiles_finds_nothing(small: BakedProject) -> None:
    small.run("hadolint", "--failure-threshold", "warning", "Dockerfile")


def test_the_builder_is_sent_what_the_dockerfile_copies_and_nothing_else(
    small: BakedProject,
) -> None:
    copied = set()
    for stage in parse(small.path / "Dockerfile"):
        for arguments in stage.all("COPY"):
            if not arguments.startswith("--from"):
                copied |= set(arguments.split()[:-1])
    assert {line[1:] for line in ignored(small.path) if line.startswith("!")} == copied


def test_the_lock_of_the_container_is_a_part_of_the_projects(small: BakedProject) -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text(small, name), re.M))

    whole, part = pins("requirements.lock"), pins("requirements-serve.lock")
    assert part.items() <= whole.items()
    assert "://" not in text(small, "requirements-serve.lock")


# What Prometheus, Grafana and the autoscaler ask for


def boards(project: BakedProject) -> list[dict[str, Any]]:
    """The dashboards of Grafana."""
    paths = sorted((project.path / "deploy/grafana/dashboards").iterdir())
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def rules(project: BakedProject) -> list[dict[str, Any]]:
    """The rules of every group of the alerts."""
    groups = yaml.safe_load(text(project, "deploy/prometheus/alerts.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries(project: BakedProject) -> list[str]:
    """Every expression of the dashboards, the alerts and the autoscaler's adapter."""
    panels = [panel for board in boards(project) for panel in board["panels"]]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    adapter = yaml.safe_load(text(project, "deploy/prometheus/adapter.yml"))
    series = [rule["seriesQuery"] for rule in adapter["rules"]["custom"]]
    return [*expressions, *(rule["expr"] for rule in rules(project)), *series]


def metrics(container: Container, row: Any) -> str:
    """The /metrics of a service that has answered, swapped a model and been monitored."""
    assert container.ask("/predict", row)[0] == 200
    gauges = container.image.root / "app/logs/predictions" / GAUGES
    gauges.write_text(prometheus(FOUND), encoding="utf-8")
    gauges.chmod(0o644)
    path = container.image.root / "app/models/model.json"
    before = path.stat().st_mtime_ns
    os.utime(path)
    try:
        page = wait_for(
            lambda: 'outcome="swapped"' in (content := container.ask("/metrics")[1]) and content
        )
    finally:
        os.utime(path, ns=(before, before))
    return str(page)


def test_every_query_names_a_metric_that_the_service_has(
    container: Container, row: Any, small: BakedProject
) -> None:
    has = set(re.findall(r"^([a-z_]+)[ {]", metrics(container, row), re.M))
    queried = {name for query in queries(small) for name, _ in METRIC.findall(query)}
    assert len([name for name in queried if name.startswith("monitoring_")]) > 8
    assert len(queried) > 20
    assert queried - has == set()


@needs_prometheus
def test_prometheus_finds_every_metric_and_label_that_is_asked_for(
    container: Container, row: Any, small: BakedProject, tmp_path: Path
) -> None:
    metrics(container, row)
    shutil.copytree(small.path / "deploy/prometheus", tmp_path, dirs_exist_ok=True)
    path, port = tmp_path / "prometheus.yml", free_port()
    config = path.read_text(encoding="utf-8").replace("15s", "1s")
    path.write_text(config.replace("service:8000", f"127.0.0.1:{container.port}"), "utf-8")
    command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output
        )
    try:

        def ask(query: str) -> Any:
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
            status, body = get(url)
            assert status in (200, 503), f"{query}: {body}"
            return status == 200 and json.loads(body)["data"]["result"]

        wait_for(lambda: ask('up{job="serving"} == 1'), process)
        for query in queries(small):
            if "namespace" not in query:
                ask(query)
            for name, labels in METRIC.findall(query):
                used = re.findall(r"(\w+)\s*(?:=~|!=|=)", labels)
                names = [label for label in used if label not in ("namespace", "pod")]
                matchers = ", ".join(f'{label}!=""' for label in names)
                assert wait_for(
                    lambda matchers=matchers, name=name: ask(f"{name}{{{matchers}}}")
                ), query
            for labels in re.findall(r"by \(([^)]*)\)", query):
                metric = METRIC.findall(query)[0][0]
                matchers = ", ".join(f'{label.strip()}!=""' for label in labels.split(","))
                assert ask(f"{metric}{{{matchers}}}"), query
    finally:
        process.kill()
        process.wait()


@needs_prometheus
def test_the_alerts_fire_when_they_should(small: BakedProject) -> None:
    small.run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
    small.run("promtool", "test", "rules", "deploy/prometheus/alerts_test.yml")


@needs_prometheus
def test_an_alert_with_another_limit_fails_its_test(small: BakedProject, tmp_path: Path) -> None:
    shutil.copytree(small.path / "deploy/prometheus", tmp_path, dirs_exist_ok=True)
    limits = [("> 0.01", "> 0.3"), ("> 0.25", "> 0.001"), ("120 * 24", "150 * 24")]
    limits += [("> 8 * 24", "> 9 * 24"), ('"calibration"', '"coverage"'), ("0.01 + 2 *", "0.2 +")]
    for limit, other in limits:
        changed = text(small, "deploy/prometheus/alerts.yml").replace(limit, other)
        (tmp_path / "alerts.yml").write_text(changed, encoding="utf-8")
        done = small.run("promtool", "test", "rules", tmp_path / "alerts_test.yml", check=False)
        assert done.returncode == 1, limit


def test_every_alert_is_tested_and_in_the_runbook(small: BakedProject) -> None:
    runbook, tests = (
        text(small, "docs/runbook.md"),
        text(small, "deploy/prometheus/alerts_test.yml"),
    )
    for rule in rules(small):
        name = rule["alert"]
        assert f"\n### {name}\n" in runbook
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert f"- alertname: {name}\n" in tests
        assert tests.count(f"{{alertname: {name}, eval_time") > 0  # when it does not fire


@pytest.mark.needs("amtool")
def test_alertmanager_finds_no_fault_in_its_configuration(small: BakedProject) -> None:
    small.run("amtool", "check-config", "deploy/prometheus/alertmanager.yml")


# Compose


def test_compose_follows_its_schema_and_all_yaml_is_tidy(small: BakedProject) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    small.run("check-jsonschema", *schema, "deploy/compose.yaml", "deploy/dask/compose.yaml")
    small.run("yamllint", "--strict", "--config-data", LINT, "deploy")


def test_compose_opens_nothing_to_others_and_takes_all_rights_away(small: BakedProject) -> None:
    compose = yaml.safe_load(text(small, "deploy/compose.yaml"))
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "build" in service or re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])
    mounts = compose["services"]["grafana"]["volumes"]
    path = "deploy/grafana/provisioning/dashboards/serving.yaml"
    (provider,) = yaml.safe_load(text(small, path))["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts
    (source,) = yaml.safe_load(
        text(small, "deploy/grafana/provisioning/datasources/prometheus.yaml")
    )["datasources"]
    panels = [panel for board in boards(small) for panel in board["panels"]]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert len({board["uid"] for board in boards(small)}) == 2


def test_prometheus_tells_alertmanager_where_compose_runs_it(small: BakedProject) -> None:
    config = yaml.safe_load(text(small, "deploy/prometheus/prometheus.yml"))
    ((target,),) = (
        target_group["targets"]
        for manager in config["alerting"]["alertmanagers"]
        for target_group in manager["static_configs"]
    )
    service = yaml.safe_load(text(small, "deploy/compose.yaml"))["services"]["alertmanager"]
    assert target == "alertmanager:9093"
    assert service["ports"] == ["127.0.0.1:9093:9093"]
    (mount, _) = service["volumes"]
    assert mount == "./prometheus/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro"
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in service["command"]


def directives(project: BakedProject) -> dict[str, str]:
    """The directives of nginx.conf that have one line each."""
    lines = re.sub(r"#.*", "", text(project, "deploy/nginx.conf")).splitlines()
    matches = (re.fullmatch(r"\s*(\w+) (.*);\s*", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def test_the_proxy_keeps_slow_and_large_requests_off_the_service(small: BakedProject) -> None:
    configured = directives(small)
    settings = dict(re.findall(r"^# FLIGHT_DELAYS_(\w+)=(.*)$", text(small, ".env.example"), re.M))
    assert configured["client_max_body_size"] == settings["MAX_BODY_BYTES"]
    for name in ("client_header_timeout", "client_body_timeout", "send_timeout"):
        assert configured[name] == f"{settings['TIMEOUT_SECONDS']}s"
    assert configured["proxy_request_buffering"] == configured["proxy_buffering"] == "on"
    # Offers of h2c, as Java's HttpClient makes them, end here: uvicorn would lose the body.
    assert configured["proxy_http_version"] == "1.1"
    assert 'proxy_set_header Connection "";' in text(small, "deploy/nginx.conf")
    assert "Upgrade" not in text(small, "deploy/nginx.conf")
    assert {"limit_conn", "keepalive_timeout", "large_client_header_buffers"} <= configured.keys()
    compose = yaml.safe_load(text(small, "deploy/compose.yaml"))["services"]
    assert "ports" not in compose["service"]  # clients reach the proxy alone
    assert compose["proxy"]["ports"] == [f"127.0.0.1:8000:{configured['listen']}"]
    assert "./nginx.conf:/etc/nginx/nginx.conf:ro" in compose["proxy"]["volumes"]


@pytest.mark.needs("nginx")
def test_nginx_finds_no_fault_in_its_configuration(small: BakedProject, tmp_path: Path) -> None:
    config = text(small, "deploy/nginx.conf").replace("server service:8000", "server 127.0.0.1:1")
    (tmp_path / "nginx.conf").write_text(config.replace("/tmp/", f"{tmp_path}/"), "utf-8")
    done = subprocess.run(
        ["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Kubernetes


def manifests(project: BakedProject) -> dict[str, Any]:
    folder = project.path / "deploy/kubernetes"
    kustomization = yaml.safe_load(text(project, "deploy/kubernetes/kustomization.yaml"))
    names = {path.name for path in folder.iterdir()}
    assert names == {*kustomization["resources"], "kustomization.yaml"}
    documents = [yaml.safe_load(text(project, f"deploy/kubernetes/{name}")) for name in names]
    return {document["kind"]: document for document in documents}


def test_the_manifests_follow_the_schemas_of_kubernetes(small: BakedProject) -> None:
    documents = manifests(small)
    assert documents.pop("Kustomization")["images"]
    kinds = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert kinds | {"NetworkPolicy", "PersistentVolumeClaim"} == documents.keys()
    for manifest in documents.values():
        kubernetes_validate.validate(manifest, "1.34", strict=True)


def test_a_manifest_with_a_misspelt_field_is_refused(small: BakedProject) -> None:
    deployment = manifests(small)["Deployment"]
    deployment["spec"]["template"]["spec"]["securityContxt"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="securityContxt"):
        kubernetes_validate.validate(deployment, "1.34", strict=True)


def document(**fields: Any) -> dict[str, Any]:
    """The schema of an object with exactly these fields."""
    closed = {"additionalProperties": False, "required": [*fields]}
    return {"type": "object", "properties": fields, **closed}


NAME = {"type": "string", "pattern": "^[a-z0-9.-]+$"}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
WEIGHT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
ROUTE = document(
    apiVersion={"const": "gateway.networking.k8s.io/v1"},
    kind={"const": "HTTPRoute"},
    metadata={"type": "object", "required": ["name"]},
    spec=document(
        parentRefs={"type": "array", "items": document(name=NAME, namespace=NAME)},
        rules={
            "type": "array",
            "items": document(
                backendRefs={
                    "type": "array",
                    "items": document(name=NAME, port=PORT, weight=WEIGHT),
                }
            ),
        },
    ),
)


def kustomized(project: BakedProject, folder: str) -> dict[str, Any]:
    """What kubectl would apply, by kind."""
    done = project.run("kubectl", "kustomize", folder)
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def test_the_route_sends_the_canary_a_small_share(small: BakedProject) -> None:
    """Validated with the fields that we use, since no package has the schema of Gateway API."""
    route = yaml.safe_load(text(small, "deploy/canary/route.yaml"))
    jsonschema.validate(route, ROUTE)
    service = manifests(small)["Service"]
    (port,) = (port_spec["port"] for port_spec in service["spec"]["ports"])
    ((stable, canary),) = (rule["backendRefs"] for rule in route["spec"]["rules"])
    assert [stable["name"], canary["name"]] == ["flight-delays", "flight-delays-canary"]
    assert stable["name"] == service["metadata"]["name"]
    assert stable["port"] == canary["port"] == port
    assert canary["weight"] / (stable["weight"] + canary["weight"]) == 0.05
    assert '"path": "/spec/rules/0/backendRefs/1/weight", "value": 0' in text(
        small, "docs/runbook.md"
    )
    canary["wieght"] = canary.pop("weight")
    with pytest.raises(jsonschema.ValidationError, match="wieght"):
        jsonschema.validate(route, ROUTE)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders it, is not here"
)
def test_the_canary_differs_from_the_service_in_names_version_and_number(
    small: BakedProject,
) -> None:
    stable = kustomized(small, "deploy/kubernetes")
    canary = kustomized(small, "deploy/canary")
    assert canary.keys() == {"Deployment", "Service", "HTTPRoute"}
    jsonschema.validate(canary["HTTPRoute"], ROUTE)
    for kind in ("Deployment", "Service"):
        kubernetes_validate.validate(canary[kind], "1.34", strict=True)
        assert canary[kind]["metadata"]["name"] == "flight-delays-canary"
    pods, stable_pods = (part["Deployment"]["spec"] for part in (canary, stable))
    (name,) = canary["Service"]["spec"]["selector"].values()
    policy = stable["NetworkPolicy"]["spec"]["podSelector"]["matchExpressions"][0]
    assert pods["template"]["metadata"]["labels"][policy["key"]] == name
    assert {name, *stable["Service"]["spec"]["selector"].values()} == set(policy["values"])
    assert pods.pop("replicas") == 1
    image, other = (
        part["template"]["spec"]["containers"][0]["image"] for part in (pods, stable_pods)
    )
    assert image.partition(":")[0] == other.partition(":")[0]
    assert image != other
    renamed = json.dumps(pods).replace("-canary", "").replace(image, other)
    assert json.loads(renamed) == stable_pods


def test_the_pod_has_no_rights_and_its_secret_is_elsewhere(small: BakedProject) -> None:
    pod = manifests(small)["Deployment"]["spec"]["template"]["spec"]
    (service,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    image = next(stage for stage in parse(small.path / "Dockerfile") if stage.name == "service")
    assert image.all("USER") == [user]
    assert service["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in service["volumeMounts"]} == {"/app/logs", "/tmp"}
    assert "secretKeyRef" in service["env"][0]["valueFrom"]


def test_the_probes_ask_for_paths_that_answer(container: Container, small: BakedProject) -> None:
    (service,) = manifests(small)["Deployment"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container.ask(service[probe]["httpGet"]["path"])[0] == 200


def test_the_autoscaler_scales_the_deployment_on_what_the_adapter_gives(
    small: BakedProject,
) -> None:
    documents = manifests(small)
    autoscaler = documents["HorizontalPodAutoscaler"]["spec"]
    (rule,) = yaml.safe_load(text(small, "deploy/prometheus/adapter.yml"))["rules"]["custom"]
    assert autoscaler["metrics"][0]["pods"]["metric"] == {"name": rule["name"]["as"]}
    assert autoscaler["scaleTargetRef"]["name"] == documents["Deployment"]["metadata"]["name"]
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget"):
        selector = documents[kind]["spec"]["selector"]
        assert selector.get("matchLabels", selector) == labels
    (guarded,) = documents["NetworkPolicy"]["spec"]["podSelector"]["matchExpressions"]
    assert labels[guarded["key"]] in guarded["values"]


# AWS Lambda


@dataclass
class Lambda:
    """AWS Lambda's runtime API: hands out events one by one, and collects the answers."""

    events: list[Any]
    answers: list[Any] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if len(api.answers) == len(api.events):
                    api.done.wait(SECONDS)  # as the real one, until there is another event
                    return
                self.reply(200, api.events[len(api.answers)])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.answers.append((self.path.rpartition("/")[2], json.loads(body)))
                self.reply(202, {"status": "OK"})

            def reply(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                # Without this one the real client of the runtime crashes.
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e8")
                self.send_header("Lambda-Runtime-Aws-Request-Id", str(len(api.answers)))
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::f")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def event(method: str, path: str, body: Any = None, key: str = KEY) -> dict[str, Any]:
    """A request as a Function URL or an HTTP API sends it: payload format 2.0."""
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "host": "abcdefghij.lambda-url.eu-central-1.on.aws",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    http = {
        "method": method,
        "path": path,
        "protocol": "HTTP/1.1",
        "sourceIp": "192.0.2.1",
        "userAgent": "tests",
    }
    context = {
        "accountId": "anonymous",
        "apiId": "abcdefghij",
        "domainName": headers["host"],
        "http": http,
        "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
        "routeKey": "$default",
        "stage": "$default",
        "time": "23/Nov/2026:12:00:00 +0000",
        "timeEpoch": 1795435200000,
    }
    document = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    return document if body is None else document | {"body": json.dumps(body)}


def test_lambda_answers_events_as_the_service_answers_requests(
    image: Image, container: Container, row: Any, tmp_path: Path
) -> None:
    api = Lambda(
        [
            event("POST", "/predict", row),
            event("POST", "/predict", {**row, "carrier": 7}),
            event("POST", "/predict", row, key="another-key-of-the-tests"),
            event("GET", "/ready"),
            event("POST", "/explain", row),
            event("POST", "/predict", [row, row]),
        ]
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), api.handler())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    output = tmp_path / "output"
    process = image.start(
        image.command("lambda"),
        output,
        AWS_LAMBDA_RUNTIME_API=f"127.0.0.1:{server.server_port}",
        FLIGHT_DELAYS_API_KEYS=KEY,
    )
    try:
        wait_for(lambda: len(api.answers) == len(api.events), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        api.done.set()
        server.shutdown()
        server.server_close()
    assert {kind for kind, _ in api.answers} == {"response"}
    statuses = [answer["statusCode"] for _, answer in api.answers]
    assert statuses == [200, 422, 401, 200, 200, 200]
    _, expected = container.ask("/predict", row)
    answer = json.loads(api.answers[0][1]["body"])
    assert answer["predictions"] == json.loads(expected)["predictions"]
    assert "carrier" in json.loads(api.answers[1][1]["body"])["error"]
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    logged = [line for line in lines if line.get("line") == "answers"]
    assert [len(line["raw"]["carrier"]) for line in logged] == [1, 2]
    assert logged[0]["request_id"] == answer["request_id"]
    assert (
        logged[0]["answers"]["prediction"][0][1] == answer["predictions"][0]["probability"]["true"]
    )


# Last, since they end the container.


def test_the_container_ends_in_order_and_its_health_check_then_fails(container: Container) -> None:
    container.process.terminate()
    assert container.process.wait(SECONDS) == 0
    assert not container.is_well()
