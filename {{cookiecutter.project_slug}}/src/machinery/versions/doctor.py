"""doctor: for each thing that must hold of a checkout, whether it does and what to type if not.

Nothing is changed. A check returns what it saw, or raises FixableError.
"""

import re
import shlex
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CANDIDATES

from . import deps, edited, environment, git, manifest, storage
from . import remote as remotes
from .checking import Check, FixableError, SkippedError, first_names, restore, set_aside, words
from .graph import within
from .versions import LOCK, graph_of

DVC = ".dvc"
HOOKS = Path(".pre-commit-config.yaml")
FIRST_COMMIT = 'git add . && git commit -m "First commit"'
OWNER = "git config --global --add safe.directory"
WRITTEN = (Path("data"), Path("models"), Path("reports"))
PARTS = (".*.part", f".{'?' * 22}.tmp")  # of a stage, of DVC


def repository() -> str:
    """The project is, or lies in, a git repository that has a commit."""
    here = Path.cwd()
    project = next((place for place in (here, *here.parents) if (place / DVC).is_dir()), here)
    if project != here:
        raise FixableError(f"the project is {project}", f"cd {shlex.quote(str(project))}")
    try:
        root = Path(git.run("rev-parse", "--show-toplevel"))
    except UserError as error:
        raise FixableError(*_no_repository(str(error))) from None
    try:
        commit = f"at {git.run('rev-parse', '--short', '--verify', 'HEAD')}"
    except UserError:
        raise FixableError("there is no commit yet", FIRST_COMMIT) from None
    return commit if root.resolve() == here else f"{commit}, a folder of the repository {root}"


def _no_repository(said: str) -> tuple[str, str]:
    """Why git finds no repository, by its own sentence, and what to type."""
    if OWNER in said:  # the command is the same in all languages of git
        return "git refuses a repository of another owner", OWNER + said.partition(OWNER)[2]
    if (link := Path(".git")).is_file():
        repair = f"git worktree repair {words([Path.cwd()])}, typed in its repository"
        return f"{link} leads nowhere ({said})", repair
    if link.exists():
        return said, "git fsck, which tells more"
    return said, f"git init -b main && {FIRST_COMMIT} && make setup"


def hooks() -> str:
    """Git runs the hooks that .pre-commit-config.yaml lists."""
    if not HOOKS.exists():
        return f"none wanted, without {HOOKS}"
    if git.prefix():
        return f"none: this repository is of more than {HOOKS.parent.resolve().name}"
    kinds = read_yaml(HOOKS).get("default_install_hook_types", ["pre-commit"])
    folder = Path(git.run("rev-parse", "--git-path", "hooks"))
    if absent := [kind for kind in kinds if not _runs_pre_commit(folder / kind)]:
        own = Path(git.run("rev-parse", "--git-common-dir")).resolve() / "hooks"
        if folder.resolve() == own:
            raise FixableError(f"{', '.join(absent)} not installed", "make setup")
        mine = f"git config core.hooksPath {words([own])} && make setup"
        raise FixableError(f"core.hooksPath is {folder}: git runs the hooks there instead", mine)
    return ", ".join(kinds)


def _runs_pre_commit(hook: Path) -> bool:
    """Whether the hook is there and runs pre-commit, by a Python that is still there."""
    text = hook.read_text(encoding="utf-8", errors="replace") if hook.is_file() else ""
    pythons = re.findall(r"^INSTALL_PYTHON=(.+)$", text, re.MULTILINE)
    return "pre_commit" in text and all(Path(*shlex.split(each)).exists() for each in pythons)


def record(*, optional: bool = False) -> str:
    """dvc.lock and the .dvc files can be read; where it is optional, it may be absent."""
    if not Path(LOCK).exists():
        if optional:
            start = "dvc repro && git add . && git commit"
            raise SkippedError("no run is committed, so there is nothing to check yet", start)
        raise FixableError(f"there is no {LOCK}: nothing was run yet", "dvc repro")
    for place in _records():
        try:
            text = place.read_bytes()
            graph_of({str(place): text})
        except UserError:
            raise _unreadable(place) from None
        if not text.endswith(b"\n"):  # DVC was killed while it wrote
            raise _unreadable(place)
    return f"{len(storage.recorded())} outputs recorded"


def _records() -> list[Path]:
    """dvc.lock and the .dvc files that are here."""
    names = (LOCK, *(name for name in git.files(None) if name.endswith(".dvc")))
    return [path for path in map(Path, names) if path.is_file()]


def _unreadable(place: Path) -> FixableError:
    again = f"{set_aside([place])} && dvc repro"
    return FixableError(f"{place} cannot be read", again if place == Path(LOCK) else restore(place))


def dvc() -> str:
    """DVC is there, and reads dvc.yaml."""
    try:
        version = metadata.version("dvc")
    except metadata.PackageNotFoundError:
        raise FixableError("not installed", "make setup && source .venv/bin/activate") from None
    try:
        storage.outputs()
    except UserError as error:
        if wrong := [place for place in _records() if f"/{place}'" in str(error)]:
            raise _unreadable(wrong[0]) from None
        raise
    return version


def cached() -> str:
    """The cache holds what its names say, for all that is recorded here."""
    places = {place for file in storage.kept() for place in storage.objects(file.hash)}
    present = sorted(place for place in places if place.is_file())
    if wrong := [place for place in present if not storage.is_intact(place)]:
        raise FixableError(f"{len(wrong)} corrupted", f"{set_aside(wrong)} && dvc pull")
    return f"{len(present)} objects hold what their names say"


