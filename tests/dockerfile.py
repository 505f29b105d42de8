"""Run the commands of a project's Dockerfile on this machine, without Docker.

Paths of the image are mapped below a folder, its base is this machine's Python, and its user has
no rights.
"""

import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PLACES = re.compile(r"(?<![\w.:/])/(?=(?:app|build|opt|tmp|usr/local)\b)")
COMMIT = "0123456789abcdef0123456789abcdef01234567"  # from which the image is built
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
# These settings make an image small and fast but the tests slow: share caches, do not compile.
IGNORED = {"PIP_NO_CACHE_DIR", "UV_NO_CACHE", "UV_COMPILE_BYTECODE", "UV_LINK_MODE"}
KEPT = ("LANG", "SSL_", "PIP_", "UV_", "XDG_", "HTTP", "NO_PROXY", "REQUESTS_", "HOME")


@dataclass
class Stage:
    """One FROM with its instructions."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """The arguments of each of these instructions."""
        return [arguments for name, arguments in self.instructions if name == word]


def parse(path: Path) -> list[Stage]:
    """The stages of a Dockerfile; without comments, and with continued lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    stages: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = arguments.partition(" AS ")
            stages.append(Stage(base, name))
        elif word:
            stages[-1].instructions.append((word, arguments.strip()))
    return stages


class Image:
    """The service's image, built below `root` from the context that .dockerignore leaves."""

    def __init__(self, project: Path, folder: Path) -> None:
        """Build the image, which takes seconds."""
        self.stages = {stage.name: stage for stage in parse(project / "Dockerfile")}
        self.context, self.root = folder / "context", folder / "root"
        _copy_context(project, self.context)
        self._workdir = self.root
        self._from = {"build": self.root, "model": folder / "model"}
        self._variables = dict(BARE)
        (self.root / "tmp").mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        uv = [str(Path(sys.executable).with_name("uv")), "venv", "--quiet", "--seed"]
        subprocess.run([*uv, "--python", sys.executable, self.root / "usr/local"], check=True)
        self._build("model", self._from["model"])
        self._build("build", self.root)
        shutil.rmtree(self.root / "build")
        self._variables = {"VERSION": "unreleased", "COMMIT": COMMIT, **BARE}
        self._build("service", self.root)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a container."""
        return {name: self.place(value) for name, value in self._variables.items()} | more

    def place(self, text: str) -> str:
        """A command or a path of the image, mapped below the root."""
        return PLACES.sub(f"{self.root}/", text)

    def command(self, stage: str) -> list[str]:
        """What a container of this stage runs."""
        parts = [*self.stages[stage].all("ENTRYPOINT"), *self.stages[stage].all("CMD")]
        return [word for part in parts for word in json.loads(part)]

    def healthcheck(self) -> list[str]:
        """The command of the health check."""
        (check,) = self.stages["service"].all("HEALTHCHECK")
        words: list[str] = json.loads(check.partition("CMD ")[2])
        return words

    def start(
        self, command: list[str], output: Path, **variables: str
    ) -> "subprocess.Popen[bytes]":
        """Run a command like a container: with its variables, its folder and a user without rights.

        PATH has only what the image adds to its base.
        """
        own = self.variables()["PATH"].partition(":")[0]
        program = shutil.which(command[0], path=own)
        assert program is not None, f"{command[0]} is not in the image"
        with output.open("ab") as file:
            return subprocess.Popen(
                [*self._user(), program, *command[1:]],
                cwd=self.root / "app",
                env=self.variables(PATH=own, TMPDIR=f"{self.root}/tmp", **variables),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def _user(self) -> list[str]:
        """Become the image's user, who can read like root but write nothing."""
        if os.getuid() != 0:
            return []
        setpriv = shutil.which("setpriv")
        assert setpriv is not None, "setpriv (util-linux) is needed to give up root's rights"
        user, _, group = self.stages["service"].all("USER")[0].partition(":")
        rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
        bounds = ["--bounding-set=-all,+dac_read_search", "--no-new-privs", "--clear-groups"]
        return [setpriv, f"--reuid={user}", f"--regid={group}", *rights, *bounds, "--"]

    def _build(self, name: str, root: Path) -> None:
        self._workdir = root
        for word, arguments in self.stages[name].instructions:
            match word:
                case "WORKDIR":
                    self._workdir = root / arguments.lstrip("/")
                    self._workdir.mkdir(parents=True, exist_ok=True)
                case "ENV":
                    self._set(arguments)
                case "COPY":
                    self._copy(shlex.split(arguments), root)
                case "RUN":
                    self._run(arguments)

    def _set(self, pairs: str) -> None:
        before = dict(self._variables)
        for pair in shlex.split(pairs):
            name, _, value = pair.partition("=")
            if name not in IGNORED:
                self._variables[name] = string.Template(value).substitute(before)

    def _copy(self, words: list[str], root: Path) -> None:
        source = self.context
        if words[0].startswith("--from="):
            source = self._from[words.pop(0).removeprefix("--from=")]
        *names, last = words
        target = root / last[1:] if last.startswith("/") else self._workdir / last
        for name in names:
            path = source / name.lstrip("/")
            if path == target:
                continue  # from one stage to the next, at the same place
            into = target / path.name if last.endswith("/") else target
            if path.is_dir():
                shutil.copytree(path, target, dirs_exist_ok=True)
            else:
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, into)

    def _run(self, command: str) -> None:
        if os.getuid() != 0:
            command = re.sub(r"--(owner|group)=\d+", "", command)
        inherited = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        done = subprocess.run(
            ["sh", "-ec", self.place(command)],
            cwd=self._workdir,
            env=inherited | self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _copy_context(project: Path, context: Path) -> None:
    """Copy what .dockerignore sends to the builder: only what it names after `!`."""
    first, *patterns = [line for line in ignored(project) if line and not line.startswith("#")]
    assert first == "*"
    for line in patterns:
        if not line.startswith("!"):
            continue
        path, target = project / line[1:], context / line[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)


def ignored(project: Path) -> list[str]:
    """The lines of .dockerignore."""
    return (project / ".dockerignore").read_text(encoding="utf-8").splitlines()


def changes(before: Mapping[Path, int], after: Mapping[Path, int]) -> set[Path]:
    """The files that were written, created or removed between two snapshots."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def snapshot(root: Path, *without: str) -> dict[Path, int]:
    """The modification time of every file below a folder."""
    times = {}
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root)
        names[:] = [name for name in names if str(here / name) not in without]
        for name in files:
            times[here / name] = (root / here / name).lstat().st_mtime_ns
    return times
