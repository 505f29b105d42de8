"""storage: what DVC keeps of the checkout in; what is stale, missing or restored out.

DVC is called as a library, not as a command: its start costs as much as a checkout. Whatever it
raises becomes a UserError with DVC's own sentence.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machinery.pipeline.files import UserError, replace

from .checking import some
from .graph import File, Graph
from .hashes import FOLDER, files_of, ignore_rules, listing, md5_of
from .versions import read

if TYPE_CHECKING:
    from dvc.repo import Repo

CACHE = Path(".dvc/cache")  # where no setting says otherwise
UNFINISHED = f".{'?' * 22}.tmp"  # as DVC calls a file until it is whole
ABSENT = ("deleted", "not in cache")
MISSING = "is missing"
NEW = f"its record in dvc.lock {MISSING}"


@contextmanager
def opened(what: str) -> Iterator["Repo"]:
    """DVC's view of the checkout. What fails inside is a UserError that begins with `what`."""
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except UserError:
        raise
    except Exception as error:  # of DVC, of a storage library, of the network
        raise UserError(f"{what}: {_said(error) or type(error).__name__}") from error


def _said(error: BaseException) -> str:
    """The sentence of an error, or of its cause where a storage library left it empty."""
    said = " ".join(str(error).split())
    return _said(error.__cause__) if said in ("", "None") and error.__cause__ else said


def stale(*, without_data: bool = False) -> list[str]:
    """What of the checkout is not as dvc.lock records it: a sentence for each such thing.

    Code, folders of code, params, data, commands and outputs count, as `dvc status` reads them;
    without data, only what would be stale if all that is recorded were here.
    """
    users: dict[str, list[str]] = {}
    for stage, things in changes(without_data=without_data).items():
        for thing in things:
            users.setdefault(thing, []).append(stage)
    return [
        f"{thing} ({some(stages)})"
        if thing.endswith(MISSING)
        else f"{thing} since {some(stages)} ran"
        for thing, stages in users.items()
    ]


def changes(*, without_data: bool = False) -> dict[str, list[str]]:
    """What has changed for each stage or .dvc file that is not as recorded, in phrases."""
    with opened("dvc status fails") as repo:
        status: dict[str, list[Any]] = repo.status()
    graph = read().graph if without_data else None
    things = {stage: [*_things(entries, graph)] for stage, entries in status.items()}
    if graph:
        for new in status.keys() - {stage.name for stage in graph.stages}:
            things[new].append(NEW)
        for stage in graph.stages:  # candidates that are no more stay in dvc.lock
            broken = [f"{was.path} has changed" for was, _ in graph.broken(stage)]
            things.setdefault(stage.name, []).extend(broken if stage.name in status else ())
    return {stage: changed for stage, changed in things.items() if changed}


def _things(entries: list[Any], graph: Graph | None = None) -> Iterator[str]:
    """One stage's part of `dvc status --json`, as phrases; what the graph makes may be absent."""
    for entry in entries:
        if isinstance(entry, str):
            yield "the command has changed" if entry == "changed command" else entry
            continue
        for path, change in [item for paths in entry.values() for item in paths.items()]:
            if isinstance(change, dict):
                yield from (f"{key} in {path} has changed" for key in change)
            elif change not in ABSENT:
                yield f"{path} has changed"
            elif not (graph and graph.makers(path)):
                yield f"{path} {MISSING}"


def owned(revision: str | None = None) -> set[str]:
    """The outputs that the pipeline has in the checkout, or at a revision.

    dvc.lock records more: DVC never removes candidates that the params no longer name.
    """
    with opened("the pipeline cannot be read") as repo:
        for _ in repo.brancher(revs=[revision] if revision else None, workspace=False):
            return _outputs(repo)
    return set()


def _outputs(repo: "Repo") -> set[str]:
    return {repo.fs.relpath(out.fs_path, repo.root_dir) for out in repo.index.outs}


def cached(md5: str) -> Path:
    """Where the cache keeps, or would keep, a file."""
    parts = ("files", "md5", md5[:2], md5[2:])
    usual = CACHE.joinpath(*parts)
    return usual if usual.is_file() else _cache_of(Path.cwd()).joinpath(*parts)


@cache
def _cache_of(project: Path) -> Path:
    """The cache's folder: `dvc cache dir`, asked once."""
    with opened("the cache cannot be read") as repo:
        return Path(repo.config["cache"].get("dir") or CACHE)


