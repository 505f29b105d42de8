"""Stages and bulk predictions without a cluster, and on Dask clusters of one and two workers.

Run with the template's Python on a reproduced project whose .venv also has requirements-scale.lock:
`.venv/bin/python benchmarks/scale.py --rows 3400000`. Workers are processes of this machine with
one thread each; the process that reads and writes is another one, so two workers need three cores.
The results for more workers are estimates: the client's work is done once, the workers' is shared
evenly, in parallel with the client's at best and after it at worst. Plain Dask computes the same
features with the same functions in dask.dataframe.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import psutil
from _measure import Run, alternate, medians, ratio, run, show

TEMPLATE = Path(__file__).resolve().parents[1]
PORT = 18786
ADDRESS = f"tcp://127.0.0.1:{PORT}"
ESTIMATED = 4, 8, 16
LOCAL = ["--host", "127.0.0.1"]
ROWS = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
source, target, rows, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), 100_000
table = pq.read_table(source).replace_schema_metadata(None)
block = pa.concat_tables([table] * -(-group // len(table))).slice(0, group).combine_chunks()
with pq.ParquetWriter(target, block.schema, compression="zstd") as writer:
    for start in range(0, rows, group):
        writer.write_table(block.slice(0, min(group, rows - start)))
"""
PLAIN = """
import sys
import dask.dataframe as dd, pandas as pd
from distributed import Client
from flight_delays import features
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import from_pandas

contract = contracts.load()
catalogue = Catalogue(contract, features)

def made(part):
    columns = part[[*contract.row_columns, contract.target]]
    return columns.assign(**catalogue.compute(from_pandas(part, catalogue.inputs, contract)))

if __name__ == "__main__":
    names = dict.fromkeys([*catalogue.inputs, *contract.row_columns, contract.target])
    with Client(sys.argv[1]):
        for name in ("train", "test"):
            table = dd.read_parquet(f"data/{name}.parquet", columns=[*names], split_row_groups=1)
            meta = made(table.head(5)).head(0)
            out = f"data/plain/{name}"
            table.map_partitions(made, meta=meta).to_parquet(out, compression="zstd")
"""


@contextmanager
def cluster(python: Path, folder: Path, workers: int) -> Iterator[list[int]]:
    """Run a scheduler and workers; yields their process ids."""
    scheduler = ["-m", "dask", "scheduler", *LOCAL, "--port", str(PORT), "--no-dashboard"]
    worker = ["-m", "machinery.scale", ADDRESS, *LOCAL, "--nworkers", str(workers)]
    settings = os.environ | {"PYTHONPATH": "src"}
    started = []
    try:
        for words in (scheduler, [*worker, "--memory-limit", "2GB"]):
            command = [str(python), *words]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, cwd=folder, env=settings, **quiet))
            time.sleep(10)
        yield [process.pid for process in started]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def spent(processes: list[int]) -> float:
    """Processor seconds of the processes and their descendants."""
    running = [psutil.Process(process) for process in processes]
    running += [child for process in running for child in process.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in running)


def measure(
    python: Path, folder: Path, words: list[str], workers: int, parts: list[tuple[float, float]]
) -> Run:
    """Run a command without a cluster (no workers), or on one, whose processor time also counts.

    Appends the processor time of the command, and that of the cluster, to `parts`.
    """
    command = [str(python), *words]
    if not workers:
        return run(command, folder, PYTHONPATH="src")
    settings = {"FLIGHT_DELAYS_COMPUTE": "dask", "FLIGHT_DELAYS_COMPUTE_ADDRESS": ADDRESS}
    with cluster(python, folder, workers) as processes:
        before = spent(processes)
        once = run(command, folder, PYTHONPATH="src", **settings)
        parts.append((once.processor, spent(processes) - before))
        return once._replace(processor=sum(parts[-1]))


def main() -> None:
    """Measure everything, round by round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, default=TEMPLATE / "build/demo/flight_delays")
    parser.add_argument("--rows", type=int, default=340_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=["featurize", "train", "evaluate", "predict"])
    options = parser.parse_args()
    python = options.project / ".venv/bin/python"
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "flight_delays"
        shutil.copytree(options.project, folder, ignore=shutil.ignore_patterns(".venv", ".git"))
        for name, rows in (("train", options.rows), ("test", options.rows // 10)):
            paths = [options.project / f"data/{name}.parquet", folder / f"data/{name}.parquet"]
            subprocess.run([python, "-c", ROWS, *paths, str(rows)], check=True)
        (folder / "plain.py").write_text(PLAIN)
        stage = ["-m", "flight_delays"]
        everything = {
            "featurize": [*stage, "featurize"],
            "train": [*stage, "train", "schedule_weather", "boosting"],
            "evaluate": [*stage, "evaluate"],
            "predict": [
                *("-c", "from flight_delays.__main__ import command; command()", "predict"),
                *("data/train.parquet", "out.parquet", "--force", "--threads", "1"),
            ],
        }
        if "featurize" not in options.only:  # whose output the other stages need
            run([python, *everything["featurize"]], folder, PYTHONPATH="src")
        rows, estimates = [], []
        for name in options.only:
            parts: dict[int, list[tuple[float, float]]] = {n: [] for n in (0, 1, 2)}
            work = {
                f"{n} workers": partial(measure, python, folder, everything[name], n, parts[n])
                for n in parts
            }
            if name == "featurize":
                work |= {
                    f"plain Dask, {n} workers": partial(
                        measure, python, folder, ["plain.py", ADDRESS], n, []
                    )
                    for n in (1, 2)
                }
            runs = alternate(work, options.rounds)
            here = runs["0 workers"]
            for label, results in runs.items():
                ratios = ratio(here, results), ratio(results, here, "processor")
                rows.append([*medians(f"{name}: {label}", results), *ratios])
            client, workers = (median(column) for column in zip(*parts[1], strict=True))
            once = median(result.wall for result in here)
            best = [once / max(client, workers / n) for n in ESTIMATED]
            worst = [once / (client + workers / n) for n in ESTIMATED]
            spans = [f"{low:.1f} to {high:.1f}" for low, high in zip(worst, best, strict=True)]
            estimates.append([name, client, workers, *spans])
        header = ["", "wall", "processor", "memory", "speed-up", "processor / here"]
        show(f"{options.rows:,} rows", header, rows)
        many = [f"{n} workers" for n in ESTIMATED]
        title = "Speed-up with a core for each process, from the parts at one worker"
        show(title, ["", "client, s", "worker, s", *many], estimates)


if __name__ == "__main__":
    main()
