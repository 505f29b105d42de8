"""manifest: the folder of the machinery in; which of its files were edited here out.

`src/machinery/VERSION` has the template's version, and below it the sha256 of every file as the
template made it, written when the project is generated or updated. Standard library only: the
template's hook calls this before anything is installed.
"""

from hashlib import sha256
from pathlib import Path

MACHINERY = Path("src/machinery")
VERSION = "VERSION"
SKIPPED = ("__pycache__", ".")  # what tools leave


def check() -> str:
    """Which version of the machinery this is, and whether it was edited here: that is no fault."""
    if not (MACHINERY / VERSION).is_file():
        return f"{MACHINERY / VERSION} is not there, so edits are unknown"
    changed = edited(MACHINERY)
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    said = f"edited here: {', '.join(changed[:3])}{more}" if changed else "as the template has it"
    return f"{version(MACHINERY)}, {said}"


def version(folder: Path) -> str:
    """The template's version that the folder is of."""
    return (folder / VERSION).read_text(encoding="utf-8").partition("\n")[0]


def edited(folder: Path) -> list[str]:
    """The files that were changed, added or removed since VERSION was written."""
    _, *lines = (folder / VERSION).read_text(encoding="utf-8").splitlines()
    was = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    now = sums(folder)
    return sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))


def write(folder: Path) -> None:
    """Record the files as they are now."""
    lines = [version(folder), *(f"{digest}  {name}" for name, digest in sums(folder).items())]
    (folder / VERSION).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def sums(folder: Path) -> dict[str, str]:
    """The sha256 of each file, in the order of their names."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    counted = (path for path in files if not any(part.startswith(SKIPPED) for part in path.parts))
    names = sorted(path.as_posix() for path in counted)
    return {n: sha256((folder / n).read_bytes()).hexdigest() for n in names if n != VERSION}
