"""The throughput of `flight-delays serve`, compared with MLflow, BentoML and plain FastAPI.

    .venv/bin/python benchmarks/serving.py --quick          minutes, mostly the project's run
    .venv/bin/python benchmarks/serving.py                  a quarter of an hour
    .venv/bin/python benchmarks/serving.py --only ours mlflow
    .venv/bin/python benchmarks/serving.py --model boosting   this candidate, not the selected one

README.md describes what is measured and what the results mean.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml
from _load import WRK, load
from _measure import run, show
from _servers import ask, free_port, started

from pipeline import HERE, TOOLS, Bench

PEERS = HERE / "peers"
KEY = "a-key-for-the-benchmark-only"
MANY = 1000
WARM = 3.0  # seconds of load before anything is measured
READY_MADE = "mlflow, features ready made"
NEEDED = {  # separate environments, since the dependencies of MLflow and BentoML conflict
    "mlflow": ["mlflow>=3", "pandas"],
    "bentoml": ["bentoml>=1.4", "pandas"],
    # It also fits the peers' pipeline, for which candidates.py imports skl2onnx.
    "plain": ["fastapi", "uvicorn[standard]", "pandas", "pyarrow", "pyyaml", "skl2onnx"],
}
ROWS = f"""
import json, sys
import pandas as pd
from machinery.pipeline.data import contract
known = contract.load().known_before()
rows = pd.read_parquet("data/test.parquet").head({MANY})[known]
times = rows.select_dtypes("datetime")
texts = {{name: times[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in times}}
rows = rows.assign(**texts).astype(object)
features = pd.read_parquet("data/features/test.parquet").head({MANY})
features = features[[*json.load(open("models/model.json"))["features"]]].astype(object)
for name, table in (("raw", rows), ("features", features)):
    records = table.where(table.notna(), None).to_dict("records")
    open(f"{{sys.argv[1]}}/{{name}}.json", "w").write(json.dumps(records))
"""


RATIOS = [
    ("mlflow", "rate", ">= 50"),
    (READY_MADE, "rate", ""),
    ("bentoml", "rate", ""),
    ("plain fastapi", "rate", ""),
    ("echo", "rate", ">= 0.5"),
    ("echo, bare", "rate", ""),
    ("ours, no prediction log", "rate", ">= 0.9"),
    ("mlflow", "rows", ">= 1"),
    (READY_MADE, "rows", ""),
    ("bentoml", "rows", ""),
    ("plain fastapi", "rows", ""),
]


class Contender(NamedTuple):
    """A server: its command, its request format, and how to read probabilities from its answer.

    `cores` is the number that it may use; None for all. The peers are faster on one, where the
    threads of their libraries do not wait for each other.
    """

    command: Callable[[int], Sequence[object]]
    path: str
    body: Callable[[list[Any]], Any]
    read: Callable[[Any], list[float]] | None
    rows: str = "raw"
    environment: dict[str, str] = {}
    cores: int | None = 1


class Figures(NamedTuple):
    """The measurements of a server in one round; `busy` is per processor second."""

    rate: float
    busy_rate: float
    p50: float
    p99: float
    rows: float
    busy_rows: float
    ready: float
    memory: float


def contenders(bench: Bench) -> dict[str, Contender]:
    """All servers, with one worker each."""
    folder, here = bench.folder, ["--host", "127.0.0.1"]

    def mlflow(rows: str) -> Contender:
        words = ["models", "serve", "--model-uri", folder / f"mlflow-{rows}", "--env-manager"]
        start = [tool(bench, "mlflow", "mlflow"), *words, "local", *here, "--workers", 1, "-p"]
        path = {"PATH": binaries}
        return Contender(
            lambda port: [*start, port], "/invocations", _split, _of_mlflow, rows, path
        )

    def bento(port: int) -> list[object]:
        words = [tool(bench, "bentoml", "bentoml"), "serve", "bento_service:Delays", *here]
        return [*words, "--port", port]

    def uvicorn(python: Path, app: str) -> Callable[[int], list[object]]:
        return lambda port: [python, "-m", "uvicorn", app, *here, "--port", port]

    def serve(port: int) -> list[object]:
        return [tool(bench, "ours", "flight-delays"), "serve", "--port", port]

    def service(**settings: str) -> Contender:
        names = {f"FLIGHT_DELAYS_{name.upper()}": value for name, value in settings.items()}
        environment = names | {"FLIGHT_DELAYS_API_KEYS": KEY}
        return Contender(
            serve, "/predict", one_or_many, _of_ours, environment=environment, cores=None
        )

    binaries = os.pathsep.join([str(tool(bench, "mlflow", "")), os.environ["PATH"]])
    framework = tool(bench, "ours", "python")
    plain = uvicorn(tool(bench, "plain", "python"), "plain_fastapi:app")
    return {
        "ours": service(),
        "ours, no prediction log": service(prediction_log=""),
        "ours, no log at all": service(prediction_log="", access_log="false"),
        "mlflow": mlflow("raw"),
        READY_MADE: mlflow("features"),
        "bentoml": Contender(
            bento, "/predict", lambda rows: {"rows": rows}, _second,
            environment={"BENTOML_HOME": str(folder / "bento-store"), **_quiet("BENTOML")},
        ),
        "plain fastapi": Contender(
            plain, "/predict", lambda rows: rows, lambda answer: answer["probabilities"],
            environment={"PIPELINE": str(folder / "pipeline.pkl")},
        ),
        "echo": Contender(
            _silent(uvicorn(framework, "echo:app")), "/predict", one_or_many, None, cores=None
        ),
        "echo, bare": Contender(
            _silent(uvicorn(framework, "echo:bare")), "/predict", one_or_many, None, cores=None
        ),
    }  # fmt: skip


def _silent(command: Callable[[int], list[object]]) -> Callable[[int], list[object]]:
    return lambda port: [*command(port), "--no-access-log", "--log-level", "warning"]


def _quiet(name: str) -> dict[str, str]:
    return {f"{name}_DO_NOT_TRACK": "True"}


def one_or_many(rows: list[Any]) -> Any:
    """One row as an object, more as a list."""
    return rows[0] if len(rows) == 1 else rows


def _split(rows: list[Any]) -> Any:
    split = {"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}
    return {"dataframe_split": split}


def _second(pairs: list[list[float]]) -> list[float]:
    return [pair[1] for pair in pairs]


def _of_mlflow(answer: Any) -> list[float]:
    return _second(answer["predictions"])


def _of_ours(answer: Any) -> list[float]:
    return [prediction["probability"]["true"] for prediction in answer["predictions"]]


def tool(bench: Bench, peer: str, name: str) -> Path:
    """A command in a peer's environment."""
    return bench.folder / f"{peer}-venv/bin" / name


def prepare(bench: Bench, model: str | None) -> None:
    """Bake, install and reproduce the project; create the environments and the peers' pipeline."""
    bench.install()
    if not (bench.baked / "models/model.onnx").exists():
        if model:  # the only candidate is selected, even if it fails the gate
            params = bench.baked / "params.yaml"
            document = yaml.safe_load(params.read_text())
            document["train"] |= {"models": [model], "feature_sets": ["schedule_weather"]}
            params.write_text(yaml.safe_dump(document, sort_keys=False))
        bench.run(bench.baked, "dvc", "repro")
    bench.run(bench.baked, "python", "-c", ROWS, bench.folder)
    script = "import sklearn; print(sklearn.__version__)"
    command = [str(bench.python), "-c", script]
    version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    for peer, packages in NEEDED.items():
        python = tool(bench, peer, "python")
        if not python.exists():
            make_environment(bench, peer)
            bench.uv(*packages, f"scikit-learn=={version}", python=python)
    if not (served := tool(bench, "ours", "python")).exists():  # as the Dockerfile installs it
        make_environment(bench, "ours")
        bench.uv("--requirement", bench.baked / "requirements-serve.lock", python=served)
        bench.uv("--no-deps", "--editable", bench.baked, python=served)
    if not (pickled := bench.folder / "pipeline.pkl").exists():
        source = bench.baked / "src"
        fit = [tool(bench, "plain", "python"), PEERS / "train.py", bench.baked, pickled]
        run(fit, bench.folder, PYTHONPATH=source)
    if not (bench.folder / "mlflow-features").exists():
        run([tool(bench, "mlflow", "python"), PEERS / "mlflow_model.py"], bench.folder)
    if not (bench.folder / "bento-store").exists():
        put = [tool(bench, "bentoml", "python"), "bento_service.py", pickled]
        run(put, PEERS, BENTOML_HOME=bench.folder / "bento-store", **_quiet("BENTOML"))


def make_environment(bench: Bench, peer: str) -> None:
    """Create an empty environment with the project's Python."""
    environment = bench.folder / f"{peer}-venv"
    run([TOOLS / "uv", "venv", "--python", bench.python, environment], bench.folder)


def measure(bench: Bench, name: str, contender: Contender, seconds: float) -> Figures:
    """Start a server, compare its answers, and put it under load."""
    rows = json.loads((bench.folder / f"{contender.rows}.json").read_text())
    one, many = (json.dumps(contender.body(part)).encode() for part in (rows[:1], rows))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    port = free_port()
    folder = bench.baked if name.startswith("ours") else PEERS
    log = bench.folder / f"{name.replace(', ', '-').replace(' ', '-')}.log"
    request, command = (contender.path, one, headers), contender.command(port)
    with started(
        command, folder, log, port, request, contender.environment, contender.cores
    ) as server:
        if contender.read is not None:
            same_answers(bench, name, contender.read(ask(port, contender.path, many, headers)))
        load(port, contender.path, one, headers, 16, WARM)
        start = server.processor()
        at_16 = load(port, contender.path, one, headers, 16, seconds)
        busy = at_16.requests / (server.processor() - start)
        at_1 = load(port, contender.path, one, headers, 1, seconds)
        start = server.processor()
        bulk = load(port, contender.path, many, headers, 4, seconds)
        busy_rows = MANY * bulk.requests / (server.processor() - start)
        memory = server.megabytes()
    rows = MANY * bulk.rate
    return Figures(at_16.rate, busy, at_1.p50, at_1.p99, rows, busy_rows, server.seconds, memory)


def same_answers(bench: Bench, name: str, answers: list[float]) -> None:
    """Compare the answers with the first server's, to check that all do the same work."""
    path = bench.folder / "answers.json"
    if not path.exists():
        path.write_text(json.dumps(answers))
    expected = json.loads(path.read_text())
    pairs = zip(answers, expected, strict=True)
    furthest = max(abs(one - other) for one, other in pairs)
    if furthest > 1e-5:
        print(f"{name} ANSWERS DIFFER by {furthest:.2g}", flush=True)


def table(results: dict[str, list[Figures]]) -> None:
    """Print medians over the rounds."""
    lines: list[list[str | float]] = []
    for name, rounds in results.items():
        of = Figures(*(median(column) for column in zip(*rounds, strict=True)))
        rates = [f"{of.rate:,.0f}", f"{of.busy_rate:,.0f}", of.p50, of.p99]
        lines.append([name, *rates, f"{of.rows:,.0f}", f"{of.busy_rows:,.0f}", of.ready, of.memory])
    rates = ["requests/s", "/processor s", "p50 ms", "p99 ms", "rows/s", "/processor s"]
    title = "16 clients; one client; 4 clients with 1,000 rows a request"
    show(title, ["", *rates, "ready s", "MB"], lines)


def compare(results: dict[str, list[Figures]]) -> None:
    """Print the ratios, medians over the rounds."""
    words = {"rate": "requests/s", "rows": "rows/s"}
    lines: list[list[str | float]] = []
    for other, figure, goal in RATIOS:
        if {"ours", other} <= results.keys():
            ratios = [over(results, other, column) for column in (figure, f"busy_{figure}")]
            lines.append([f"ours / {other}, {words[figure]}", *ratios, goal])
    if lines:
        show("Ratios", ["", "wall", "processor", "goal"], lines)
    print("Goals of ours: p50 < 1.5 ms, p99 < 10 ms, ready in 2 s, < 130 MB a worker.")


def over(results: dict[str, list[Figures]], other: str, figure: str) -> float:
    """The median ratio of ours to another server's."""
    pairs = zip(results["ours"], results[other], strict=True)
    return float(
        median(getattr(first, figure) / getattr(second, figure) for first, second in pairs)
    )


def main() -> None:
    """Prepare, measure in rounds, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", nargs="+", help="some of the servers, by name")
    parser.add_argument("--model", help="serve this candidate; with --folder, another one a model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--cores", type=int, help="for every server; by default, its best number")
    parser.add_argument("--folder", type=Path, help="keep what was baked for the next run")
    options = parser.parse_args()
    rounds, seconds = (1, 2.0) if options.quick else (options.rounds, options.seconds)
    os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench((options.folder or Path(scratch)).resolve(), rounds)
        bench.folder.mkdir(parents=True, exist_ok=True)
        prepare(bench, options.model)
        (bench.folder / "answers.json").unlink(missing_ok=True)
        candidates = contenders(bench)
        if unknown := {*(options.only or [])} - {*candidates}:
            parser.error(f"{unknown} is none of {[*candidates]}")
        chosen = {name: candidates[name] for name in options.only or candidates}
        if options.cores:
            chosen = {
                name: contender._replace(cores=options.cores) for name, contender in chosen.items()
            }
        print("Load by", WRK or "the client in _load.py: wrk is not installed", flush=True)
        results: dict[str, list[Figures]] = {name: [] for name in chosen}
        for _ in range(rounds):
            for name, contender in chosen.items():
                results[name].append(measure(bench, name, contender, seconds))
        table(results)
        compare(results)


if __name__ == "__main__":
    main()
