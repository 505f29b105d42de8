"""`monitor` over a month of logged requests, compared with Evidently and NannyML.

    .venv/bin/python benchmarks/monitoring.py --quick   a minute: 100,000 rows, 20 simulated worlds
    .venv/bin/python benchmarks/monitoring.py           1 million rows, 60 simulated worlds

Evidently and NannyML have their own environments: neither works with the project's packages.
README.md describes what is measured and what the results mean.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from _measure import Run, alternate, medians, ratio, run, show

HERE = Path(__file__).parent
TEMPLATE = HERE.parent
PYTHON = TEMPLATE / ".venv/bin/python"
MACHINERY = next(TEMPLATE.glob("*cookiecutter*/src"))
NEEDED = {
    "evidently": ["evidently==0.7.23", "pandas==2.3.3"],
    "nannyml": ["nannyml==0.13.1", "statsmodels"],  # which it needs but does not declare
}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keeps environments and logs for the next run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for peer, packages in NEEDED.items():
            environment(folder / peer, packages)
        rows = 100_000 if options.quick else 1_000_000
        month(folder, rows, options.rounds)
        estimates(folder, rows)
        worlds(folder, 20 if options.quick else 60)


def environment(folder: Path, packages: list[str]) -> None:
    """Create a virtual environment with the packages of a peer."""
    uv = TEMPLATE / ".venv/bin/uv"
    if not (folder / "bin/python").exists():
        run([uv, "venv", "--python", sys.executable, folder], HERE)
        run([uv, "pip", "install", "--python", folder, *packages], HERE)


def run_script(script: str, *arguments: object, folder: Path) -> Run:
    """Run a script of this folder with the template's machinery."""
    return run([PYTHON, HERE / script, *arguments], folder, PYTHONPATH=MACHINERY)


def month(folder: Path, rows: int, rounds: int) -> None:
    """Wall clock and memory over a month, and over a quarter of its rows."""
    for count in (rows // 4, rows):
        if not (folder / f"month-{count}/contract.yaml").exists():
            (folder / f"month-{count}").mkdir(exist_ok=True)
            run_script("_month.py", "make", count, folder=folder / f"month-{count}")
    work = {
        "monitor, a quarter": lambda: run_script(
            "_month.py", "monitor", folder=folder / f"month-{rows // 4}"
        ),
        "monitor": lambda: run_script("_month.py", "monitor", folder=folder / f"month-{rows}"),
        "evidently": lambda: run(
            [folder / "evidently/bin/python", HERE / "peers/evidently_report.py"],
            folder / f"month-{rows}",
        ),
    }
    runs = alternate(work, rounds)
    header = [f"{rows:,} rows × 20 columns", "wall s", "processor s", "GB"]
    show(
        "A month of logged requests",
        header,
        [medians(name, results) for name, results in runs.items()],
    )
    print(
        f"monitor / evidently: {ratio(runs['monitor'], runs['evidently']):.2f} (goal: at most 0.2)"
    )
    memory = ratio(runs["monitor"], runs["monitor, a quarter"], "memory")
    print(f"memory of four times the rows: {memory:.2f}")


def estimates(folder: Path, rows: int) -> None:
    """ROC AUC estimated without outcomes, ours and NannyML's, for the same month."""
    place = folder / f"month-{rows}"
    run([folder / "nannyml/bin/python", HERE / "peers/nannyml_estimate.py"], place)
    own = json.loads((place / "reports/monitoring/monitoring.json").read_text())["windows"][0]
    nannyml = json.loads((place / "nannyml.json").read_text())
    both = [["ours", own["estimated"]], ["NannyML", nannyml["estimated"]]]
    print("\nEstimated ROC AUC:", ", ".join(f"{name} {value:.4f}" for name, value in both))
    print(f"realised: {own['figures']['roc_auc']['value']:.4f}")


def worlds(folder: Path, count: int) -> None:
    """How often each method raises an alarm, in worlds with and without a worse model."""
    place = folder / f"worlds-{count}"
    place.mkdir(exist_ok=True)
    run_script("_worlds.py", count, folder=place)
    run([folder / "nannyml/bin/python", HERE / "peers/nannyml_worlds.py"], place)
    shares = {
        **json.loads((place / "ours.json").read_text()),
        **json.loads((place / "nannyml.json").read_text()),
    }
    kinds = list(next(iter(shares.values())))
    rows = [[name, *(f"{share[kind]:.0%}" for kind in kinds)] for name, share in shares.items()]
    show(f"Share of {count} simulated months with an alarm", ["method", *kinds], rows)


if __name__ == "__main__":
    main()
