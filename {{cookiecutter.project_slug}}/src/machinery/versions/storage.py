"""What DVC records and caches for the checkout: what is stale, what changed, and its restoring.

DVC is called as a library where possible: starting it as a command costs as much as a checkout.
Whatever it raises becomes a UserError with DVC's own message.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
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
def opened(failure: str) -> Iterator["Repo"]:
    """Open the checkout with DVC. Errors inside become a UserError that begins with `failure`."""
    try:
        from dvc.repo import Repo

        with Repo() as repo:
            yield repo
    except UserError:
        raise
    except Exception as error:  # of DVC, of a storage library, of the network
        raise UserError(f"{failure}: {_message(error) or type(error).__name__}") from error


def _message(error: BaseException) -> str:
    """The message of an error, or of its cause where a storage library left it empty."""
    text = " ".join(str(error).split())
    return _message(error.__cause__) if text in ("", "None") and error.__cause__ else text


def status() -> dict[str, list[Any]]:
    """The stages and .dvc files that differ from the record, as `dvc status --json` has them."""
    with opened("dvc status fails") as repo:
        return dict(repo.status())


def stale() -> list[str]:
    """What has changed since the last run: a sentence for each file or parameter."""
    users: dict[str, list[str]] = {}
    for stage, phrases in changes().items():
        for phrase in phrases:
            users.setdefault(phrase, []).append(stage)
    return [
        f"{phrase} ({first_names(stages)})"
        if phrase.endswith(MISSING)
        else f"{phrase} since {first_names(stages)} ran"
        for phrase, stages in users.items()
    ]


def changes() -> dict[str, list[str]]:
    """What has changed for each stage or .dvc file; data that stages make may be absent."""
    graph, current = read().graph, status()
    phrases = {stage: [*_phrases(entries, graph)] for stage, entries in current.items()}
    for new in current.keys() - {stage.name for stage in graph.stages}:
        phrases[new].append(f"its record in dvc.lock {MISSING}")
    for stage in graph.stages:
        if stage.name in current:  # dvc.lock keeps candidates that were removed from the params
            phrases[stage.name] += [f"{path} has changed" for path in graph.changed_deps(stage)]
    return {stage: changed for stage, changed in phrases.items() if changed}


def _phrases(entries: list[Any], graph: Graph) -> Iterator[str]:
    """The changes that `dvc status` reports for one stage."""
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
    """Every output that is recorded at a revision or in the checkout, in DVC's cache or in git."""
    return [out for out in read(revision).graph.outs.values() if out.hash]


def outputs() -> set[str]:
    """The outputs of the checkout's pipeline that DVC tracks; git tracks the others.

    dvc.lock records more: DVC never removes candidates that the params no longer name.
    """
    with opened("the pipeline cannot be read") as repo:
        status = repo.data_status(with_renames=False)
    changes = [status["uncommitted"], status["committed"] | {"deleted": []}]
    paths = [path for change in changes for kind in change.values() for path in kind]
    return {path.rstrip("/") for path in (*paths, *status["unchanged"])}


def tracked() -> list[File]:
    """The records of the outputs that DVC tracks."""
    paths = outputs()
    return [file for file in recorded() if file.path in paths]


def reread() -> dict[str, list[Any]]:
    """The same as `status`, but every byte of the outputs is read again.

    DVC remembers hashes by the size and time of files: here it starts without that memory.
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
    return dict(json.loads(done.stdout))


def changed(status: Mapping[str, list[Any]]) -> list[str]:
    """The recorded outputs, in git too, that are modified or missing according to a `reread`."""
    entries = [entry for stage in status.values() for entry in stage if isinstance(entry, dict)]
    outs = [out for entry in entries for out in entry.get("changed outs", {}).items()]
    paths = {file.path for file in recorded()}
    paths -= {path for path, kind in outs if kind == "not in cache" and Path(path).exists()}
    return [path for path, _ in outs if path in paths]


def md5_of(path: Path) -> str:
    """The md5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def cache_path(md5: str) -> Path:
    """The path of an object in the cache."""
    return _cache_of(Path.cwd()) / "files" / "md5" / md5[:2] / md5[2:]


@cache
def _cache_of(project: Path) -> Path:
    """The cache's folder (`dvc cache dir`)."""
    with opened("the cache cannot be read") as repo:
        return Path(repo.config["cache"].get("dir") or ".dvc/cache")


def listing(md5: str) -> dict[str, str]:
    """The files of a folder and their hashes; empty if the cache lacks its list."""
    path = cache_path(md5)
    entries = json.loads(path.read_bytes()) if md5.endswith(FOLDER) and is_intact(path) else []
    return {entry["relpath"]: entry["md5"] for entry in entries}


def objects(md5: str) -> list[Path]:
    """The cache's object of a file, or those of a folder's list and its files."""
    return [cache_path(digest) for digest in (md5, *listing(md5).values())]


def is_intact(path: Path) -> bool:
    """Whether an object of the cache exists, with the md5 that is its name."""
    return path.is_file() and md5_of(path) == path.parent.name + path.stem


def is_cached(path: Path) -> bool:
    """Whether the cache has the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return path.exists() and all(is_intact(cache_path(md5_of(file))) for file in files)


def fetch(commit: str, path: str | None = None) -> None:
    """Fetch a commit's data, or one path of it, from the current remote with its credentials.

    The commit's own settings may name a remote that is gone, and DVC would resolve a relative
    folder from the wrong place.
    """
    with opened("the remote cannot be read") as repo:
        settings = {name: repo.config[name] for name in ("core", "remote")}
        repo.fetch(path and [path], revs=[commit], workspace=False, config=settings)


def checkout(leaving: Iterable[File] = (), *, allow_missing: bool = False) -> None:
    """Restore the pipeline's outputs from the cache (`dvc checkout`).

    Removes the `leaving` files that are not outputs: DVC hashes a folder with all that is in it.
    Of a leaving folder, only the files that DVC tracks are removed.
    """
    outs = outputs()
    with opened("dvc checkout fails") as repo:
        for file in leaving:
            if file.path not in outs:
                for name in listing(file.hash) or [""]:
                    Path(file.path, name).unlink(missing_ok=True)
        repo.checkout(allow_missing=allow_missing)
