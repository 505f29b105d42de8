"""doctor: a checkout in; for each thing that must hold, whether it does and what to type, out.

Nothing is changed. A check returns what it found in order, or raises WrongError.
"""

import shlex
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from . import edited
from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CANDIDATES
from . import environment, git, hashes, storage
from . import remote as remotes
from .checking import Check, WrongError, some
from .graph import File, within

LOCK = Path("dvc.lock")
HOOKS = Path(".pre-commit-config.yaml")
WRITTEN = (Path("data"), Path("models"), Path("reports"))
PARTS = (".*.part", storage.UNFINISHED)  # of a stage, of DVC
MEND_LOCK = "rm dvc.lock && dvc repro"
# `dvc push` takes a folder's list in the remote as a proof that all of its files are there.
FORGET = 'from dvc.repo import Repo; Repo().cloud.get_remote_odb().delete("{}")'


def python() -> str:
    """Python is as the project wants it."""
    version, wanted, good = environment.python()
    if not good:
        raise WrongError(
            f"{version} is not {wanted}", "rm -r .venv && make setup PYTHON=python3.12"
        )
    return version


def packages() -> str:
    """Every package that requirements.lock pins is installed in that version."""
    pins = environment.pins()
    wrong = [
        f"{pin.name} is {pin.installed or 'missing'}, not {pin.version}"
        for pin in pins
        if pin.installed != pin.version
    ]
    if wrong:
        raise WrongError(some(wrong, 1), f"touch {environment.PINS} && make setup")
    return f"{len(pins)} installed as {environment.PINS} pins them"


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


def record() -> str:
    """dvc.lock and the .dvc files can be read."""
    if not LOCK.exists():
        raise WrongError(f"there is no {LOCK}: nothing was run yet", "dvc repro")
    try:
        return f"{len(hashes.recorded())} outputs recorded"
    except UserError as error:
        place = str(error).split()[0]
        remedy = MEND_LOCK if place == str(LOCK) else f"git checkout HEAD -- {place}"
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
    kept = _kept_by_dvc()
    with storage.opened("the cache cannot be read") as repo:
        places = {place for file in kept for place in storage.objects(repo, file.hash)}
    objects = sorted(place for place in places if place.is_file())
    wrong = [_from_here(place) for place in objects if not storage.is_whole(place)]
    if wrong:
        raise WrongError(f"{len(wrong)} damaged", f"rm -f {_words(wrong)} && dvc pull")
    return f"{len(objects)} objects hold what their names say"


def files() -> str:
    """Every recorded file has the bytes that are recorded, read anew."""
    wrong = hashes.mismatches(_recorded(), Path())
    if not wrong:
        return "all as recorded, read byte by byte"
    by_dvc = {Path(file.path) for file in _kept_by_dvc()}
    by_git = [each.path for each in wrong if each.path not in by_dvc]
    changed = [each.path for each in wrong if each.path in by_dvc and each.found is not None]
    missing = [each.path for each in wrong if each.path in by_dvc and each.found is None]
    commands = [f"git checkout HEAD -- {_words(by_git)}"] if by_git else []
    commands += [f"rm -r {_words(changed)}"] if changed else []
    commands += ["dvc pull"] if changed or missing else []
    found = [f"{some(missing, 1)} missing"] if missing else []
    if differ := by_git + changed:
        found.insert(0, f"{some(differ, 1)} changed (dvc repro, if you meant to)")
    raise WrongError(" and ".join(found), " && ".join(commands))


def leftovers() -> str:
    """No half-written file, and no file of a candidate that the pipeline does not know."""
    owned = {Path(file.path) for file in _recorded()}
    parts = {path for folder in WRITTEN for name in PARTS for path in folder.rglob(name)}
    parts.update(Path().glob(PARTS[0]))
    if found := sorted(parts | {path for path in CANDIDATES.glob("*") if path not in owned}):
        raise WrongError(f"{some(found, 1)} left over", f"rm {_words(found)}")
    return "none"


def pipeline() -> str:
    """Nothing has changed since the last run."""
    if changed := storage.stale():
        raise WrongError(f"{some(changed, 1)} changed since the last run", "dvc repro")
    return "up to date"


def remote() -> str:
    """The default remote answers, and accepts the credentials."""
    name, url = remotes.default()
    if not url:
        raise WrongError("none is the default", "dvc remote add --default storage ../dvc-remote")
    if "://" not in url and not Path(url).is_dir():
        elsewhere = f"dvc remote modify --local {name} url FOLDER"
        raise WrongError(f"{url} is no folder (if it is elsewhere: {elsewhere})", "dvc push")
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
    folders = [
        file.hash
        for file in _kept_by_dvc()
        if file.path not in absent and any(within(path, file.path) for path in absent)
    ]
    forget = [f"python -c {shlex.quote(FORGET.format(md5))}" for md5 in folders]
    raise WrongError(f"{some(absent, 1)} not in the remote", " && ".join([*forget, "dvc push"]))


CHECKS = (
    Check("git", repository),
    Check("python", python, ("git",)),
    Check("packages", packages, ("git",)),
    Check("hooks", hooks, ("git",)),
    Check("lock", record, ("git",)),
    Check("params", edited.check),
    Check("dvc", dvc, ("lock",)),
    Check("cache", cached, ("dvc",)),
    Check("files", files, ("dvc",)),
    Check("leftovers", leftovers, ("dvc",)),
    Check("pipeline", pipeline, ("files",)),
    Check("remote", remote, ("dvc",)),
    Check("pushed", pushed, ("remote",)),
)


def _runs_pre_commit(hook: Path) -> bool:
    return hook.is_file() and "pre_commit" in hook.read_text(encoding="utf-8", errors="replace")


def _recorded() -> list[File]:
    """What dvc.lock records of the pipeline as it is, without candidates of old."""
    paths = storage.owned()
    return [file for file in hashes.recorded() if file.path in paths]


def _kept_by_dvc() -> list[File]:
    """The recorded files whose bytes DVC keeps; git keeps the others."""
    return hashes.kept_by_dvc(_recorded(), set(git.run("ls-files", "-z").split("\0")))


def _words(paths: Iterable[Path]) -> str:
    return " ".join(shlex.quote(path.as_posix()) for path in paths)


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
