"""model_files: a model's folder in; when its files change, and copies of those accepted, out."""

import shutil
from hashlib import sha256
from pathlib import Path

from machinery.pipeline.paths import CONTRACT, DATA_QUALITY, EXAMPLES, GATE, METRICS, MODEL, MODEL_INFO, VERSION

WATCHED = (MODEL, MODEL_INFO, EXAMPLES, CONTRACT, METRICS, GATE, DATA_QUALITY, VERSION)
ACCEPTED = "accepted"

Signature = tuple[tuple[int, int, int] | None, ...]


def signature(folder: Path) -> Signature:
    """What changes when one of the model's files does: their times, sizes and places on disk."""
    return tuple(_stamp(folder / path) for path in WATCHED)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Kept:
    """Copies of the files accepted last, for workers that start while bad ones lie in their place.

    The workers share the folder; the first that accepts a model copies it. Without a folder,
    nothing is kept.
    """

    def __init__(self, shared: Path | None = None, role: str = "champion") -> None:
        self._folder = None if shared is None else shared / role

    @property
    def model(self) -> Path | None:
        """The folder of the copies, once a model has been accepted."""
        accepted = None if self._folder is None else self._folder / ACCEPTED
        return accepted.resolve() if accepted is not None and accepted.exists() else None

    def keep(self, source: Path, accepted: Signature) -> None:
        """Copy the source's files, unless they are no longer those that were accepted."""
        import fcntl

        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        copies = self._folder / sha256(repr(accepted).encode()).hexdigest()
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.model == copies.resolve():
                return
            _copy(source, copies)
            if signature(source) == accepted:
                _point(self._folder / ACCEPTED, copies)
            for old in self._folder.iterdir():
                if old.is_dir() and old.resolve() != self.model:
                    shutil.rmtree(old)


def _point(link: Path, folder: Path) -> None:
    """Let the link point to the folder beside it, in one step."""
    new = link.with_suffix(".new")
    new.unlink(missing_ok=True)  # of a worker that was killed
    new.symlink_to(folder.name)
    new.replace(link)


def _copy(source: Path, target: Path) -> None:
    for path in WATCHED:
        if (source / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)
