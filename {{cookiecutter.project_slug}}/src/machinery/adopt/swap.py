"""Put new files in the place of the project's: all of them, or none."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError, read_json, write_text
from machinery.pipeline.paths import METRICS, SOURCE
from machinery.versions import git, storage
from machinery.versions.checking import first_names

STAGING = Path(".dvc/tmp/adopt")  # never committed, and on the same disk
NEW, OLD = STAGING / "new", STAGING / "old"
POINTER = Path(f"{SOURCE}.dvc")
ADOPTED = Path("data/adopted.json")  # the hashes of the files that adopt wrote
STALE = (Path("data/make_sample.py"), Path("dvc.lock"), METRICS, Path("models"), Path("reports"))


@contextmanager
def staging() -> Iterator[Path]:
    """An empty folder for new files, removed at the end unless old files are left in it.

    Raises:
        UserError: if an earlier run was killed while it moved files.
    """
    refuse_unfinished()
    shutil.rmtree(STAGING, ignore_errors=True)
    NEW.mkdir(parents=True)
    try:
        yield NEW
    finally:
        if not _has_files(OLD):
            shutil.rmtree(STAGING)


def refuse_unfinished() -> None:
    """Refuse to run if adopt was killed while it moved files: the old ones are in OLD.

    Raises:
        UserError: with the command that restores them.
    """
    if _has_files(OLD):
        remedy = f"'cp -a {OLD}/. . && rm -r {STAGING}' restores the old files"
        raise UserError(f"adopt was killed while it wrote; {remedy}")


def refuse_edited(paths: Iterable[Path]) -> None:
    """Refuse to overwrite files that differ from the project's first ones and from adopt's.

    Raises:
        CheckError: naming the files, and data/source if DVC does not track its content.
        UserError: if git has no commit.
    """
    try:
        git.resolve("HEAD")
    except UserError:
        remedy = "type 'git init && git add . && git commit' first"
        raise UserError(f"git has no commit here to go back to; {remedy}") from None
    edited = [path.as_posix() for path in paths if _is_edited(path)]
    if SOURCE.exists():
        with storage.opened("dvc status fails") as repo:
            if not POINTER.is_file() or repo.status([str(POINTER)]):
                edited.append(f"{SOURCE} (not as {POINTER} records it)")
    if edited:
        remedy = "--force overwrites them; commit first, so that git keeps them"
        fault = f"edited since the project began, or since adopt: {first_names(edited)}"
        raise CheckError(f"{fault}; {remedy}")


def difference() -> Iterator[str]:
    """What would change, in lines of `diff -u`, and the files that would be removed."""
    for path in _files():
        old = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        new = (NEW / path).read_text(encoding="utf-8").splitlines()
        yield from unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    yield from (f"removed: {path}" for path in _stale() if path.exists())
    yield from (f"written: {path.relative_to(NEW)}" for path in (NEW / SOURCE).iterdir())


def swap() -> None:
    """Move the new files into place, and add the source to DVC.

    Restores the project if anything fails or interrupts it.
    """
    files, stale = _files(), [POINTER, *_stale()]
    hashes = {path.as_posix(): _sha256(NEW / path) for path in files}
    write_text(json.dumps({"files": hashes}, indent=2) + "\n", NEW / ADOPTED)
    new = [ADOPTED, *files, SOURCE]
    try:
        for path in (*new, *stale):
            _move(path, OLD / path)
            _move(NEW / path, path)
        with storage.opened("dvc add fails") as repo:
            repo.add([str(SOURCE)])
    except BaseException:
        for path in (*new, *stale):
            if (OLD / path).exists() or path in new and not (NEW / path).exists():
                _move(path, STAGING / "failed" / path)
            _move(OLD / path, path)
        git.run("reset", "--quiet", "--", str(POINTER))
        raise
    if OLD.exists():
        OLD.rename(STAGING / "replaced")


def _files() -> list[Path]:
    """The new files without the source and the record of hashes."""
    paths = (path.relative_to(NEW) for path in NEW.rglob("*") if path.is_file())
    return sorted(path for path in paths if not path.is_relative_to(SOURCE) and path != ADOPTED)


def _stale() -> list[Path]:
    """What no longer applies if a file other than documentation changes: sample and results."""
    pairs = ((path, NEW / path) for path in _files() if path.suffix != ".md")
    is_same = all(old.is_file() and old.read_bytes() == new.read_bytes() for old, new in pairs)
    return [] if is_same else [*STALE]


def _is_edited(path: Path) -> bool:
    if not path.is_file():
        return False
    written = read_json(ADOPTED)["files"] if ADOPTED.is_file() else {}
    if path.as_posix() in written:
        return bool(_sha256(path) != written[path.as_posix()])
    added = git.run("log", "--format=%H", "--diff-filter=A", "--", str(path)).splitlines()
    return not added or git.file(added[-1], path.as_posix()) != path.read_bytes()


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _move(path: Path, to: Path) -> None:
    if path.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)
