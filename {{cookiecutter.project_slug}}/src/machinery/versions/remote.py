"""remote: what DVC's default remote lacks, or why it does not answer and what to type."""

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

MOVE = "move it to S3: dvc remote modify {} url s3://bucket/prefix (docs/guide/s3.md)"
NO_BUCKET = "bucket {} does not exist"
REFUSED = "access.?key|credential|denied|forbidden|permission|signature"
UNREACHED = "connect|endpoint|resolve|time.?out"
REMEDIES = (  # what a failure says, and what to type
    (NO_BUCKET.format(".*"), "create it, or dvc remote modify {} url s3://BUCKET/PREFIX"),
    (REFUSED, "set the credentials (docs/guide/s3.md)"),
    (UNREACHED, "start it, check the network, or dvc remote modify {} endpointurl URL"),
    ("", "dvc status --cloud --verbose, which tells more"),
)


def default() -> tuple[str, str]:
    """Name and address of the default remote; both are empty where there is none."""
    with storage.opened("the project cannot be opened") as repo:
        name = str(repo.config["core"].get("remote") or "")
        return name, str(repo.config["remote"].get(name, {}).get("url", ""))


def folder_elsewhere() -> tuple[str, str] | None:
    """That the default remote is a folder of another machine, if it is one, and what to type."""
    name, url = default()
    if not url or "://" in url or Path(url).is_dir():
        return None
    return f"{os.path.relpath(url)} is a folder on another machine", MOVE.format(name)


def lacking() -> list[str]:
    """What it lacks, as it is now (`dvc data status --not-in-remote`): files, folders.

    Raises FixableError where it cannot be asked.
    """
    name, url = default()
    try:
        with storage.opened("the remote cannot be asked") as repo:
            if url.startswith("s3://"):
                _find_bucket(repo, name, urlsplit(url).netloc)
            status = repo.data_status(not_in_remote=True, remote_refresh=True, granular=True)
    except UserError as error:
        said = str(error)
        remedy = next(do for why, do in REMEDIES if re.search(why, said, re.IGNORECASE))
        raise FixableError(said, remedy.format(name)) from error
    return sorted(path.rstrip("/") for path in status["not_in_remote"])


def _find_bucket(repo: "Repo", name: str, bucket: str) -> None:
    """Raises UserError for a bucket of S3 that is not there: DVC takes it for an empty one."""
    try:
        client = repo.cloud.get_remote_odb(name).fs.fs
        client.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
    except FileNotFoundError:
        raise UserError(NO_BUCKET.format(bucket)) from None
