"""storage: what DVC keeps of the checkout in; what is stale, missing or restored out.

DVC is called as a library, not as a command: its start costs as much as a checkout. Whatever it
raises becomes a UserError with DVC's own sentence.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from machinery.pipeline.files import UserError
from .graph import File
from .hashes import FOLDER, files_of, ignore_rules, md5_of, mismatches

if TYPE_CHECKING:
    from dvc.repo import Repo

SMALL = 8_000_000  # bytes that are hashed sooner than DVC is asked for their hash
UNFINISHED = f".{'?' * 22}.tmp"  # as DVC calls a file until it is whole


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
        raise UserError(f"{what}: {_said(error)}") from error


def _said(error: BaseException) -> str:
    """The sentence of an error, or of its cause where a storage library left it empty."""
    said = " ".join(str(error).split())
    if said in ("", "None") and error.__cause__:
        return _said(error.__cause__)
    return said or type(error).__name__


def stale() -> list[str]:
    """The stages and .dvc files that are not as recorded, as `dvc status` names them."""
    with opened("dvc status fails") as repo:
        return list(repo.status())


def stale_without_data() -> list[str]:
    """The stages that would run if all that is recorded were there, for a clone without data.

    `dvc repro --dry --allow-missing` asks the same, but fails where a stale stage lacks its source.
    """
    from dvc.repo import lock_repo

    with opened("the pipeline cannot be read") as repo, lock_repo(repo):
        stages = list(repo.index.stages)
        changed = (s for s in stages if s.changed(allow_missing=True, upstream=stages))
        return [stage.addressing for stage in changed]


def owned(revision: str | None = None) -> set[str]:
    """The outputs that the pipeline has in the checkout, or at a revision.

    dvc.lock records more: DVC never takes out candidates that the params no longer name.
    """
    with opened("the pipeline cannot be read") as repo:
        for _ in repo.brancher(revs=[revision] if revision else None, workspace=False):
            return _outputs(repo)
    return set()


def _outputs(repo: "Repo") -> set[str]:
    return {repo.fs.relpath(out.fs_path, repo.root_dir) for out in repo.index.outs}


def unsaved(repo: "Repo", files: list[File]) -> list[str]:
    """What is there, but not as recorded: work that a checkout would overwrite."""
    found = mismatches(files, md5=lambda path: _md5_of(repo, path))
    return [str(wrong.path) for wrong in found if wrong.found is not None]


def _md5_of(repo: "Repo", path: Path) -> str:
    """The md5 of a file; DVC remembers it for this size, time and inode."""
    if path.stat().st_size > SMALL:
        _, remembered = repo.state.get(str(path.absolute()), repo.fs)
        if remembered:
            return str(remembered.value)
    return md5_of(path)


def lacking(repo: "Repo", files: list[File]) -> list[File]:
    """What the cache does not hold whole; folders are looked into, their damaged lists dropped."""
    for file in files:
        if file.hash.endswith(FOLDER):
            _drop_if_damaged(_place(repo, file.hash))
    return [file for file in files if not all(p.is_file() for p in objects(repo, file.hash))]


def _place(repo: "Repo", md5: str) -> Path:
    return Path(repo.cache.local.oid_to_path(md5))


def objects(repo: "Repo", md5: str) -> Iterator[Path]:
    """Where the cache keeps a file, or a folder's list and then its files."""
    place = _place(repo, md5)
    yield place
    if md5.endswith(FOLDER) and place.is_file() and is_whole(place):
        yield from (_place(repo, entry["md5"]) for entry in json.loads(place.read_bytes()))


def drop_damaged(repo: "Repo", files: list[File], spared: list[File]) -> None:
    """Remove from the cache what is damaged of these files, but for what the spared have, too."""
    shared = {place for file in spared for place in objects(repo, file.hash)}
    for place in {place for file in files for place in objects(repo, file.hash)} - shared:
        _drop_if_damaged(place)


def is_whole(place: Path) -> bool:
    """Whether an object of the cache has the bytes that its name, an md5, stands for."""
    return md5_of(place) == place.parent.name + place.stem


def _drop_if_damaged(place: Path) -> None:
    if place.is_file() and not is_whole(place):
        place.unlink()


def save(repo: "Repo", files: list[File]) -> None:
    """Put files of the checkout into the cache, as they are; dvc.lock stays as it is."""
    paths = {file.path for file in files}
    for out in repo.index.outs if paths else ():
        if out.exists and out.fs.relpath(out.fs_path, repo.root_dir) in paths:
            out.commit(relink=False)


def fetch(commit: str, path: str | None = None) -> None:
    """Bring what a commit records into the cache, from the remote of today with its credentials.

    All of it, or one path. The commit's own settings may name a remote of old, and DVC would look
    for a relative folder from nowhere.
    """
    with opened("the remote cannot be read") as repo:
        settings = {name: repo.config[name] for name in ("core", "remote")}
        repo.fetch(path and [path], revs=[commit], workspace=False, config=settings)


def cached(md5: str) -> Path:
    """Where the cache keeps, or would keep, a file."""
    place = Path(".dvc/cache/files/md5", md5[:2], md5[2:])  # if no settings say otherwise
    if place.is_file():
        return place
    with opened("the cache cannot be read") as repo:
        return _place(repo, md5)


def listed(md5: str) -> dict[str, str] | None:
    """The files of a folder and their hashes; None where the cache lacks the list."""
    place = cached(md5)
    if not place.is_file():
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(place.read_bytes())}


def listing(md5: str) -> dict[str, str]:
    """The files of a folder and their hashes. Of the remote only this list is asked, no file."""
    found = listed(md5)
    if found is None:
        from dvc_data.hashfile.hash_info import HashInfo

        with opened("the remote cannot be read") as repo:
            repo.cloud.pull([HashInfo("md5", md5)])
        found = listed(md5)
    if found is None:
        raise UserError(f"neither the cache nor the remote holds the list of files {md5}")
    return found


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
        found = path.rglob(UNFINISHED) if path.is_dir() else path.parent.glob(UNFINISHED)
        remove(each.as_posix() for each in list(found))


def discard(files: list[File]) -> None:
    """Remove damaged outputs, and what is damaged of them in the cache: both can be had again."""
    with opened("the cache cannot be mended") as repo:
        for place in [place for file in files for place in objects(repo, file.hash)]:
            _drop_if_damaged(place)
    remove(file.path for file in files)


def remove(paths: Iterable[str]) -> None:
    """Remove outputs from the checkout; the cache keeps them. What .dvcignore names stays."""
    ignored = ignore_rules(Path())
    for path in map(Path, paths):
        files = list(files_of(path)) if path.is_dir() else [path]
        try:
            for file in files:
                if file is path or not ignored(file.as_posix()):
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{file} cannot be removed: {error.strerror}") from error
        _remove_empty(path)


def _remove_empty(path: Path) -> None:
    """Remove what is left of a folder, but for folders that still hold files."""
    folders = [each for each in (path, *path.rglob("*")) if each.is_dir()]
    for folder in sorted(folders, reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
