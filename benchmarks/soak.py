"""Load on the service while its model is swapped and its workers are killed.

    .venv/bin/python benchmarks/soak.py              ten minutes, half of them to train two models
    .venv/bin/python benchmarks/soak.py --seconds 20 --project DIR --other DIR

README.md describes the faults and the guarantees; the exit code is 1 if one is violated.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from _servers import free_port
from _soak_load import KEY, WORKERS, Client, FaultInjector, Record
from _soak_verdict import verdict

TIMEOUT = 60.0
# The rows of the test table as in requests, and each model's predictions by its own Scorer.
EXPECTED = """
import json, sys
from pathlib import Path
import pandas as pd
from machinery.pipeline.model.scoring import Scorer, version_of
from {package} import features
wanted = {{}}
for folder in sys.argv[2:]:
    scorer = Scorer(features, Path(folder))
    known = scorer.contract.known_before()
    rows = pd.read_parquet("data/test.parquet").head(500)[known]
    times = rows.select_dtypes("datetime")
    texts = {{name: times[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in times}}
    rows = rows.assign(**texts).astype(object)
    records = rows.where(rows.notna(), None).to_dict("records")
    typed = [dict(each, **{{name: pd.Timestamp(each[name]).to_pydatetime() for name in texts
             if each[name] is not None}}) for each in records]
    arrays = scorer.arrays({{name: [each[name] for each in typed] for name in known}})
    version = version_of(Path(folder), scorer.info)
    wanted[version] = scorer.answers(arrays).prediction[:, -1].tolist()
Path(sys.argv[1]).write_text(json.dumps([records, wanted]))
"""
READ = """
import json, sys
from pathlib import Path
from machinery.serving.log_files import read
folder = Path(sys.argv[1])
table = read(folder)
names = ["request_id", "row", "model_version", "probability_true", "outcome"]
columns = [table[name].to_pylist() for name in names]
lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.open()]
outcomes = [line["request_id"] for line in lines if line["line"] == "outcome"]
Path(sys.argv[2]).write_text(json.dumps([columns, outcomes]))
"""


@dataclass
class Project:
    """A checkout with a model, and the environment of its commands."""

    folder: Path
    environment: dict[str, str]

    def run(self, script: str, *words: object) -> None:
        """Run a Python script in it."""
        command = ["python", "-c", script.format(package=self.folder.name), *map(str, words)]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)


def soak(project: Project, other: Path, seconds: float, clients: int, folder: Path) -> list[str]:
    """Run the soak in a folder and return the violations."""
    models = [folder / "first", folder / "second"]
    for path, source in zip(models, (project.folder, other), strict=True):
        shutil.copytree(source / "models", path, ignore=shutil.ignore_patterns("candidates"))
    served = folder / "served"
    shutil.copytree(models[0], served / "models")
    shutil.copy(project.folder / "contract.yaml", served)
    project.run(EXPECTED, folder / "expected.json", project.folder, other)
    rows, expected = json.loads((folder / "expected.json").read_text())
    if len(expected) != len(models):
        sys.exit("both projects have the same model; give --other one that was trained otherwise")
    record, port = Record(), free_port()
    process = start(project, served, port, folder / "serve.log")
    try:
        injector = FaultInjector(process.pid, served, models, record)
        posting = [Client(port, f"c{number}", record, rows, expected) for number in range(clients)]
        page = under_load(injector, posting, port, seconds)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT)
    finally:
        process.kill()
    project.run(READ, served / "logs", folder / "log.json")
    answers, outcomes = json.loads((folder / "log.json").read_text())
    faults = [f"the service ended with {code}"] if code else []
    return faults + verdict(record, answers, outcomes, page)


def start(project: Project, served: Path, port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start the service on a folder, and wait until all workers are ready."""
    prefix = project.folder.name.upper()
    settings = {
        "API_KEYS": KEY,
        "MODEL_FOLDER": served,
        "PREDICTION_LOG": served / "logs",
        "POLL_SECONDS": 0.2,
    }
    names = {f"{prefix}_{name}": str(value) for name, value in settings.items()}
    command = [project.folder.name.replace("_", "-"), "serve", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--workers", str(WORKERS)],
            cwd=project.folder,
            env=project.environment | names,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + TIMEOUT
    while log.read_text().count("Application startup complete") < WORKERS:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            sys.exit(f"the service does not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    return process


def under_load(injector: FaultInjector, clients: list[Client], port: int, seconds: float) -> str:
    """Run clients and faults for some seconds; return the service's metrics afterwards."""
    for thread in (injector, *clients):
        thread.start()
    for left in range(int(seconds), 0, -1):
        if sys.stderr.isatty():
            print(f"\r{left:4} s left ", end="", file=sys.stderr)
        time.sleep(1)
    injector.stop.set()
    injector.join()
    injector.install(0)  # so that the successor of the last killed worker finds a good one
    for thread in clients:
        thread.stop.set()
        thread.join()
    return metrics(port)


def metrics(port: int) -> str:
    """The service's counters."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def two_projects(folder: Path) -> tuple[Path, Path, Path]:
    """Bake and run the default project twice; return both and the folder of programs."""
    from pipeline import Bench

    bench = Bench(folder, 1)
    bench.install()
    projects = []
    for name, strength in (("first", "1.0"), ("second", "0.5")):
        path = folder / name / bench.baked.name
        if not (path / "models/model.onnx").exists():
            ignored = shutil.ignore_patterns(".venv")
            shutil.copytree(bench.baked, path, dirs_exist_ok=True, ignore=ignored)
            params = path / "params.yaml"
            params.write_text(params.read_text().replace("      C: 1.0", f"      C: {strength}"))
            bench.run(path, "dvc", "repro")
        projects.append(path)
    return projects[0], projects[1], bench.python.parent


def command_line() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--project", type=Path, help="a reproduced project; its commands in PATH")
    parser.add_argument("--other", type=Path, help="the same with another model")
    parser.add_argument("--folder", type=Path, help="keep what was baked and written here")
    return parser.parse_args()


def main() -> None:
    """Run the soak and print the violations."""
    options = command_line()
    seconds = options.seconds or 60 * options.minutes
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if options.project is None:
            first, other, programs = two_projects(folder)
            environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        else:
            first, other = options.project.resolve(), options.other.resolve()
        environment["PYTHONPATH"] = str(first / "src")
        work = Path(tempfile.mkdtemp(dir=folder, prefix="soak-"))
        faults = soak(Project(first, environment), other, seconds, options.clients, work)
    print("\n".join(["", *(f"NO  {fault}" for fault in faults)]) if faults else "\nok")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
