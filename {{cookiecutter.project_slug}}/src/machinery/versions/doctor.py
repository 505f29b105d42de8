"""doctor: for each thing that must hold of a checkout, whether it does and what to type if not.

Nothing is changed. A check returns what it saw, or raises WrongError.
"""

import shlex
from importlib import metadata
from pathlib import Path

from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CANDIDATES

from . import deps, edited, environment, git, hashes, manifest, storage
from . import remote as remotes
from .checking import Check, WrongError, restore, set_aside, some, words
from .graph import File, within
from .history import LOCK

HOOKS = Path(".pre-commit-config.yaml")
WRITTEN = (Path("data"), Path("models"), Path("reports"))
PARTS = (".*.part", storage.UNFINISHED)  # of a stage, of DVC


def repository() -> str:
    """The project is a git repository of its own."""
    try:
        root = Path(git.run("rev-parse", "--show-toplevel"))
    except UserError as error:
        start = 'git init -b main && git add . && git commit -m "First commit" && make setup'
        raise WrongError(str(error), start) from None
    if root.resolve() != Path.cwd():
        raise WrongError(
            f"{root} is the repository, not this folder", f"cd {shlex.quote(str(root))}"
        )
    return f"at {git.run('rev-parse', '--short', 'HEAD')}"


def hooks() -> str:
    """Git runs the hooks that .pre-commit-config.yaml lists."""
    if not HOOKS.exists():
        return f"none wanted, without {HOOKS}"
    kinds = read_yaml(HOOKS).get("default_install_hook_types", ["pre-commit"])
    folder = Path(git.run("rev-parse", "--git-path", "hooks"))
    if absent := [kind for kind in kinds if not _runs_pre_commit(folder / kind)]:
        raise WrongError(f"{', '.join(absent)} not installed", "make setup")
    return ", ".join(kinds)


def _runs_pre_commit(hook: Path) -> bool:
    return hook.is_file() and "pre_commit" in hook.read_text(encoding="utf-8", errors="replace")


def record() -> str:
    """dvc.lock and the .dvc files can be read."""
    if not Path(LOCK).exists():
        raise WrongError(f"there is no {LOCK}: nothing was run yet", "dvc repro")
    try:
        return f"{len(hashes.recorded())} outputs recorded"
    except UserError as error:
        place = Path(str(error).split()[0])
        again = f"{set_aside([place])} && dvc repro"
        remedy = again if place == Path(LOCK) else restore(place)
        raise WrongError(f"{place} cannot be read", remedy) from None


def dvc() -> str:
    """DVC is there, and reads dvc.yaml."""
    try:
        version = metadata.version("dvc")
    except metadata.PackageNotFoundError:
        raise WrongError("not installed", "make setup && source .venv/bin/activate") from None
    _recorded()
    return version


def cached() -> str:
    """The cache holds what its names say, for all that is recorded here."""
    places = {place for file in _kept_by_dvc() for place in storage.objects(file.hash)}
    present = sorted(place for place in places if place.is_file())
    if wrong := [place for place in present if not storage.is_whole(place)]:
        raise WrongError(f"{len(wrong)} corrupted", f"{set_aside(wrong)} && dvc pull")
    return f"{len(present)} objects hold what their names say"


def files() -> str:
    """Every recorded file has the bytes that are recorded; each is read again."""
    wrong = hashes.mismatches(_recorded())
    if not wrong:
        return "all as recorded, read byte by byte"
    by_dvc = {Path(file.path) for file in _kept_by_dvc()}
    by_git = [each.path for each in wrong if each.path not in by_dvc]
    changed = [each.path for each in wrong if each.path in by_dvc and each.actual is not None]
    missing = [each.path for each in wrong if each.path in by_dvc and each.actual is None]
    commands = [set_aside(there)] if (there := [p for p in by_git + changed if p.exists()]) else []
    if by_git:  # a report is made again where the commit's is of another run
        recorded = not git.run("diff", "--name-only", "HEAD", "--", LOCK)
        commands.append(f"git checkout HEAD -- {words(by_git)}" if recorded else "dvc repro")
    commands += ["dvc pull"] if changed or missing else []
    said = [f"{some(missing, 1)} missing"] if missing else []
    if differ := by_git + changed:
        said.insert(0, f"{some(differ, 1)} changed (dvc repro, if you meant to)")
    raise WrongError(" and ".join(said), " && ".join(commands))


def leftovers() -> str:
    """No half-written file, and no file of a candidate that the pipeline does not know."""
    owned = {Path(file.path) for file in _recorded()}
    parts = {path for folder in WRITTEN for name in PARTS for path in folder.rglob(name)}
    parts.update(Path().glob(PARTS[0]))
    if left := sorted(parts | {path for path in CANDIDATES.glob("*") if path not in owned}):
        raise WrongError(f"{some(left, 1)} left over", set_aside(left))
    return "none"


def pipeline() -> str:
    """Nothing has changed since the last run."""
    if changed := storage.changes():
        raise WrongError(f"{some(changed, 1)} changed since the last run", "dvc repro")
    return "up to date"


def remote() -> str:
    """The default remote answers, and accepts the credentials."""
    name, url = remotes.default()
    if not url:
        raise WrongError("none is the default", "dvc remote add --default storage ../dvc-remote")
    if "://" not in url and not Path(url).is_dir():
        elsewhere = f"dvc remote modify --local {name} url FOLDER"
        raise WrongError(f"{url} is not a folder (if it is elsewhere: {elsewhere})", "dvc push")
    try:
        remotes.lacking()
    except WrongError as error:
        raise WrongError(f"{url}: {error}", error.remedy) from None
    return f"{url} answers"


def pushed() -> str:
    """All that is recorded is in the remote."""
    absent = remotes.lacking()
    if not absent:
        return "all is in the remote"
    # Of a folder whose list is in the remote, `dvc push` takes all files to be there.
    there = [file.path for file in _kept_by_dvc() if file.path not in absent]
    inside = [name for name in absent if any(within(name, path) for path in there)]
    again = [f"dvc add --to-remote {shlex.quote(name)} -o again/1" for name in inside]
    commands = ["mkdir again", *again, "rm -r again", "git reset -q -- again"] if again else []
    raise WrongError(f"{some(absent, 1)} not in the remote", " && ".join([*commands, "dvc push"]))


def _recorded() -> list[File]:
    """What dvc.lock records of the pipeline as it is, without candidates that are no more."""
    paths = storage.owned()
    return [file for file in hashes.recorded() if file.path in paths]


def _kept_by_dvc() -> list[File]:
    """The recorded files whose bytes DVC keeps; git keeps the others."""
    return hashes.kept_by_dvc(_recorded(), set(git.run("ls-files", "-z").split("\0")))


BASICS = (
    Check("git", repository),
    Check("python", environment.python, ("git",)),
    Check("packages", environment.packages, ("git",)),
)
TEXTS = (
    Check("params", edited.check),
    Check("machinery", manifest.check, ("git",)),
    Check("deps", deps.check, ("git",)),
)
CHECKS = (
    *BASICS,
    Check("hooks", hooks, ("git",)),
    Check("lock", record, ("git",)),
    *TEXTS,
    Check("dvc", dvc, ("lock",)),
    Check("cache", cached, ("dvc",)),
    Check("files", files, ("dvc",)),
    Check("leftovers", leftovers, ("dvc",)),
    Check("pipeline", pipeline, ("files",)),
    Check("remote", remote, ("dvc",)),
    Check("pushed", pushed, ("remote",)),
)
