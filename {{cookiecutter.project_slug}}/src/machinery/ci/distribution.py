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
    commit = registry.find(version).commit
    seconds = int(git.run("log", "-1", "--format=%ct", commit))
    files = _files(version, commit)
    moment = datetime.fromtimestamp(seconds, UTC).isoformat()
    about = {"version": version, "commit": commit, "date": moment}
    files["version.json"] = (json.dumps(about, indent=2) + "\n").encode()
    sums = [f"{sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()
    stem = f"{name}-{version}"
    archive = folder / f"{stem}.tar.gz"
    replace(archive, lambda part: part.write_bytes(_archive(stem, files, seconds)))
    return archive


def _model_of(version: str, commit: str) -> Path:
    """Where the model file of a version lies: here, in the cache, or fetched from the remote."""
    return Side(version, read(commit)).file(MODEL)


def _files(version: str, commit: str) -> dict[str, bytes]:
    paths = [path.as_posix() for path in IN_GIT]
    texts = {path: git.file(commit, path) for path in paths}
    if absent := [path for path in paths if texts[path] is None]:
        raise UserError(f"{version} lacks {some(absent)}; release a commit with a whole run")
    files = {path: text for path, text in texts.items() if text is not None}
    return files | {MODEL.as_posix(): _model_of(version, commit).read_bytes()}


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
    if away := remotes.folder_elsewhere():
        raise WrongError(*away)
    return doctor.remote()


def _model(version: str) -> str:
    commit = registry.find(version).commit
    info = json.loads(git.file(commit, MODEL_INFO.as_posix()) or b"{}")
    actual = sha256(_model_of(version, commit).read_bytes()).hexdigest()
    if actual != info.get("sha256"):
        what = f"{MODEL} has the sha256 {actual}, and {MODEL_INFO} says {info.get('sha256')}"
        raise WrongError(what, "dvc repro, commit, dvc push, and release another version")
    return f"sha256 {actual[:12]}… as recorded"
