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

_md5 = partial(hashlib.md5, usedforsecurity=False)


class Mismatch(NamedTuple):
    """A path that is not what is recorded; `found` is None where nothing is."""

    path: Path
    expected: str
    found: str | None


def recorded(revision: str | None = None) -> list[File]:
    """Every output that DVC records at a revision, or in the checkout: in its cache or in git."""
    outs = {out.path: out for stage in read(revision).graph.stages for out in stage.outs}
    return [out for out in outs.values() if MD5.fullmatch(out.hash)]


def kept_by_dvc(files: list[File], in_git: set[str]) -> list[File]:
    """The outputs whose bytes are in DVC's cache; git keeps the others, by these names."""
    folders = {parent.as_posix() for name in in_git for parent in PurePosixPath(name).parents}
    return [file for file in files if file.path not in in_git | folders]


def mismatches(
    files: list[File], root: Path = Path(), md5: Callable[[Path], str] | None = None
) -> list[Mismatch]:
    """The files below the root that are not as recorded; `md5` may know hashes without reading."""
    ignored = ignore_rules(root)
    found = ((file, digest(root / file.path, root, ignored, md5 or md5_of)) for file in files)
    return [Mismatch(Path(file.path), file.hash, now) for file, now in found if now != file.hash]


def digest(
    path: Path, root: Path, ignored: Callable[[str], bool], md5: Callable[[Path], str]
) -> str | None:
    """DVC's hash of a file or folder; None where nothing is."""
    if not path.is_dir():
        return md5(path) if path.is_file() else None
    listing = [
        {"md5": md5(each), "relpath": each.relative_to(path).as_posix()}
        for each in files_of(path)
        if not ignored(each.relative_to(root).as_posix())
    ]
    listing.sort(key=lambda entry: entry["relpath"])
    return _md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + FOLDER


def md5_of(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """All files in the folder and below; links are followed, since DVC may link to its cache."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in names)


def ignore_rules(root: Path) -> Callable[[str], bool]:
    """Whether .dvcignore leaves a path out of the hash of its folder."""
    from pathspec import GitIgnoreSpec

    path = root / ".dvcignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return GitIgnoreSpec.from_lines(lines).match_file
