"""distribution: a released version in; an archive with all that serves its model out.

The bytes of the archive depend on the version alone: no clock, no user, one order.
"""

import gzip
import io
import json
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from machinery.comparison.side import Side
from machinery.pipeline.files import UserError, replace
from machinery.pipeline.paths import (
    CONTRACT,
    DATA_QUALITY,
    EXAMPLES,
    GATE,
    METRICS,
    MODEL,
    MODEL_CARD,
    MODEL_INFO,
)
from machinery.versions import doctor, git, registry
from machinery.versions import remote as remotes
from machinery.versions.checking import Check, WrongError, some
from machinery.versions.release import gate
from machinery.versions.versions import read

IN_GIT = (MODEL_INFO, CONTRACT, METRICS, GATE, DATA_QUALITY, MODEL_CARD, EXAMPLES)
SUMS = "SHA256SUMS"


def checks(version: str) -> list[Check]:
    """What must hold before a version is published."""
    registry.parse(version)
    return [
        Check("release", lambda: _release(version)),
        Check("checkout", lambda: _checkout(version), ("release",)),
        Check("gate", gate, ("checkout",)),
        Check("pipeline", doctor.fresh, ("checkout",)),
        Check("remote", _remote),
        Check("pushed", doctor.pushed, ("checkout", "remote")),
        Check("model", lambda: _model(version), ("release", "remote")),
    ]


def distribution(name: str, version: str, folder: Path) -> Path:
    """Write NAME-VERSION.tar.gz into the folder, with a list of sha256 in it; return its path.

    Raises UserError for what is not released, or where the model cannot be had.
    """
    tag = registry.find(version)
    files = _files(version, tag.commit)
    sums = [f"{sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items())]
    files[SUMS] = "".join(sums).encode()
    seconds = int(git.run("log", "-1", "--format=%ct", tag.commit))
    stem = f"{name}-{version}"
    archive = folder / f"{stem}.tar.gz"
    replace(archive, lambda part: part.write_bytes(_archive(stem, files, seconds)))
    return archive


def model(version: str) -> Path:
    """Where the model file of a version lies: here, in the cache, or fetched from the remote."""
    return Side(version, read(registry.find(version).commit)).file(MODEL)


def _files(version: str, commit: str) -> dict[str, bytes]:
    paths = [path.as_posix() for path in IN_GIT]
    texts = {path: git.file(commit, path) for path in paths}
    if absent := [path for path in paths if texts[path] is None]:
        raise UserError(f"{version} lacks {some(absent)}; release a commit with a whole run")
    files = {path: text for path, text in texts.items() if text is not None}
    files[MODEL.as_posix()] = model(version).read_bytes()
    moment = datetime.fromtimestamp(int(git.run("log", "-1", "--format=%ct", commit)), UTC)
    about = {"version": version, "commit": commit, "date": moment.isoformat()}
    files["version.json"] = (json.dumps(about, indent=2) + "\n").encode()
    return files


def _archive(stem: str, files: dict[str, bytes], seconds: int) -> bytes:
    whole = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=whole, mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size, entry.mtime, entry.mode = len(content), seconds, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def _release(version: str) -> str:
    try:
        tag = registry.find(version)
    except UserError as error:
        raise WrongError(str(error), "tags of releases are made by the release command") from None
    return f"{version} is registered, commit {tag.commit[:10]}"


def _checkout(version: str) -> str:
    here, commit = git.resolve("HEAD"), registry.find(version).commit
    if here != commit:
        raise WrongError(f"{here[:10]} is checked out, not {version}", f"git checkout {version}")
    if changed := git.changes(untracked=False):
        raise WrongError(f"{some(changed)} changed since {version}", "git restore .")
    return f"{version}, unchanged"


def _remote() -> str:
    if found := remotes.folder_elsewhere():
        name, folder = found
        raise WrongError(f"{folder} is a folder on another machine", remotes.MOVE.format(name))
    return doctor.remote()


def _model(version: str) -> str:
    info = json.loads(git.file(registry.find(version).commit, MODEL_INFO.as_posix()) or b"{}")
    actual = sha256(model(version).read_bytes()).hexdigest()
    if actual != info.get("sha256"):
        what = f"{MODEL} has the sha256 {actual}, and {MODEL_INFO} says {info.get('sha256')}"
        raise WrongError(what, "dvc repro, commit, dvc push, and release another version")
    return f"sha256 {actual[:12]}… as recorded"
