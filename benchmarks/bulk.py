"""The cost of `predict`: its model part compared with onnxruntime, and memory for more rows.

    .venv/bin/python benchmarks/bulk.py --quick             a few minutes: 1 and 3 million rows
    .venv/bin/python benchmarks/bulk.py                     1, 3, 10 and 30 million rows

README.md describes what is measured and what the results mean.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from _measure import show

from pipeline import HERE, TOOLS, Bench

MILLION = 1_000_000


def many_rows(bench: Bench, millions: int) -> Path:
    """A Parquet file with `millions` million rows."""
    path = bench.folder / f"rows-{millions}.parquet"
    if not path.exists():
        bench.run(bench.baked, "python", HERE / "many_rows.py", str(millions * MILLION), path)
    return path


def model_part(bench: Bench) -> None:
    """Scoring as in bulk, compared with onnxruntime on arrays in memory."""
    command = [str(bench.python), str(HERE / "in_memory.py"), str(many_rows(bench, 1))]
    environment = os.environ | {"PYTHONPATH": str(bench.baked / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=bench.baked, env=environment, check=True, capture_output=True, text=True
    )
    seconds = json.loads(done.stdout)
    rows = seconds.pop("rows")
    lines = [[name, f"{rows / median(rounds):,.0f}"] for name, rounds in seconds.items()]
    show(f"{rows:,} rows in memory, one thread", ["", "rows a second of processor"], lines)
    pairs = zip(seconds["onnxruntime"], seconds["model part"], strict=True)
    ratio = median(alone / part for alone, part in pairs)
    print(f"model part / onnxruntime, rows a second: {ratio:.2f} (goal: at least 0.8)")


def sizes(bench: Bench, millions: list[int]) -> None:
    """Whole runs on more and more rows, to a folder of parts and to one file."""
    lines: list[list[str | float]] = []
    for count in millions:
        source = many_rows(bench, count)
        for name in ("parts/", "one.parquet"):
            out = bench.folder / name.rstrip("/")
            words = ["predict", str(source), f"{bench.folder}/{name}", "--force"]
            spent = bench.run(bench.baked, "flight-delays", *words)
            shutil.rmtree(out) if out.is_dir() else out.unlink()
            rate = f"{count * MILLION / spent.wall:,.0f}"
            lines.append([f"{count} million to {name}", *spent, rate])
        if count > 1:
            source.unlink()
    show("predict", ["", "wall", "processor", "GB", "rows/s"], lines)


def main() -> None:
    """Bake, install, reproduce, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 and 3 million rows")
    parser.add_argument("--folder", type=Path, help="keep what was baked for the next run")
    parser.add_argument("--millions", type=int, nargs="+", help="of rows, instead of 1 3 10 30")
    options = parser.parse_args()
    os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench((options.folder or Path(scratch)).resolve(), 1)
        bench.folder.mkdir(parents=True, exist_ok=True)
        bench.install()
        if not (bench.baked / "models/model.onnx").exists():
            bench.run(bench.baked, "dvc", "repro")
        model_part(bench)
        sizes(bench, options.millions or ([1, 3] if options.quick else [1, 3, 10, 30]))


if __name__ == "__main__":
    main()