def objects(md5: str) -> Iterator[Path]:
    """Where the cache keeps a file, or a folder's list and then its files."""
    place = cached(md5)
    yield place
    if md5.endswith(FOLDER) and is_whole(place):
        yield from (cached(entry["md5"]) for entry in json.loads(place.read_bytes()))


def is_whole(place: Path) -> bool:
    """Whether an object of the cache is there, with the bytes that its name, an md5, stands for."""
    return place.is_file() and md5_of(place) == place.parent.name + place.stem


def lacking(files: list[File]) -> list[File]:
    """What the cache does not hold whole."""
    return [file for file in files if not all(map(is_whole, objects(file.hash)))]


def save(files: Iterable[File]) -> None:
    """Put outputs of the checkout, which are as recorded, into the cache where it lacks them."""
    for file in files:
        path = Path(file.path)
        if path.is_dir():
            text = listing(path)
            for entry in json.loads(text):
                _save(entry["md5"], path / entry["relpath"])
            _save(file.hash, text)
        elif path.is_file():
            _save(file.hash, path)


def _save(md5: str, source: Path | bytes) -> None:
    def write(part: Path) -> None:
        shutil.copyfile(source, part) if isinstance(source, Path) else part.write_bytes(source)

    place = cached(md5)
    if not is_whole(place):
        replace(place, write)
        place.chmod(0o444)  # as DVC does


def fetch(commit: str, path: str | None = None) -> None:
    """Bring what a commit records into the cache, from today's remote with its credentials.

    All of it, or one path. The commit's own settings may name a remote that is no more, and DVC
    would look for a relative folder from nowhere. Corrupted objects are replaced.
    """
    with opened("the remote cannot be read") as repo:
        settings = {name: repo.config[name] for name in ("core", "remote")}
        repo.fetch(path and [path], revs=[commit], workspace=False, config=settings)


def listed(md5: str) -> dict[str, str] | None:
    """The files of a folder and their hashes; None where the cache lacks the list."""
    place = cached(md5)
    if not place.is_file():
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(place.read_bytes())}


def members(path: str, revision: str | None, md5: str) -> dict[str, str]:
    """The files of a folder and their hashes. The remote is asked for this list, for no file."""
    files = listed(md5)
    if files is None:
        with opened("the remote cannot be read") as repo:
            entries = repo.ls(".", path, rev=revision, recursive=True, dvc_only=True)
        files = {entry["path"]: entry["md5"] for entry in entries}
    if not files:
        raise UserError(f"neither the cache nor the remote holds the list of files of {path}")
    return files


def checkout(leaving: Iterable[str] = (), *, allow_missing: bool = False) -> set[str]:
    """Bring the pipeline's outputs from the cache into their place (`dvc checkout`); name them.

    What is leaving and none of them is removed: DVC hashes a folder with all that is in it.
    """
    from dvc.repo import lock_repo

    # Under one lock DVC reads the pipeline once; it would for `_outputs`, and again for `checkout`.
    with opened("dvc checkout fails") as repo, lock_repo(repo):
        outputs = _outputs(repo)
        remove(path for path in leaving if path not in outputs)
        repo.checkout(allow_missing=allow_missing)
        return outputs


def tidy(files: list[File]) -> None:
    """Remove the unfinished files that a `dvc checkout` of these leaves when it is interrupted."""
    for path in {Path(file.path) for file in files}:
        left = path.rglob(UNFINISHED) if path.is_dir() else path.parent.glob(UNFINISHED)
        remove(each.as_posix() for each in list(left))


def remove(paths: Iterable[str]) -> None:
    """Remove outputs from the checkout; the cache keeps them. What .dvcignore names stays."""
    ignored = ignore_rules()
    for path in map(Path, paths):
        within = [file for file in files_of(path) if not ignored(file.as_posix())]
        folders = sorted((folder for folder in path.rglob("*") if folder.is_dir()), reverse=True)
        try:
            for file in within if path.is_dir() else [path]:
                file.unlink(missing_ok=True)
            for folder in [*folders, path] if path.is_dir() else ():
                if not any(folder.iterdir()):
                    folder.rmdir()
        except OSError as error:
            raise UserError(f"{path} cannot be removed: {error.strerror}") from error
