"""Read and write files in local paths and s3:// addresses alike."""

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


class Location(NamedTuple):
    """A file or folder, local or in S3, which need not exist."""

    system: fs.FileSystem
    path: str
    remote: bool

    def __str__(self) -> str:
        """The location as the user writes it."""
        return f"{S3}{self.path}" if self.remote else self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def info(self) -> fs.FileInfo:
        """Type, size and modification time."""
        return self.system.get_file_info(self.path)

    def is_within(self, other: "Location") -> bool:
        """Whether this is the other location or below it, however both are written."""
        here, there = (
            Path("/" if location.remote else "", location.path).resolve()
            for location in (self, other)
        )
        return self.remote == other.remote and here.is_relative_to(there)

    def files(self, *, hidden: bool = False) -> "list[Location]":
        """The file, or all files in the folder, sorted; empty if there is nothing.

        Files whose path in the folder has a part that starts with . or _ are hidden.
        """
        if self.info.type == fs.FileType.File:
            return [self]
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        infos = self.system.get_file_info(selector)
        return [
            self._replace(path=path)
            for path in sorted(info.path for info in infos if info.is_file)
            if hidden or not _is_hidden(PurePosixPath(path).relative_to(self.path))
        ]


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def locate(text: str) -> Location:
    """The location of a path or an s3:// address.

    Credentials, region and endpoint (AWS_ENDPOINT_URL) of S3 are found as in every AWS program.

    Raises:
        UserError: for an s3:// address if s3fs is not installed.
    """
    if text.startswith(S3):
        return Location(_s3(), text.removeprefix(S3).strip("/"), remote=True)
    return Location(fs.LocalFileSystem(), text.rstrip("/") or text, remote=False)


def _s3() -> fs.FileSystem:
    """S3 through s3fs, since many servers other than Amazon's refuse what Arrow's own writes."""
    try:
        import s3fs
    except ImportError:
        raise UserError("s3:// needs the package s3fs; run pip install '.[serve]'") from None
    # Such servers return the checksum of the whole object with a part of it.
    checksums = dict.fromkeys(
        ("request_checksum_calculation", "response_checksum_validation"), "when_required"
    )
    system = s3fs.S3FileSystem(
        use_listings_cache=False, skip_instance_cache=True, config_kwargs=checksums
    )
    return fs.PyFileSystem(fs.FSSpecHandler(system))


@contextmanager
def work_folder(target: Location) -> Iterator[Path]:
    """A hidden folder for unfinished output, on the target's disk; removed at the end."""
    parent = None if target.remote else Path(target.path).parent
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=parent, prefix=f".{target.name}.", suffix=".unfinished", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextmanager
def locked(target: Location) -> Iterator[None]:
    """Hold a lock on the target's folder; no lock in S3 and on file systems without locks."""
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


def move(source: Path, target: Location, backup: Path) -> None:
    """Move a file or folder to its target; a folder that it replaces goes to `backup`.

    In S3 each object is replaced by itself.
    """
    if not target.remote:
        if Path(target.path).is_dir():
            Path(target.path).replace(backup)
        source.replace(target.path)
        return
    old = target.files(hidden=True)
    fs.copy_files(str(source), target.path, destination_filesystem=target.system, use_threads=False)
    for file in old:
        if source.is_dir() and not (source / file.name).exists():
            file.system.delete_file(file.path)


@contextmanager
def user_errors(*texts: str) -> Iterator[None]:
    """Turn errors of the disk or of S3 into one sentence."""
    remote = [text for text in texts if text.startswith(S3)]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not remote and not isinstance(error, OSError):  # errors of botocore are not OSErrors
            raise
        remedy = "make room or grant access"
        if remote:
            remedy = "check the credentials, AWS_REGION and AWS_ENDPOINT_URL"
        fault = f"{' and '.join(remote or texts)}: {first_line(error)}"
        raise UserError(f"{fault}; {remedy}, and run again") from error
