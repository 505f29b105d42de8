"""Verify a released version, pack all that serves its model into an archive, and publish that.

The bytes of the archive depend on the version alone: no clock, no user, one order of files.
"""

import gzip
import io
import json
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from machinery.comparison.side import Side
from machinery.pipeline import paths
from machinery.pipeline.files import UserError, replace
from machinery.versions import doctor, git, registry
from machinery.versions import remote as remotes
from machinery.versions.checking import Check, FixableError, first_names
from machinery.versions.release import gate
from machinery.versions.versions import read

from .job import find_job

IN_GIT = (
    *(paths.MODEL_INFO, paths.CONTRACT, paths.METRICS, paths.GATE),
    *(paths.DATA_QUALITY, paths.MODEL_CARD, paths.EXAMPLES),
)


def checks(version: str) -> list[Check]:
    """What must hold before a version is published."""
    registry.parse(version)
    checkout = doctor.Checkout()
    return [
        Check("release", lambda: _release(version)),
        Check("checkout", lambda: _checkout(version), ("release",)),
        Check("gate", gate, ("checkout",)),
        Check("pipeline", doctor.fresh, ("checkout",)),
        Check("remote", lambda: _remote(checkout)),
        Check("pushed", checkout.pushed, ("checkout", "remote")),
        Check("model", lambda: _model(version), ("release", "remote")),
    ]


def distribution(name: str, version: str, folder: Path) -> Path:
    """Write NAME-VERSION.tar.gz into the folder, with a list of sha256 sums; return its path.

    Raises UserError for a version that is not released, or whose model cannot be fetched.
    """
    commit = registry.find(version).commit
    seconds = int(git.run("log", "-1", "--format=%ct", commit))
    files = {paths.MODEL.as_posix(): _read_model(version, commit)}
    for path in map(Path.as_posix, IN_GIT):
        if (content := git.file(commit, path)) is None:
            raise UserError(f"{version} lacks {path}; release a commit with a complete run")
        files[path] = content
    date = datetime.fromtimestamp(seconds, UTC).isoformat()
    info = {"version": version, "commit": commit, "date": date}
    files["version.json"] = (json.dumps(info, indent=2) + "\n").encode()
    sums = [f"{sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()
    stem = f"{name}-{version}"
    archive = folder / f"{stem}.tar.gz"
    replace(archive, lambda part: part.write_bytes(_archive(stem, files, seconds)))
    return archive


def publish(version: str, archive: Path, place: str) -> str:
    """Publish or replace the archive where the setting PUBLISH says; return one line about it."""
    if place not in ("", "release"):
        raise UserError(f"PUBLISH is '{place}'; use 'release', or leave it empty for nowhere")
    registry.find(version)
    if not place:
        return f"{archive.name} is not published; set the variable PUBLISH to 'release' for that"
    if (job := find_job()) is None:
        raise UserError(f"this is not a CI job; publish {archive} yourself")
    notes = git.run("tag", "--list", "--format=%(contents)", version)
    return f"Published {job.publish_release(version, archive, notes)}"


def _read_model(version: str, commit: str) -> bytes:
    return Side(version, read(commit)).file(paths.MODEL).read_bytes()


def _archive(stem: str, files: dict[str, bytes], seconds: int) -> bytes:
    content = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=content, mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, text in sorted(files.items()):
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size, entry.mtime, entry.mode = len(text), seconds, 0o644
            archive.addfile(entry, io.BytesIO(text))
    return content.getvalue()


def _release(version: str) -> str:
    try:
        tag = registry.find(version)
    except UserError as error:  # such as a tag that was made by hand
        raise FixableError(str(error), "only the command 'release' makes a release") from None
    return f"{version} is registered, commit {tag.commit[:10]}"


def _checkout(version: str) -> str:
    head = git.resolve("HEAD")
    if head != registry.find(version).commit:
        raise FixableError(f"{head[:10]} is checked out, not {version}", f"git checkout {version}")
    if changes := git.changes(untracked=False):
        raise FixableError(f"{first_names(changes)} changed since {version}", "git restore .")
    return f"{version}, unchanged"


def _remote(checkout: doctor.Checkout) -> str:
    if problem := remotes.folder_elsewhere():
        raise FixableError(*problem)
    return checkout.remote()


def _model(version: str) -> str:
    commit = registry.find(version).commit
    recorded = json.loads(git.file(commit, paths.MODEL_INFO.as_posix()) or b"{}").get("sha256")
    actual = sha256(_read_model(version, commit)).hexdigest()
    if actual != recorded:
        raise FixableError(
            f"{paths.MODEL} has the sha256 {actual}, but {paths.MODEL_INFO} records {recorded}",
            "dvc repro, commit, dvc push, and release another version",
        )
    return f"sha256 {actual[:12]}… as recorded"
