"""Which files of the machinery were edited in this project.

`src/machinery/VERSION` contains the template's version and, below it, the sha256 of every file as
generated or updated. Standard library only: the template's hook calls this before anything is
installed.
"""

from hashlib import sha256
from pathlib import Path

MACHINERY = Path("src/machinery")
VERSION = "VERSION"
IGNORED = ("__pycache__", ".")  # what tools leave behind


def check() -> str:
    """The version of the machinery, and its edited files: an edit is not a failure."""
    if not (MACHINERY / VERSION).is_file():
        return f"{MACHINERY / VERSION} is missing, so edits are unknown"
    changes = edited(MACHINERY)
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    state = f"edited here: {', '.join(changes[:3])}{more}" if changes else "as the template has it"
    return f"{version(MACHINERY)}, {state}"


def version(folder: Path) -> str:
    """The template's version of this folder."""
    return (folder / VERSION).read_text(encoding="utf-8").partition("\n")[0]


def edited(folder: Path) -> list[str]:
    """The files that were changed, added or removed since VERSION was written."""
    _, *lines = (folder / VERSION).read_text(encoding="utf-8").splitlines()
    recorded = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    return differences(recorded, sums(folder))


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names with another sum, or with none on one side."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def write(folder: Path) -> None:
    """Record the sums of the files."""
    lines = [version(folder), *(f"{digest}  {name}" for name, digest in sums(folder).items())]
    (folder / VERSION).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def sums(folder: Path) -> dict[str, str]:
    """The sha256 of each file, sorted by name."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    counted = (path for path in files if not any(part.startswith(IGNORED) for part in path.parts))
    names = sorted(path.as_posix() for path in counted)
    return {n: sha256((folder / n).read_bytes()).hexdigest() for n in names if n != VERSION}
