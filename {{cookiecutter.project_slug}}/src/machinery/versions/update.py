"""Replace src/machinery by that of the template, from a folder or a git address."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from machinery.pipeline.files import CheckError, UserError

from . import git
from .checking import first_names
from .manifest import MACHINERY, VERSION, differences, edited, sums, version, write

OLD, NEW = (MACHINERY.with_name(f".machinery.{word}") for word in ("old", "new"))


@dataclass(frozen=True)
class Update:
    """What changed in the machinery, and elsewhere in the template since a revision (if known)."""

    before: str
    after: str
    files: list[str]
    elsewhere: list[str]
    since: str | None


def update(address: str, revision: str | None = None, *, force: bool = False) -> Update:
    """Replace src/machinery by the template's.

    Raises:
        CheckError: if the tree has changes, or the machinery was edited here.
        UserError: if the address is not the template.
    """
    if changes := git.changes():
        raise CheckError(f"not committed: {first_names(changes)}; commit it first, then update")
    before = version(MACHINERY) if (MACHINERY / VERSION).is_file() else "unknown"
    edits = edited(MACHINERY) if before != "unknown" else []
    if edits and not force:
        names = first_names([f"{MACHINERY}/{name}" for name in edits], 10)
        remedy = "--force (make: FORCE=1) overwrites them, git keeps them"
        raise CheckError(f"edited here: {names}; {remedy}")
    with _template(address, revision) as template:
        project = next((path for path in template.glob("*") if (path / MACHINERY).is_dir()), None)
        if project is None:
            raise UserError(f"{address} is not the template: no folder there has {MACHINERY}")
        files = differences(sums(MACHINERY), sums(project / MACHINERY))
        since = _origin(template, before)
        elsewhere = _elsewhere(project, since)
        _replace(project / MACHINERY)
    return Update(before, version(MACHINERY), files, elsewhere, since)


@contextmanager
def _template(address: str, revision: str | None) -> Iterator[Path]:
    """The template as a folder: the named one, or a clone."""
    place = Path(address).expanduser()
    if place.is_dir() and revision is None:
        yield place.resolve()
        return
    with TemporaryDirectory() as folder:
        source = str(place.resolve()) if place.exists() else address
        git.run("clone", "--quiet", "--", source, folder)
        if revision:
            git.run("checkout", "--quiet", "--detach", revision, "--", cwd=Path(folder))
        yield Path(folder)


def _replace(machinery: Path) -> None:
    """Copy, then swap by two renames: the slow part, which can fail, comes first."""
    for left in (NEW, OLD):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(machinery, NEW, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    write(NEW)
    MACHINERY.rename(OLD)
    NEW.rename(MACHINERY)
    shutil.rmtree(OLD)


def _origin(template: Path, before: str) -> str | None:
    """The commit or tag that this project was made from, if the template's history has it."""
    cruft = Path(".cruft.json")
    names = [json.loads(cruft.read_text(encoding="utf-8"))["commit"]] if cruft.is_file() else []
    for name in [*names, f"v{before}"]:
        try:
            git.run("cat-file", "-e", f"{name}^{{commit}}", cwd=template)
        except UserError:
            continue
        return str(name)
    return None


def _elsewhere(project: Path, since: str | None) -> list[str]:
    """The files outside of the machinery that changed in the template since a revision.

    If that is unknown, those that differ here. Files that git ignores do not count.
    """
    if since:
        changed = git.run("diff", "--name-only", "--relative", since, "--", ".", cwd=project)
        paths = [Path(name) for name in changed.splitlines()]
    else:
        files = [path for path in _files(project) if (project / path).is_file()]
        paths = [path for path in files if _differs(path, project / path)]
    return sorted(path.as_posix() for path in paths if not path.is_relative_to(MACHINERY))


def _files(project: Path) -> list[Path]:
    try:
        return [Path(name) for name in git.files(None, project)]
    except UserError:  # a folder without history
        return [path.relative_to(project) for path in project.rglob("*")]


def _differs(path: Path, original: Path) -> bool:
    """Whether a file of the template differs here, if it has none of the project's answers."""
    text = original.read_bytes()
    if "{{" in str(path) or b"{{" in text:
        return False
    return not path.is_file() or path.read_bytes() != text
