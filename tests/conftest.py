"""Fixtures: the default project, baked, installed and reproduced once for all workers."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parents[1]
KEPT = ("LANG", "PATH", "TMPDIR", "SSL_", "PIP_", "UV_", "PYENV_", "HTTP", "NO_PROXY", "REQUESTS_")
PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
PROMISED = "REQUIRE_PROGRAMS" in os.environ  # .ci/run sets it, and installs them
GIT_SETTINGS = """\
[user]
    name = A Tester
    email = tester@example.com
[core]
    excludesFile = /dev/null
[init]
    defaultBranch = trunk
"""


@dataclass(frozen=True)
class BakedProject:
    """A generated project, used like its user would: by commands and files."""

    path: Path
    environment: dict[str, str]

    def run(
        self, *command: str | Path, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project with .venv activated; a failure shows what it printed."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            words = " ".join(map(str, command))
            pytest.fail(f"{words} exited with {done.returncode}:\n{done.stdout}", pytrace=False)
        return done

    def has_file(self, name: str) -> bool:
        """Whether the project has this file."""
        return (self.path / name).is_file()

    def file_contains(self, name: str, text: str) -> bool:
        """Whether this file of the project contains this text."""
        return text in (self.path / name).read_text(encoding="utf-8")

    def edit(self, name: str, **changes: Any) -> None:
        """Change a YAML file: `train__folds=1` sets folds in train; None removes a key."""
        path = self.path / name
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            *way, last = key.split("__")
            place = document
            for step in way:
                place = place[step]
            place[last] = value
            if value is None:
                del place[last]
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def copy(self, path: Path) -> "BakedProject":
        """Copy everything but .venv, which is shared; the copy runs its own code.

        Modification times are kept, so that make does not install the copy into the shared .venv.
        """
        shutil.copytree(self.path, path, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
        return self._sharing(path)

    def clone(self, path: Path) -> "BakedProject":
        """Clone as a teammate would: no data, no cache, no git hooks; .venv is shared.

        Do not run make in it: all files are new, so make would install them into .venv.
        """
        self.run("git", "clone", "--quiet", self.path, path)
        return self._sharing(path)

    def here(self) -> "BakedProject":
        """The same project in a shell that imports its own src, not the installed code."""
        return BakedProject(self.path, self.environment | {"PYTHONPATH": str(self.path / "src")})

    def _sharing(self, path: Path) -> "BakedProject":
        (path / ".venv").symlink_to((self.path / ".venv").resolve())
        return BakedProject(path, self.environment).here()


def need(*programs: str) -> None:
    """Skip the test if a program is missing; in .ci/run, fail it."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        say = pytest.fail if PROMISED else pytest.skip
        say(f"not installed here: {', '.join(missing)} (.ci/run installs what tests need)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        need(*marker.args)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests their own home and git settings; keep only access to the package index."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(GIT_SETTINGS, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    clean = {
        "HOME": home,
        "GIT_CONFIG_GLOBAL": home / ".gitconfig",
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_GLOBAL_CONFIG_DIR": home / "dvc",
        "DVC_SYSTEM_CONFIG_DIR": home / "dvc",
        "DVC_SITE_CACHE_DIR": home / "dvc-site",
        "DVC_NO_ANALYTICS": "1",
        "ITERATIVE_DO_NOT_TRACK": "1",
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", cache / "uv"),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", cache / "pip"),
        "MYPY_CACHE_DIR": home / "mypy",  # one for all copies of the project
        "CI": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            patch.delenv(name)
        for name, value in {**inherited, **clean}.items():
            patch.setenv(name, str(value))
        yield


def copy_template(place: Path) -> Path:
    """Copy the template's working tree, without the outputs of its make targets."""
    left = shutil.ignore_patterns(".git", ".venv", "build", ".*_cache", "__pycache__")
    return shutil.copytree(TEMPLATE, place, ignore=left)


def outside_venv() -> str:
    """The PATH of a shell in which no .venv is activated, including the template's."""
    return os.environ["PATH"].split(os.pathsep, 1)[1]


def bake(folder: Path, **answers: str) -> BakedProject:
    """Generate a project into a folder; questions without an answer take their defaults."""
    generated = cookiecutter(
        str(TEMPLATE),
        no_input=True,
        default_config=True,
        output_dir=str(folder),
        extra_context=answers,
    )
    return activated(Path(generated))


def activated(path: Path) -> BakedProject:
    """The project in a shell where its .venv is activated."""
    ways = f"{path / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return BakedProject(path, dict(os.environ) | {"PATH": ways})


def once(
    factory: pytest.TempPathFactory,
    name: str,
    make: Callable[[Path], object],
    slug: str = "flight_delays",
) -> BakedProject:
    """A project that the first worker makes, in a folder shared by all workers of this run."""
    root = factory.getbasetemp().parent if PARALLEL else factory.getbasetemp()
    folder, done = root / f"shared-{name}", root / f"shared-{name}.done"
    with (root / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return activated(folder / slug)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """Bake the default project and install it. Shared: copy it before changing it."""
    make = lambda folder: bake(folder).run("make", "setup")  # noqa: E731
    return once(tmp_path_factory, "project", make).here()


def commit(project: BakedProject, message: str) -> None:
    """Run the pipeline, and commit what it writes."""
    project.run("dvc", "repro")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--no-verify", "--message", message)


@pytest.fixture(scope="session")
def reproduced(project: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """Run and commit the pipeline of the default project. Shared: copy it before changing it."""

    def make(folder: Path) -> None:
        commit(project.copy(folder / project.path.name), "Reproduce the pipeline")

    return once(tmp_path_factory, "reproduced", make).here()


@pytest.fixture(scope="session")
def small(project: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """A project with two candidates, run, committed and pushed. Shared: use `work` to change it."""

    def make(folder: Path) -> None:
        make_small(project.copy(folder / project.path.name))

    return once(tmp_path_factory, "small", make).here()


def make_small(copy: BakedProject) -> None:
    """Run, commit and push a pipeline of two candidates, with fewer rows for the leakage probes."""
    params = copy.path / "params.yaml"
    text = params.read_text(encoding="utf-8")
    for lines in ("  - schedule_weather\n", "  - forest\n  - boosting\n"):
        text = text.replace(lines, "")
    text = text.replace("    rows: 20000", "    rows: 2000")
    params.write_text(text, encoding="utf-8")
    commit(copy, "Two candidates")
    copy.run("dvc", "push")


@pytest.fixture
def work(small: BakedProject, tmp_path: Path) -> BakedProject:
    """A copy of the small project and its remote; everything is committed and pushed."""
    remote = f"{small.path.name}-dvc-remote"
    shutil.copytree(small.path.parent / remote, tmp_path / remote)
    return small.copy(tmp_path / small.path.name)
