"""storage: what DVC records and keeps of the checkout in; what is stale, changed or restored out.

DVC is called as a library where that is enough: its start as a command costs as much as a checkout.
Whatever it raises becomes a UserError with DVC's own sentence.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from machinery.pipeline.files import UserError

from .checking import first_names
from .graph import File, Graph
from .versions import read

if TYPE_CHECKING:
    from dvc.repo import Repo

FOLDER = ".dir"  # ends the hash of a folder, which is that of the list of its files
ABSENT = ("deleted", "not in cache")
MISSING = "is missing"


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


def status() -> dict[str, list[Any]]:
    """The stages and .dvc files that are not as recorded, as `dvc status --json` has them."""
    with opened("dvc status fails") as repo:
        return dict(repo.status())


def stale() -> list[str]:
    """What would be stale if all that is recorded were here: a sentence for each such thing."""
    users: dict[str, list[str]] = {}
    for stage, things in changes().items():
        for thing in things:
            users.setdefault(thing, []).append(stage)
    return [
        f"{thing} ({first_names(stages)})"
        if thing.endswith(MISSING)
        else f"{thing} since {first_names(stages)} ran"
        for thing, stages in users.items()
    ]


def changes() -> dict[str, list[str]]:
    """What has changed for each stage or .dvc file, in phrases; what stages make may be absent."""
    graph, now = read().graph, status()
    things = {stage: [*_things(entries, graph)] for stage, entries in now.items()}
    for new in now.keys() - {stage.name for stage in graph.stages}:
        things[new].append(f"its record in dvc.lock {MISSING}")
    for stage in graph.stages:  # candidates that are no more stay in dvc.lock
        broken = [f"{was.path} has changed" for was, _ in graph.broken(stage)]
        things.setdefault(stage.name, []).extend(broken if stage.name in now else ())
    return {stage: changed for stage, changed in things.items() if changed}


def _things(entries: list[Any], graph: Graph) -> Iterator[str]:
    """What `dvc status` says of one stage, as phrases."""
    for entry in entries:
        if isinstance(entry, str):
            yield "the command has changed" if entry == "changed command" else entry
            continue
        for path, change in [item for paths in entry.values() for item in paths.items()]:
            if isinstance(change, dict):
                yield from (f"{key} in {path} has changed" for key in change)
            elif change not in ABSENT:
                yield f"{path} has changed"
            elif not graph.makers(path):
                yield f"{path} {MISSING}"


def recorded(revision: str | None = None) -> list[File]:
    """Every output that DVC records at a revision, or in the checkout: in its cache or in git."""
    return [out for out in read(revision).graph.outs.values() if out.hash]


def outputs() -> set[str]:
    """The outputs of the checkout's pipeline that DVC keeps; git keeps the others.

    dvc.lock records more: DVC never removes candidates that the params no longer name.
    """
    with opened("the pipeline cannot be read") as repo:
        status = repo.data_status(with_renames=False)
    changes = [status["uncommitted"], status["committed"] | {"deleted": []}]
    paths = [path for change in changes for kind in change.values() for path in kind]
    return {path.rstrip("/") for path in (*paths, *status["unchanged"])}


def kept() -> list[File]:
    """What is recorded of the outputs that DVC keeps."""
    paths = outputs()
    return [file for file in recorded() if file.path in paths]


def changed() -> list[str]:
    """The recorded outputs, in git too, that are modified or missing; every byte is read again.

    DVC remembers hashes by the size and time of files: here it begins with an empty memory.
    """
    with TemporaryDirectory() as memory:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "--json"],
            env={**os.environ, "DVC_SITE_CACHE_DIR": memory},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise UserError(f"dvc status fails: {' '.join(done.stderr.split())}")
    stages = json.loads(done.stdout).values()
    entries = [entry for stage in stages for entry in stage if isinstance(entry, dict)]
    outs = [out for entry in entries for out in entry.get("changed outs", {}).items()]
    known = {file.path for file in recorded()}
    here = {path for path, kind in outs if kind == "not in cache" and Path(path).exists()}
    return [path for path, _ in outs if path in known - here]


def md5_of(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def cache_path(md5: str) -> Path:
    """Where the cache keeps, or would keep, a file."""
    return _cache_of(Path.cwd()) / "files" / "md5" / md5[:2] / md5[2:]


@cache
def _cache_of(project: Path) -> Path:
    """The cache's folder: `dvc cache dir`, asked once."""
    with opened("the cache cannot be read") as repo:
        return Path(repo.config["cache"].get("dir") or ".dvc/cache")


def listing(md5: str) -> dict[str, str]:
    """The files of a folder and their hashes, as far as the cache has its list."""
    place = cache_path(md5)
    entries = json.loads(place.read_bytes()) if md5.endswith(FOLDER) and is_intact(place) else []
    return {entry["relpath"]: entry["md5"] for entry in entries}


def objects(md5: str) -> list[Path]:
    """Where the cache keeps a file, or a folder's list and then its files."""
    return [cache_path(each) for each in (md5, *listing(md5).values())]


def is_intact(place: Path) -> bool:
    """Whether an object of the cache is there, with the bytes that its name, an md5, stands for."""
    return place.is_file() and md5_of(place) == place.parent.name + place.stem


def keeps(path: Path) -> bool:
    """Whether the cache has the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return path.exists() and all(is_intact(cache_path(md5_of(file))) for file in files)


def fetch(commit: str, path: str | None = None) -> None:
    """Bring what a commit records into the cache, from today's remote with its credentials.

    All of it, or one path. The commit's own settings may name a remote that is no more, and DVC
    would look for a relative folder from nowhere.
    """
    with opened("the remote cannot be read") as repo:
        settings = {name: repo.config[name] for name in ("core", "remote")}
        repo.fetch(path and [path], revs=[commit], workspace=False, config=settings)


def checkout(leaving: Iterable[File] = (), *, allow_missing: bool = False) -> None:
    """Bring the pipeline's outputs from the cache into their place (`dvc checkout`).

    What is leaving and none of them is removed: DVC hashes a folder with all that is in it. Of a
    folder, the files go that DVC keeps.
    """
    here = outputs()
    with opened("dvc checkout fails") as repo:
        for file in leaving:
            if file.path not in here:
                for name in listing(file.hash) or [""]:
                    Path(file.path, name).unlink(missing_ok=True)
        repo.checkout(allow_missing=allow_missing)
