"""places: paths and s3:// addresses in; the files there, read and written alike, out."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow.fs as fs

from machinery.pipeline.files import UserError, first_line

S3 = "s3://"


class Place(NamedTuple):
    """A file or folder of this machine or of S3, or where one will be."""

    system: fs.FileSystem
    path: str
    remote: bool

    def __str__(self) -> str:
        """As the user writes it."""
        return f"{S3}{self.path}" if self.remote else self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def info(self) -> fs.FileInfo:
        """What is there, and how large it is."""
        return self.system.get_file_info(self.path)

    def beside(self, name: str) -> "Place":
        """The file of that name in the same folder."""
        return self._replace(path=str(PurePosixPath(self.path).with_name(name)))

    def is_within(self, other: "Place") -> bool:
        """Whether this is the other place, or in it, however both are written."""
        here, there = (
            Path("/" if each.remote else "", each.path).resolve() for each in (self, other)
        )
        return self.remote == other.remote and here.is_relative_to(there)

    def files(self, *, hidden: bool = False) -> "list[Place]":
        """The file, or all files in the folder, sorted; without those whose name has . or _ first.

        None where there is nothing.
        """
        if self.info.type == fs.FileType.File:
            return [self]
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        found = sorted(each.path for each in self.system.get_file_info(selector) if each.is_file)
        inside = {path: PurePosixPath(path).relative_to(self.path).parts for path in found}
        return [
            self._replace(path=path)
            for path, parts in inside.items()
            if hidden or not any(part.startswith((".", "_")) for part in parts)
        ]


def place(text: str) -> Place:
    """The place that a path or an s3:// address names.

    S3's keys, region and endpoint (AWS_ENDPOINT_URL) come from where every AWS program takes them.

    Raises:
        UserError: for an address of S3 where s3fs is not installed.
    """
    if text.startswith(S3):
        return Place(_s3(), text.removeprefix(S3).strip("/"), remote=True)
    return Place(fs.LocalFileSystem(), text.rstrip("/") or text, remote=False)


def _s3() -> fs.FileSystem:
    """By s3fs: Arrow's own writes what many servers that are not Amazon's refuse, and is silent."""
    try:
        import s3fs
    except ImportError:
        raise UserError("s3:// needs the package s3fs; run pip install '.[serve]'") from None
    # Such servers give the whole object's checksum with a part of it.
    checksums = dict.fromkeys(
        ("request_checksum_calculation", "response_checksum_validation"), "when_required"
    )
    system = s3fs.S3FileSystem(
        use_listings_cache=False, skip_instance_cache=True, config_kwargs=checksums
    )
    return fs.PyFileSystem(fs.FSSpecHandler(system))


@contextmanager
def work_folder(target: Place) -> Iterator[Path]:
    """A hidden folder for what is not whole yet, on the target's disk; removed at the end."""
    above = None if target.remote else Path(target.path).parent
    if above is not None:
        above.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=above, prefix=f".{target.name}.", suffix=".unfinished", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextmanager
def locked(target: Place) -> Iterator[None]:
    """While no other process has the target's folder locked; in S3, and on a disk without, at once.

    The lock ends with the process.
    """
    if target.remote or not Path(target.path).parent.is_dir():
        yield
        return
    folder = os.open(Path(target.path).parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def move(source: Path, target: Place, aside: Path) -> None:
    """Put a file or folder in its place; what stands there goes to `aside`.

    In S3 object by object: each is whole.
    """
    if not target.remote:
        if Path(target.path).is_dir():
            Path(target.path).replace(aside)
        source.replace(target.path)
        return
    old = target.files(hidden=True)
    fs.copy_files(str(source), target.path, destination_filesystem=target.system, use_threads=False)
    for place in old:
        if source.is_dir() and not (source / place.name).exists():
            place.system.delete_file(place.path)


@contextmanager
def reported(*texts: str) -> Iterator[None]:
    """What a disk or S3 does not do becomes one sentence."""
    remote = [text for text in texts if text.startswith(S3)]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not remote and not isinstance(error, OSError):  # botocore's errors are no OSError
            raise
        cure = "make room or give rights"
        if remote:
            cure = "look at the keys, at AWS_REGION and at AWS_ENDPOINT_URL"
        what = f"{' and '.join(remote or texts)}: {first_line(error)}"
        raise UserError(f"{what}; {cure}, and run again") from error
