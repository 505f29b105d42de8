"""storage: what DVC records and keeps of the checkout in; what is stale, changed or restored out.

DVC is called as a library, not as a command: its start costs as much as a checkout. Whatever it
raises becomes a UserError with DVC's own sentence. The hashes are DVC's: the md5 of a file; of a
folder, the md5 of the list of its files, with `.dir` at the end
(https://doc.dvc.org/user-guide/project-structure/internal-files).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from machinery.pipeline.files import UserError

from . import git
from .checking import some
from .graph import File, Graph
from .versions import read

if TYPE_CHECKING:
    from dvc.repo import Repo

CACHE = Path(".dvc/cache")  # where no setting says otherwise
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
FOLDER = ".dir"
ABSENT = ("deleted", "not in cache")
MISSING = "is missing"
NEW = f"its record in dvc.lock {MISSING}"

md5 = partial(hashlib.md5, usedforsecurity=False)


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


def recorded(revision: str | None = None) -> list[File]:
    """Every output that DVC records at a revision, or in the checkout: in its cache or in git."""
    outs = {out.path: out for stage in read(revision).graph.stages for out in stage.outs}
    return [out for out in outs.values() if MD5.fullmatch(out.hash)]


def outputs() -> list[File]:
    """What is recorded of the outputs that the pipeline of the checkout has.

    dvc.lock records more: DVC never removes candidates that the params no longer name.
    """
    with opened("the pipeline cannot be read") as repo:
        paths = {repo.fs.relpath(out.fs_path, repo.root_dir) for out in repo.index.outs}
    return [file for file in recorded() if file.path in paths]


def kept_by_dvc() -> list[File]:
    """The outputs of the checkout whose bytes are in DVC's cache; git keeps the others."""
    in_git = set(git.run("ls-files", "-z").split("\0"))
    in_git |= {parent.as_posix() for name in in_git for parent in PurePosixPath(name).parents}
    return [file for file in outputs() if file.path not in in_git]


def changed(files: list[File]) -> dict[str, str | None]:
    """The files of the checkout that are not as recorded, each with its hash, None where absent."""
    digests = {file: digest(Path(file.path)) for file in files}
    return {file.path: now for file, now in digests.items() if now != file.hash}


def digest(path: Path) -> str | None:
    """DVC's hash of a file or folder of the checkout; None where nothing is."""
    if not path.is_dir():
        return md5_of(path) if path.is_file() else None
    files = [
        {"md5": md5_of(file), "relpath": file.relative_to(path).as_posix()}
        for file in files_of(path)
    ]
    listing = json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True)
    return md5(listing.encode()).hexdigest() + FOLDER


def md5_of(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, md5).hexdigest()


def files_of(folder: Path) -> list[Path]:
    """The files that DVC counts to the folder: all below it but what .dvcignore names.

    Links are followed, since DVC may link to its cache.
    """
    from pathspec import GitIgnoreSpec

    rules = Path(".dvcignore")
    lines = rules.read_text(encoding="utf-8").splitlines() if rules.is_file() else []
    ignored = GitIgnoreSpec.from_lines(lines).match_file
    places = os.walk(folder, followlinks=True)
    files = (Path(place, name) for place, _, names in places for name in names)
    return [file for file in files if not ignored(file.as_posix())]


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


def fetch(commit: str, path: str | None = None) -> None:
    """Bring what a commit records into the cache, from today's remote with its credentials.

    All of it, or one path. The commit's own settings may name a remote that is no more, and DVC
    would look for a relative folder from nowhere.
    """
    with opened("the remote cannot be read") as repo:
        settings = {name: repo.config[name] for name in ("core", "remote")}
        repo.fetch(path and [path], revs=[commit], workspace=False, config=settings)


def members(path: str, revision: str | None, md5: str) -> dict[str, str]:
    """The files of a folder and their hashes. The remote is asked for this list, for no file."""
    if (place := cached(md5)).is_file():
        entries, name = json.loads(place.read_bytes()), "relpath"
    else:
        with opened("the remote cannot be read") as repo:
            entries = repo.ls(".", path, rev=revision, recursive=True, dvc_only=True)
        name = "path"
    if not entries:
        raise UserError(f"neither the cache nor the remote holds the list of files of {path}")
    return {entry[name]: entry["md5"] for entry in entries}


def checkout(leaving: Iterable[str] = (), *, allow_missing: bool = False) -> None:
    """Bring the pipeline's outputs from the cache into their place (`dvc checkout`).

    What is leaving and none of them is removed: DVC hashes a folder with all that is in it.
    """
    remove(set(leaving) - {file.path for file in outputs()})
    with opened("dvc checkout fails") as repo:
        repo.checkout(allow_missing=allow_missing)


def remove(paths: Iterable[str]) -> None:
    """Remove outputs from the checkout; the cache keeps them. What .dvcignore names stays."""
    for path in map(Path, paths):
        folders = sorted((folder for folder in path.rglob("*") if folder.is_dir()), reverse=True)
        try:
            for file in files_of(path) if path.is_dir() else [path]:
                file.unlink(missing_ok=True)
            for folder in [*folders, path] if path.is_dir() else ():
                if not any(folder.iterdir()):
                    folder.rmdir()
        except OSError as error:
            raise UserError(f"{path} cannot be removed: {error.strerror}") from error
