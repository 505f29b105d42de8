"""hashes: what dvc.lock and the .dvc files record in; what is not as recorded out.

The hashes are DVC's: the md5 of a file; of a folder, the md5 of the list of its files, with `.dir`
at the end (https://doc.dvc.org/user-guide/project-structure/internal-files).
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .graph import File
from .versions import read

MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
FOLDER = ".dir"

md5 = partial(hashlib.md5, usedforsecurity=False)


class Mismatch(NamedTuple):
    """A path that is not what is recorded; `actual` is None where nothing is."""

    path: Path
    expected: str
    actual: str | None


def recorded(revision: str | None = None) -> list[File]:
    """Every output that DVC records at a revision, or in the checkout: in its cache or in git."""
    outs = {out.path: out for stage in read(revision).graph.stages for out in stage.outs}
    return [out for out in outs.values() if MD5.fullmatch(out.hash)]


def kept_by_dvc(files: list[File], in_git: set[str]) -> list[File]:
    """The outputs whose bytes are in DVC's cache; git keeps the others, by these names."""
    folders = {parent.as_posix() for name in in_git for parent in PurePosixPath(name).parents}
    return [file for file in files if file.path not in in_git | folders]


def mismatches(files: list[File]) -> list[Mismatch]:
    """The files of the checkout that are not as recorded."""
    digests = ((file, digest(Path(file.path))) for file in files)
    return [Mismatch(Path(file.path), file.hash, now) for file, now in digests if now != file.hash]


def digest(path: Path) -> str | None:
    """DVC's hash of a file or folder of the checkout; None where nothing is."""
    if path.is_dir():
        return md5(listing(path)).hexdigest() + FOLDER
    return md5_of(path) if path.is_file() else None


def listing(folder: Path) -> bytes:
    """DVC's list of the files in a folder, as its cache keeps it."""
    ignored = ignore_rules()
    files = [
        {"md5": md5_of(path), "relpath": path.relative_to(folder).as_posix()}
        for path in files_of(folder)
        if not ignored(path.as_posix())
    ]
    return json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True).encode()


def md5_of(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, md5).hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """All files in the folder and below; links are followed, since DVC may link to its cache."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in names)


def ignore_rules() -> Callable[[str], bool]:
    """Whether .dvcignore leaves a path out of the hash of its folder."""
    from pathspec import GitIgnoreSpec

    path = Path(".dvcignore")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return GitIgnoreSpec.from_lines(lines).match_file