def files() -> str:
    """Every recorded file has the bytes that are recorded; each is read again."""
    wrong, by_dvc = storage.changed(), storage.outputs()
    if not wrong:
        return "all as recorded, read byte by byte"
    by_git = [Path(path) for path in wrong if path not in by_dvc]
    missing = [path for path in wrong if path in by_dvc and not Path(path).exists()]
    differ = [path for path in wrong if path not in missing]
    other = [path for path in differ if path in by_dvc and storage.keeps(Path(path))]
    differ = [path for path in differ if path not in other]
    present = [Path(path) for path in differ if Path(path).exists()]
    commands = [set_aside(present)] if present else []
    if by_git:  # a report is made again where the commit's is of another run
        recorded = not git.run("diff", "--name-only", "HEAD", "--", LOCK)
        commands.append(f"git checkout HEAD -- {words(by_git)}" if recorded else "dvc repro")
    if by_dvc.intersection(wrong):
        commands.append("dvc pull")
    said = [f"{first_names(differ, 1)} changed (dvc repro, if you meant to)"] if differ else []
    said += [f"{first_names(other, 1)} of another run"] if other else []
    said += [f"{first_names(missing, 1)} missing"] if missing else []
    raise FixableError(" and ".join(said), " && ".join(commands))


def leftovers() -> str:
    """No half-written file, and no file of a candidate that the pipeline does not know."""
    owned = {*map(Path, storage.outputs())}
    parts = {path for folder in WRITTEN for name in PARTS for path in folder.rglob(name)}
    parts.update(Path().glob(PARTS[0]))
    if left := sorted(parts | {path for path in CANDIDATES.glob("*") if path not in owned}):
        raise FixableError(f"{first_names(left, 1)} left over", set_aside(left))
    return "none"


def pipeline() -> str:
    """Nothing has changed since the last run."""
    if changed := storage.status():
        raise FixableError(f"{first_names(changed, 1)} changed since the last run", "dvc repro")
    return "up to date"


def fresh() -> str:
    """No stage would run, were all data here."""
    if changed := storage.changes():
        remedy = "dvc pull && dvc repro && git add . && git commit && dvc push"
        raise FixableError(f"dvc.lock is stale at {first_names(changed, 1)}", remedy)
    return "dvc.lock is fresh"


def remote(*, of_clone: bool = False) -> str:
    """The default remote answers, and accepts the credentials.

    The remote of a clone may be a folder on another machine, which cannot be looked into.
    """
    name, url = remotes.default()
    if not url:
        raise FixableError("none is the default", "dvc remote add --default storage ../dvc-remote")
    if away := remotes.folder_elsewhere():
        if of_clone:
            why, remedy = away
            raise SkippedError(f"{why}, and cannot be seen from here", remedy)
        elsewhere = f"dvc remote modify --local {name} url FOLDER"
        raise FixableError(f"{url} is not a folder (if it is elsewhere: {elsewhere})", "dvc push")
    try:
        remotes.lacking()
    except FixableError as error:
        raise FixableError(f"{url}: {error}", error.remedy) from None
    return f"{url} answers"


def no_remote() -> str:
    """The remote is not to be asked."""
    raise SkippedError("no secret is given to the code of a fork", "")


def pushed() -> str:
    """All that is recorded is in the remote."""
    absent = remotes.lacking()
    if not absent:
        return "all is in the remote"
    # Of a folder whose list is in the remote, `dvc push` takes all files to be there.
    there = [path for path in storage.outputs() if path not in absent]
    inside = [name for name in absent if any(within(name, path) for path in there)]
    again = [f"dvc add --to-remote {shlex.quote(name)} -o again/1" for name in inside]
    commands = ["mkdir again", *again, "rm -r again", "git reset -q -- again"] if again else []
    remedy = " && ".join([*commands, "dvc push"])
    raise FixableError(f"{first_names(absent, 1)} not in the remote", remedy)


CHECKS = (
    Check("git", repository),
    Check("python", environment.python, ("git",)),
    Check("packages", environment.packages, ("git",)),
    Check("hooks", hooks, ("git",)),
    Check("lock", record, ("git",)),
    Check("params", edited.check),
    Check("machinery", manifest.check, ("git",)),
    Check("deps", deps.check, ("git",)),
    Check("dvc", dvc, ("lock",)),
    Check("cache", cached, ("dvc",)),
    Check("files", files, ("dvc",)),
    Check("leftovers", leftovers, ("dvc",)),
    Check("pipeline", pipeline, ("dvc", "files")),
    Check("remote", remote, ("dvc",)),
    Check("pushed", pushed, ("remote",)),
)
WITH_DATA = ("hooks", "cache", "files", "leftovers")


def without_data(*, with_remote: bool = True) -> list[Check]:
    """What a CI job asks of its clone: it needs git and the remote, not the data."""
    instead: dict[str, Callable[[], str]] = {
        "lock": partial(record, optional=True),
        "pipeline": fresh,
        "remote": partial(remote, of_clone=True) if with_remote else no_remote,
    }
    left = [check for check in CHECKS if check.name not in WITH_DATA]
    return [check._replace(make=instead.get(check.name, check.make)) for check in left]
