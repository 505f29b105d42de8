"""storage: paths and s3:// addresses in; files found, read, put whole and moved, alike, out."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Protocol

from machinery.pipeline.files import UserError, first_line

S3 = "s3://"


class Found(NamedTuple):
    """A file, its size, and a stamp that changes with its contents."""

    path: str
    size: int
    stamp: str


class Storage(Protocol):
    """What reading and writing need; every `put` is whole or not there."""

    def find(self, path: str) -> list[Found]:
        """The file, or the files below the folder, sorted; none where there is nothing."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """A file for reading."""
        ...

    @contextmanager
    def new(self, path: str) -> Iterator[Path]:
        """A local path to write to, brought to its place at the end."""
        ...

    def move(self, path: str, target: str) -> None:
        """Put a file or folder in the place of another."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or folder, if it is there."""
        ...


def storage_of(path: str) -> Storage:
    """The storage in which the path or address lies."""
    return Bucket() if path.startswith(S3) else Disk()


def beside(path: str, name: str) -> str:
    """The file of that name in the same folder."""
    if path.startswith(S3):
        return f"{S3}{PurePosixPath(path.removeprefix(S3)).with_name(name)}"
    return str(Path(path).with_name(name))


def name_of(path: str) -> str:
    """The last part of the path."""
    return PurePosixPath(Path(path).as_posix()).name


class Disk:
    """Files of this machine."""

    def find(self, path: str) -> list[Found]:
        """The file, or the files below the folder; hidden ones and those with _ are left out."""
        top = Path(path)
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        return [self._found(file) for file in files if file.is_file() and _is_seen(file, top)]

    @staticmethod
    def _found(path: Path) -> Found:
        status = path.stat()
        return Found(str(path), status.st_size, str(status.st_mtime_ns))

    def open(self, path: str) -> IO[bytes]:
        """A file for reading."""
        return Path(path).open("rb")

    @contextmanager
    def new(self, path: str) -> Iterator[Path]:
        """A path beside it, moved to its place once the block has ended well."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            yield part
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def move(self, path: str, target: str) -> None:
        """One step, unless a folder stands there: it is moved aside first, and removed after."""
        old = beside(target, f".{name_of(target)}.old")
        if Path(target).is_dir():
            self.remove(old)
            Path(target).replace(old)
        Path(path).replace(target)
        self.remove(old)

    def remove(self, path: str) -> None:
        """Remove a file or folder, if it is there."""
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)


class Bucket:
    """Objects of S3, or of a server that speaks as it does.

    Keys, region and endpoint (AWS_ENDPOINT_URL) come from where every AWS program takes them.
    """

    def __init__(self) -> None:
        import s3fs

        # Servers that are not Amazon's give the whole object's checksum with a part of it.
        checksums = dict.fromkeys(
            ("request_checksum_calculation", "response_checksum_validation"), "when_required"
        )
        self._s3: Any = s3fs.S3FileSystem(
            use_listings_cache=False, skip_instance_cache=True, config_kwargs=checksums
        )

    def find(self, path: str) -> list[Found]:
        """The object, or the objects below the prefix."""
        listed = self._s3.find(path, detail=True)
        top = PurePosixPath(path.removeprefix(S3))
        return [
            Found(f"{S3}{key}", each["size"], str(each.get("ETag", "")))
            for key, each in sorted(listed.items())
            if _is_seen(PurePosixPath(key), top)
        ]

    def open(self, path: str) -> IO[bytes]:
        """An object for reading, some megabytes at a time."""
        return self._s3.open(path, "rb", block_size=16_000_000, cache_type="readahead")  # type: ignore[no-any-return]

    @contextmanager
    def new(self, path: str) -> Iterator[Path]:
        """A file of this machine, uploaded once the block has ended well."""
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / name_of(path)
            yield part
            self._s3.put_file(str(part), path)

    def move(self, path: str, target: str) -> None:
        """Object by object: each is whole, the folder is not there in one step."""
        old = set(self._s3.find(target))
        for each in self._s3.find(path):
            place = target.removeprefix(S3) + each.removeprefix(path.removeprefix(S3))
            self._s3.cp_file(each, place)
            old.discard(place)
        for each in [*old, *self._s3.find(path)]:
            self._s3.rm_file(each)

    def remove(self, path: str) -> None:
        """Remove an object or all below a prefix, if they are there."""
        for each in self._s3.find(path):
            self._s3.rm_file(each)


@contextmanager
def told(*paths: str) -> Iterator[None]:
    """What a disk or S3 does not do is told in one sentence."""
    faults: tuple[type[Exception], ...] = (OSError,)
    remote = [path for path in paths if path.startswith(S3)]
    if remote:
        try:
            import s3fs  # noqa: F401
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise UserError("s3:// needs the package s3fs; run pip install '.[serve]'") from None

        faults = (OSError, BotoCoreError, ClientError)
    try:
        yield
    except faults as error:
        what = f"{' and '.join(remote or paths)}: {first_line(error)}"
        cure = "look at the keys and at AWS_ENDPOINT_URL" if remote else "make room or give rights"
        raise UserError(f"{what}; {cure}, and go on with --resume") from error


def _is_seen(path: Path | PurePosixPath, top: Path | PurePosixPath) -> bool:
    return not any(part.startswith((".", "_")) for part in path.relative_to(top).parts)
