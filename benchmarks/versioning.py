"""The cost of the generated project's versions, compared with plain tools on the same bytes.

    .venv/bin/python benchmarks/versioning.py --quick          two minutes: one round
    .venv/bin/python benchmarks/versioning.py                  three rounds
    .venv/bin/python benchmarks/versioning.py --only rollback

The S3 server is rclone's, on 127.0.0.1. README.md describes what is measured.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _measure import Run, alternate, medians, show

from pipeline import FIGURES, HERE, TEMPLATE, TOOLS, Bench, compare

sys.path.insert(0, str(TEMPLATE / "tests"))
import s3  # noqa: E402

SETS = {"1,000 files of 2 KB": (1000, 2_000), "one file of 500 MB": (1, 500_000_000)}
MEGABYTE = 1_000_000
GIT = ["git", "-c", "core.hooksPath=/dev/null"]  # the hooks would run dvc checkout once more
PERSON = {
    "GIT_AUTHOR_NAME": "A Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "A Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}


def copy_of(bench: Bench, name: str) -> Path:
    """A fresh copy of the baked project with the same environment."""
    path = bench.folder / name / "flight_delays"
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.copytree(bench.baked, path, ignore=shutil.ignore_patterns(".venv"))
    return path


def commit(bench: Bench, project: Path) -> None:
    """Commit everything, without the hooks."""
    bench.run(project, "git", "add", ".")
    words = ["commit", "--quiet", "--no-verify", "--allow-empty", "--message", "A change"]
    bench.run(project, "git", *words, **PERSON)


def fill(folder: Path, files: int, size: int) -> None:
    """Write random files; a large one repeats a megabyte, with numbers in it."""
    folder.mkdir()
    for number in range(files):
        block = os.urandom(min(size, MEGABYTE) - 8)
        with (folder / f"{number}.bin").open("wb") as file:
            for part in range(max(1, size // MEGABYTE)):
                file.write(part.to_bytes(8, "big") + block)


def remotes(bench: Bench) -> None:
    """`dvc push` and `dvc pull`, compared with s3fs copying the same files to and from a bucket."""
    with s3.start("rclone", fresh(bench.folder / "server")) as server:
        for title, (files, size) in SETS.items():
            transfer(bench, server, title, files, size)


def transfer(bench: Bench, server: s3.Server, title: str, files: int, size: int) -> None:
    """Push and pull one set of files with both in turn; every round has its own buckets."""
    project, rounds = copy_of(bench, "transfer"), iter(range(10_000))
    fill(project / "set", files, size)
    bench.run(project, "dvc", "add", "--quiet", "set")
    out = bench.folder / "out"

    def remote(url: str) -> None:
        for option, value in {"url": f"s3://{url}", "endpointurl": server.url}.items():
            bench.run(project, "dvc", "remote", "modify", "storage", option, value)
        commit(bench, project)

    def bucket(name: str) -> str:
        server.rclone("mkdir", f":s3:{name}")
        return name

    def push() -> Run:
        remote(bucket(f"dvc-{next(rounds)}"))
        return bench.run(project, "dvc", "push", "set.dvc", **server.environment())

    def pull() -> Run:
        clone = fresh(out) / "clone"
        bench.run(out, "git", "clone", "--quiet", project, clone)
        return bench.run(clone, "dvc", "pull", "set.dvc", **server.environment())

    def plain(verb: str, folder: Path, name: str) -> Run:
        words = [HERE / "plain_copy.py", verb, folder, name, server.url]
        return bench.run(project, "python", *words, **server.environment())

    latest = [""]

    def plain_push() -> Run:
        latest[0] = bucket(f"plain-{next(rounds)}")
        return plain("push", project / "set", latest[0])

    def plain_pull() -> Run:
        return plain("pull", fresh(out), latest[0])

    work: dict[str, Callable[[], Run]] = {
        "dvc push": push,
        "s3fs upload": plain_push,
        "dvc pull": pull,
        "s3fs download": plain_pull,
    }
    runs = alternate(work, bench.repeats)
    show(title, FIGURES, [medians(name, results) for name, results in runs.items()])
    pushed, uploaded, pulled, downloaded = runs.values()
    compare([("push / upload", pushed, uploaded, ""), ("pull / download", pulled, downloaded, "")])


def rollback(bench: Bench) -> None:
    """`flight-delays rollback v1.1.0`, compared with `git checkout v1.1.0 && dvc checkout`."""
    project = copy_of(bench, "rollback")
    params = project / "params.yaml"
    for version, regularisation in {"v1.1.0": "1.0", "v1.2.0": "0.5"}.items():
        params.write_text(params.read_text().replace("C: 1.0", f"C: {regularisation}"))
        bench.run(project, "dvc", "repro")
        commit(bench, project)
        bench.run(project, "dvc", "push")
        bench.run(project, "flight-delays", "release", version, **PERSON)

    def back(branch: str, done: Run) -> Run:
        bench.run(project, *GIT, "checkout", "--quiet", "main")
        bench.run(project, "dvc", "checkout", "--quiet")
        bench.run(project, "git", "branch", "-D", branch)
        return done

    def restore() -> Run:
        done = bench.run(project, "flight-delays", "rollback", "v1.1.0", **PERSON)
        return back("rollback/v1.1.0", done)

    def bare() -> Run:
        words = [*GIT, "checkout", "--quiet", "-b", "bare", "v1.1.0"]
        return back("bare", bench.run(project, "sh", "-c", f"{' '.join(words)} && dvc checkout"))

    runs = alternate({"rollback": restore, "git and dvc checkout": bare}, max(5, bench.repeats))
    show("Rollback", FIGURES, [medians(name, results) for name, results in runs.items()])
    compare([("rollback / git and dvc checkout", *runs.values(), "<= 1.3")])


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def command_line() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["remotes", "rollback"]
    parser.add_argument("--only", choices=names, action="append", help="measure this one")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of A B A B")
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
        for name in options.only or ["remotes", "rollback"]:
            {"remotes": remotes, "rollback": rollback}[name](bench)


if __name__ == "__main__":
    main()
