"""update: a folder or git address of the template in; its machinery in the place of this one out.

`src/machinery` is replaced whole: two renames, and git keeps the old folder.
"""

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
from .manifest import MACHINERY, VERSION, edited, sums, version, write

OLD, NEW = (MACHINERY.with_name(f".machinery.{word}") for word in ("old", "new"))


@dataclass(frozen=True)
class Updated:
    """From which version to which, what changed in the machinery, and elsewhere in the template."""

    before: str
    after: str
    files: list[str]
    elsewhere: list[str]
    since: str | None  # the revision of the template that `elsewhere` counts from, if it knows one


def update(address: str, revision: str | None = None, *, force: bool = False) -> Updated:
    """Replace src/machinery by the template's.

    Raises:
        CheckError: for a tree with changes, and for a machinery that was edited here.
        UserError: for what is not the template.
    """
    if changed := git.changes():
        raise CheckError(f"not committed: {first_names(changed)}; commit it first, then update")
    before = version(MACHINERY) if (MACHINERY / VERSION).is_file() else "unknown"
    mine = edited(MACHINERY) if before != "unknown" else []
    if mine and not force:
        names = first_names([f"{MACHINERY}/{name}" for name in mine], 10)
        way = "--force (make: FORCE=1) overwrites them, git keeps them"
        raise CheckError(f"edited here: {names}; {way}")
    with _template(address, revision) as template:
        project = next((path for path in template.glob("*") if (path / MACHINERY).is_dir()), None)
        if project is None:
            raise UserError(f"{address} is not the template: no folder there has {MACHINERY}")
        machinery = project / MACHINERY
        was, now = sums(MACHINERY), sums(machinery)
        files = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        since = _known(template, before)
        elsewhere = sorted(_elsewhere(project, since))
        _replace(machinery)
    return Updated(before, version(MACHINERY), files, elsewhere, since)


@contextmanager
def _template(address: str, revision: str | None) -> Iterator[Path]:
    """The template as a folder: the one that is named, or a clone of the address."""
    if Path(address).expanduser().is_dir() and revision is None:
        yield Path(address).expanduser().resolve()
        return
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "template"
        place = Path(address).expanduser()
        source = str(place.resolve()) if place.exists() else address
        git.run("clone", "--quiet", "--", source, str(clone))
        if revision:
            git.run("checkout", "--quiet", "--detach", revision, "--", cwd=clone)
        yield clone


def _replace(machinery: Path) -> None:
    """Copy beside, then swap: what takes time, and can fail, comes first."""
    for left in (NEW, OLD):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(machinery, NEW, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    write(NEW)
    MACHINERY.rename(OLD)
    NEW.rename(MACHINERY)
    shutil.rmtree(OLD)


def _known(template: Path, before: str) -> str | None:
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


def _elsewhere(project: Path, since: str | None) -> Iterator[str]:
    """The files outside of the machinery that changed in the template since then.

    Where its history does not tell: the files that this project has otherwise, or has not, but for
    those into which the template writes the project's answers.
    """
    if since:
        changed = git.run("diff", "--name-only", "--relative", since, "--", ".", cwd=project)
        yield from (n for n in changed.splitlines() if not Path(n).is_relative_to(MACHINERY))
        return
    without_answers = ("grep", "-L", "-z", "--untracked", "-F", "-e", "{{", "--", ".")
    try:
        names = git.run(*without_answers, cwd=project).split("\0")
    except UserError:  # a folder without history
        return
    rest = (path for path in map(Path, filter(None, names)) if "{{" not in str(path))
    for here in rest:
        same = here.is_file() and here.read_bytes() == (project / here).read_bytes()
        if not same and not here.is_relative_to(MACHINERY):
            yield here.as_posix()
