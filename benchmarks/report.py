"""The cost of the generated project's report, compared with the bare work of its first table.

    .venv/bin/python benchmarks/report.py --quick          five minutes, mostly the two runs
    .venv/bin/python benchmarks/report.py                  five rounds

README.md describes what is measured and what the results mean.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import yaml
from _measure import Run, alternate, medians, show
from versioning import commit, copy_of

from pipeline import FIGURES, HERE, TOOLS, Bench, compare, from_nothing


def project_with_two_models(bench: Bench) -> Path:
    """The default project with a model on `main`, and another one on a branch."""
    project = copy_of(bench, "report")
    from_nothing(project)
    bench.run(project, "dvc", "repro")
    commit(bench, project)
    bench.run(project, "git", "branch", "--force", "before")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("      C: 1.0", "      C: 0.5"))
    bench.run(project, "dvc", "repro")
    commit(bench, project)
    return project


def champion_file(project: Path) -> Path:
    """The file of the model on `before`, in DVC's cache."""
    words = ["git", "show", "before:dvc.lock"]
    shown = subprocess.run(words, cwd=project, check=True, capture_output=True)
    lock = yaml.safe_load(shown.stdout)
    outs = {out["path"]: out["md5"] for out in lock["stages"]["select"]["outs"]}
    md5 = outs["models/model.onnx"]
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def measure(bench: Bench) -> None:
    """`flight-delays report`, compared with `bare_report.py`: two models scored, same resamples."""
    project = project_with_two_models(bench)
    model = champion_file(project)

    def full() -> Run:
        words = ["report", "--against", "before", "--output", "build/report.md"]
        return bench.run(project, "flight-delays", *words)

    def bare(*words: str) -> Run:
        return bench.run(project, "python", HERE / "bare_report.py", model, *words)

    work = {"report": full, "bare work": bare, "with slices": lambda: bare("--slices")}
    runs = alternate(work, max(1, bench.repeats))
    show("Report", FIGURES, [medians(name, results) for name, results in runs.items()])
    report, alone, slices = runs.values()
    compare(
        [
            ("report / bare work", report, alone, "<= 2"),
            ("report / bare work and slices", report, slices, ""),
        ]
    )
    show_pairs(bench, project)


def show_pairs(bench: Bench, project: Path) -> None:
    """All metrics of two models on 100,000 rows, compared with scikit-learn's scorers in a loop."""
    words = [str(bench.python), str(HERE / "paired.py"), "100000"]
    settings = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(project / "src")}
    environment, rounds = os.environ | settings, []
    for _ in range(max(1, bench.repeats)):
        done = subprocess.run(words, cwd=project, env=environment, check=True, capture_output=True)
        rounds.append(json.loads(done.stdout))
    rows = [
        ["all metrics of two models", median(seconds["compare"] for seconds in rounds)],
        ["the difference in ROC AUC alone", median(seconds["roc_auc"] for seconds in rounds)],
        ["scikit-learn in a loop (extrapolated)", median(seconds["plain"] for seconds in rounds)],
        ["ratio", median(seconds["plain"] / seconds["compare"] for seconds in rounds)],
    ]
    show("2,000 paired samples of 100,000 rows", ["", "processor seconds"], rows)


def command_line() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of A B A B")
    parser.add_argument("--folder", type=Path, help="keep what was baked and installed here")
    return parser.parse_args()


def main() -> None:
    """Bake, install, measure, print."""
    options = command_line()
    os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, 1 if options.quick else options.repeats)
        bench.install()
        measure(bench)


if __name__ == "__main__":
    main()
