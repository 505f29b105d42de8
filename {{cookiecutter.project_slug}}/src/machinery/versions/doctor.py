"""The checks of a checkout, each with the command to type if it fails. They change nothing."""

import re
import shlex
from collections.abc import Callable
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CANDIDATES

from . import deps, edited, environment, git, manifest, storage
from . import remote as remotes
from .checking import Check, FixableError, SkippedError, first_names, quoted, restore, set_aside
from .graph import within
from .versions import LOCK, graph_of

HOOKS = Path(".pre-commit-config.yaml")
FIRST_COMMIT = 'git add . && git commit -m "First commit"'
OWNER = "git config --global --add safe.directory"
WRITTEN = (Path("data"), Path("models"), Path("reports"))
WITH_DATA = ("hooks", "cache", "files", "leftovers")  # checks that a CI job leaves out
PARTS = (".*.part", f".{'?' * 22}.tmp")  # of a stage, of DVC


def repository() -> str:
    """Check that this is the project's folder, in a git repository with a commit."""
    here = Path.cwd()
    project = next((path for path in (here, *here.parents) if (path / ".dvc").is_dir()), here)
    if project != here:
        raise FixableError(f"the project is {project}", f"cd {shlex.quote(str(project))}")
    try:
        root = Path(git.run("rev-parse", "--show-toplevel"))
    except UserError as error:
        raise _no_repository(str(error)) from None
    try:
        commit = f"at {git.run('rev-parse', '--short', '--verify', 'HEAD')}"
    except UserError:
        raise FixableError("there is no commit yet", FIRST_COMMIT) from None
    return commit if root.resolve() == here else f"{commit}, a folder of the repository {root}"


def _no_repository(message: str) -> FixableError:
    """Why git finds no repository, by its own message."""
    if OWNER in message:  # the command is the same in all languages of git
        remedy = OWNER + message.partition(OWNER)[2]
        return FixableError("git refuses a repository of another owner", remedy)
    if (link := Path(".git")).is_file():
        remedy = f"git worktree repair {quoted([Path.cwd()])}, typed in its repository"
        return FixableError(f"{link} points to no repository ({message})", remedy)
    if link.exists():
        return FixableError(message, "git fsck, which tells more")
    return FixableError(message, f"git init -b main && {FIRST_COMMIT} && make setup")


def hooks() -> str:
    """Check that git runs the hooks of .pre-commit-config.yaml."""
    if not HOOKS.exists():
        return f"none, without {HOOKS}"
    if git.prefix():
        return "none: the repository contains more than this project"
    kinds = read_yaml(HOOKS).get("default_install_hook_types", ["pre-commit"])
    folder = Path(git.run("rev-parse", "--git-path", "hooks"))
    if absent := [kind for kind in kinds if not _runs_pre_commit(folder / kind)]:
        default = Path(git.run("rev-parse", "--git-common-dir")).resolve() / "hooks"
        if folder.resolve() == default:
            raise FixableError(f"{', '.join(absent)} not installed", "make setup")
        remedy = f"git config core.hooksPath {quoted([default])} && make setup"
        raise FixableError(f"core.hooksPath is {folder}: git runs the hooks there instead", remedy)
    return ", ".join(kinds)


def _runs_pre_commit(hook: Path) -> bool:
    """Whether the hook exists and runs pre-commit, by a Python that still exists."""
    text = hook.read_text(encoding="utf-8", errors="replace") if hook.is_file() else ""
    pythons = re.findall(r"^INSTALL_PYTHON=(.+)$", text, re.MULTILINE)
    return "pre_commit" in text and all(Path(*shlex.split(line)).exists() for line in pythons)


def record(*, optional: bool = False) -> str:
    """Check that dvc.lock and the .dvc files can be read. An optional dvc.lock may be missing."""
    if not Path(LOCK).exists():
        if optional:
            remedy = "dvc repro && git add . && git commit"
            raise SkippedError("no run is committed, so there is nothing to check yet", remedy)
        raise FixableError(f"there is no {LOCK}: nothing was run yet", "dvc repro")
    for path in _records():
        try:
            text = path.read_bytes()
            graph_of({str(path): text})
        except UserError:
            raise _unreadable(path) from None
        if not text.endswith(b"\n"):  # DVC was killed while it wrote
            raise _unreadable(path)
    return f"{len(storage.recorded())} outputs recorded"


def _records() -> list[Path]:
    names = (LOCK, *(name for name in git.files(None) if name.endswith(".dvc")))
    return [path for path in map(Path, names) if path.is_file()]


def _unreadable(path: Path) -> FixableError:
    again = f"{set_aside([path])} && dvc repro"
    return FixableError(f"{path} cannot be read", again if path == Path(LOCK) else restore(path))


