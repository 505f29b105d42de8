"""swap: a folder of new files in; those files in the place of the project's, all or none, out."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path

from machinery.pipeline.files import CheckError, UserError, read_json, write_text
from machinery.pipeline.paths import METRICS, SOURCE
from machinery.versions import git, storage
from machinery.versions.checking import first_names

PLACE = Path(".dvc/tmp/adopt")  # in no commit, and on the same disk
NEW, OLD = PLACE / "new", PLACE / "old"
POINTER = Path(f"{SOURCE}.dvc")
ADOPTED = Path("data/adopted.json")  # the hashes of what adopt wrote
STALE = (Path("data/make_sample.py"), Path("dvc.lock"), METRICS, Path("models"), Path("reports"))


@contextmanager
def place() -> Iterator[Path]:
    """An empty folder for new files, which is gone in the end, unless former ones are left there.

    Raises:
        UserError: where they are.
    """
    refuse_unfinished()
    shutil.rmtree(PLACE, ignore_errors=True)
    NEW.mkdir(parents=True)
    try:
        yield NEW
    finally:
        if not _has_files(OLD):
            shutil.rmtree(PLACE)


def refuse_unfinished() -> None:
    """Refuse to go on where adopt was killed while it moved files: the former ones lie in OLD.

    Raises:
        UserError: with the command that brings them back.
    """
    if _has_files(OLD):
        remedy = f"'cp -a {OLD}/. . && rm -r {PLACE}' brings the former files back"
        raise UserError(f"adopt was killed while it wrote; {remedy}")


def refuse_edited(paths: Iterable[Path]) -> None:
    """Refuse to overwrite what is neither what the project began with nor what adopt wrote.

    Raises:
        CheckError: naming the files, and source files that DVC does not keep.
        UserError: where git has no commit.
    """
    try:
        git.resolve("HEAD")
    except UserError:
        remedy = "type 'git init && git add . && git commit' first"
        raise UserError(f"git has no commit here to go back to; {remedy}") from None
    mine = [path.as_posix() for path in paths if _is_edited(path)]
    if SOURCE.exists():
        with storage.opened("dvc status fails") as repo:
            if not POINTER.is_file() or repo.status([str(POINTER)]):
                mine.append(f"{SOURCE} (not as {POINTER} records it)")
    if mine:
        remedy = "--force overwrites them; commit first, so that git keeps them"
        names = first_names(mine)
        raise CheckError(f"edited since the project began, or since adopt: {names}; {remedy}")


def difference() -> Iterator[str]:
    """What would change, line by line as `diff -u` has it, and the files that would go."""
    for path in _files():
        old = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        new = (NEW / path).read_text(encoding="utf-8").splitlines()
        yield from unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    yield from (f"removed: {path}" for path in _gone() if path.exists())
    yield from (f"written: {path.relative_to(NEW)}" for path in (NEW / SOURCE).iterdir())


def swap() -> None:
    """Put the new files into the place of the old ones, and the source into DVC.

    Whatever fails or interrupts it: the project is as it was.
    """
    files, gone = _files(), [POINTER, *_gone()]
    sums = {path.as_posix(): sha256((NEW / path).read_bytes()).hexdigest() for path in files}
    write_text(json.dumps({"files": sums}, indent=2) + "\n", NEW / ADOPTED)
    new = [ADOPTED, *files, SOURCE]
    try:
        for path in (*new, *gone):
            _move(path, OLD / path)
            _move(NEW / path, path)
        with storage.opened("dvc add fails") as repo:
            repo.add([str(SOURCE)])
    except BaseException:
        for path in (*new, *gone):
            if (OLD / path).exists() or path in new and not (NEW / path).exists():
                _move(path, PLACE / "failed" / path)
            _move(OLD / path, path)
        git.run("reset", "--quiet", "--", str(POINTER))
        raise
    if OLD.exists():
        OLD.rename(PLACE / "replaced")


def _files() -> list[Path]:
    """What is written beside the source and the record of it."""
    paths = (path.relative_to(NEW) for path in NEW.rglob("*") if path.is_file())
    return sorted(each for each in paths if not each.is_relative_to(SOURCE) and each != ADOPTED)


def _gone() -> list[Path]:
    """How the sample was made, and what a run came to, where the next will come to another."""
    pairs = ((path, NEW / path) for path in _files() if path.suffix != ".md")
    is_same = all(old.is_file() and old.read_bytes() == new.read_bytes() for old, new in pairs)
    return [] if is_same else [*STALE]


def _is_edited(path: Path) -> bool:
    if not path.is_file():
        return False
    written: Mapping[str, str] = read_json(ADOPTED)["files"] if ADOPTED.is_file() else {}
    if path.as_posix() in written:
        return sha256(path.read_bytes()).hexdigest() != written[path.as_posix()]
    added = git.run("log", "--format=%H", "--diff-filter=A", "--", str(path)).splitlines()
    return not added or git.file(added[-1], path.as_posix()) != path.read_bytes()


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _move(path: Path, to: Path) -> None:
    if path.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)
