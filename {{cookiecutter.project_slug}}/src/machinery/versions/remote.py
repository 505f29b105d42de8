"""Ask DVC's default remote what it lacks; where it does not answer, name the command to type."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from machinery.pipeline.files import UserError

from . import storage
from .checking import FixableError

if TYPE_CHECKING:
    from dvc.repo import Repo

NO_BUCKET = "bucket {} does not exist"
REFUSED = "access.?key|credential|denied|forbidden|permission|signature"
UNREACHED = "connect|endpoint|resolve|time.?out"
REMEDIES = {  # a pattern of the error: its remedy
    NO_BUCKET.format(".*"): "create it, or dvc remote modify {} url s3://BUCKET/PREFIX",
    REFUSED: "set the credentials (docs/guide/s3.md)",
    UNREACHED: "start it, check the network, or dvc remote modify {} endpointurl URL",
    "": "dvc status --cloud --verbose, which tells more",
}


def default() -> tuple[str, str]:
    """Name and address of the default remote; both are empty if there is none."""
    with storage.opened("the project cannot be opened") as repo:
        name = str(repo.config["core"].get("remote") or "")
        return name, str(repo.config["remote"].get(name, {}).get("url", ""))


def folder_elsewhere() -> tuple[str, str] | None:
    """Reason and remedy if the default remote is a folder on another machine."""
    name, url = default()
    if not url or "://" in url or Path(url).is_dir():
        return None
    remedy = f"move it to S3: dvc remote modify {name} url s3://bucket/prefix (docs/guide/s3.md)"
    return f"{os.path.relpath(url)} is a folder on another machine", remedy


def missing() -> list[str]:
    """The recorded files and folders that the remote lacks (`dvc data status --not-in-remote`).

    Raises FixableError if it cannot be asked.
    """
    name, url = default()
    try:
        with storage.opened("the remote cannot be asked") as repo:
            if url.startswith("s3://"):
                _require_bucket(repo, name, urlsplit(url).netloc)
            status = repo.data_status(not_in_remote=True, remote_refresh=True, granular=True)
    except UserError as error:
        reason = str(error)
        remedies = (text for pattern, text in REMEDIES.items() if re.search(pattern, reason, re.I))
        raise FixableError(reason, next(remedies).format(name)) from error
    return sorted(path.rstrip("/") for path in status["not_in_remote"])


def _require_bucket(repo: "Repo", name: str, bucket: str) -> None:
    """Raise UserError for a bucket of S3 that does not exist: DVC takes it for an empty one."""
    try:
        client = repo.cloud.get_remote_odb(name).fs.fs
        client.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
    except FileNotFoundError:
        raise UserError(NO_BUCKET.format(bucket)) from None