class Checkout:
    """The checks that ask DVC about the checkout, each question once."""

    @cached_property
    def outputs(self) -> set[str]:
        """The outputs that DVC tracks."""
        return storage.outputs()

    @cached_property
    def status(self) -> dict[str, list[Any]]:
        """`dvc status`, with every byte read again."""
        return storage.reread()

    @cached_property
    def absent(self) -> list[str]:
        """What the remote lacks."""
        return remotes.missing()

    def dvc(self) -> str:
        """Check that DVC reads dvc.yaml."""
        try:
            _ = self.outputs
        except UserError as error:
            for path in _records():
                if f"/{path}'" in str(error):
                    raise _unreadable(path) from None
            raise
        return metadata.version("dvc")

    def cached(self) -> str:
        """Check that the cached objects of all recorded files have the hashes of their names."""
        files = (file for file in storage.recorded() if file.path in self.outputs)
        paths = {path for file in files for path in storage.objects(file.hash)}
        present = sorted(path for path in paths if path.is_file())
        if corrupted := [path for path in present if not storage.is_intact(path)]:
            raise FixableError(f"{len(corrupted)} corrupted", f"{set_aside(corrupted)} && dvc pull")
        return f"{len(present)} objects verified"

    def files(self) -> str:
        """Check that every recorded file has the recorded bytes; each is read again."""
        changed, by_dvc = storage.changed(self.status), self.outputs
        if not changed:
            return "all as recorded, read byte by byte"
        by_git = [Path(path) for path in changed if path not in by_dvc]
        missing = [path for path in changed if path in by_dvc and not Path(path).exists()]
        present = [path for path in changed if path not in missing]
        other_run = [path for path in present if path in by_dvc and storage.is_cached(Path(path))]
        modified = [path for path in present if path not in other_run]
        commands = []
        if unsaved := [Path(path) for path in modified if Path(path).exists()]:
            commands.append(set_aside(unsaved))
        if by_git:  # a report is made again if the commit's is of another run
            same_run = not git.run("diff", "--name-only", "HEAD", "--", LOCK)
            commands.append(f"git checkout HEAD -- {quoted(by_git)}" if same_run else "dvc repro")
        if by_dvc.intersection(changed):
            commands.append("dvc pull")
        states = {
            "changed (dvc repro, if you meant to)": modified,
            "of another run": other_run,
            "missing": missing,
        }
        reasons = [f"{first_names(paths, 1)} {state}" for state, paths in states.items() if paths]
        raise FixableError(" and ".join(reasons), " && ".join(commands))

    def leftovers(self) -> str:
        """Check for half-written files, and files of candidates that the pipeline does not have."""
        outputs = {*map(Path, self.outputs)}
        parts = {path for folder in WRITTEN for name in PARTS for path in folder.rglob(name)}
        parts.update(Path().glob(PARTS[0]))
        if left := sorted(parts | {path for path in CANDIDATES.glob("*") if path not in outputs}):
            raise FixableError(f"{first_names(left, 1)} left over", set_aside(left))
        return "none"

    def pipeline(self) -> str:
        """Check that nothing has changed since the last run."""
        if changed := self.status:
            raise FixableError(f"{first_names(changed, 1)} changed since the last run", "dvc repro")
        return "up to date"

    def remote(self, *, in_clone: bool = False) -> str:
        """Check that the default remote answers, and accepts the credentials.

        A CI job's clone cannot see a remote that is a folder on another machine: skipped.
        """
        name, url = remotes.default()
        if not url:
            remedy = "dvc remote add --default storage ../dvc-remote"
            raise FixableError("none is the default", remedy)
        if elsewhere := remotes.folder_elsewhere():
            if in_clone:
                reason, remedy = elsewhere
                raise SkippedError(f"{reason}, and cannot be seen from here", remedy)
            local = f"dvc remote modify --local {name} url FOLDER"
            raise FixableError(f"{url} is not a folder (if it is elsewhere: {local})", "dvc push")
        try:
            _ = self.absent
        except FixableError as error:
            raise FixableError(f"{url}: {error}", error.remedy) from None
        return f"{url} answers"

    def pushed(self) -> str:
        """Check that all recorded data is in the remote."""
        if not (absent := self.absent):
            return "all is in the remote"
        # If a folder's list is in the remote, `dvc push` assumes that all its files are, too.
        listed = [path for path in self.outputs if path not in absent]
        inside = [name for name in absent if any(within(name, path) for path in listed)]
        commands = [f"dvc add --to-remote {shlex.quote(name)} -o again/1" for name in inside]
        if commands:
            commands = ["mkdir again", *commands, "rm -r again", "git reset -q -- again"]
        remedy = " && ".join([*commands, "dvc push"])
        raise FixableError(f"{first_names(absent, 1)} not in the remote", remedy)


def fresh() -> str:
    """Check, without the data, that no stage would run."""
    if changed := storage.changes():
        remedy = "dvc pull && dvc repro && git add . && git commit && dvc push"
        raise FixableError(f"dvc.lock is stale at {first_names(changed, 1)}", remedy)
    return "dvc.lock is fresh"


def forbidden_remote() -> str:
    """Skip the remote: a fork's code gets no secret."""
    raise SkippedError("a fork's code gets no secrets", "")


def all_checks(checkout: Checkout | None = None) -> list[Check]:
    """The checks of a checkout with its data."""
    checkout = checkout or Checkout()
    return [
        Check("git", repository),
        Check("python", environment.python, ("git",)),
        Check("packages", environment.packages, ("git",)),
        Check("hooks", hooks, ("git",)),
        Check("lock", record, ("git",)),
        Check("params", edited.check),
        Check("machinery", manifest.check, ("git",)),
        Check("deps", deps.check, ("git",)),
        Check("dvc", checkout.dvc, ("lock",)),
        Check("cache", checkout.cached, ("dvc",)),
        Check("files", checkout.files, ("dvc",)),
        Check("leftovers", checkout.leftovers, ("dvc",)),
        Check("pipeline", checkout.pipeline, ("dvc", "files")),
        Check("remote", checkout.remote, ("dvc",)),
        Check("pushed", checkout.pushed, ("remote",)),
    ]


def checks_without_data(*, with_remote: bool = True) -> list[Check]:
    """The checks of a CI job, which has git and perhaps the remote, but not the data."""
    checkout = Checkout()
    replaced: dict[str, Callable[[], str]] = {
        "lock": partial(record, optional=True),
        "pipeline": fresh,
        "remote": partial(checkout.remote, in_clone=True) if with_remote else forbidden_remote,
    }
    checks = [check for check in all_checks(checkout) if check.name not in WITH_DATA]
    return [check._replace(run=replaced.get(check.name, check.run)) for check in checks]
