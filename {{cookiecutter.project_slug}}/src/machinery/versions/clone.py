"""clone: for a checkout without data, whether its record is fresh and its data in the remote.

What a CI job asks: it needs git and the remote, not the data. A remote that is a folder on another
machine cannot be looked into from here: that is said, and is no fault of what is checked.
"""

import os
from pathlib import Path

from . import doctor, storage
from . import remote as remotes
from .checking import Check, SkippedError, WrongError, some
from .history import LOCK

MOVE = "move it to S3: dvc remote modify {} url s3://bucket/prefix (README.md, Data in S3)"


def folder_elsewhere() -> tuple[str, str] | None:
    """Name and folder of the default remote, if it is a folder that is not on this machine."""
    name, url = remotes.default()
    away = url and "://" not in url and not Path(url).is_dir()
    return (name, os.path.relpath(url)) if away else None


def record() -> str:
    """dvc.lock can be read; before the first run there is none."""
    if not Path(LOCK).exists():
        start = "dvc repro && git add . && git commit"
        raise SkippedError("no run is committed, so there is nothing to check yet", start)
    return doctor.record()


def pipeline() -> str:
    """No stage would run, were all data here."""
    if changed := storage.changes(without_data=True):
        remedy = "dvc pull && dvc repro && git add . && git commit && dvc push"
        raise WrongError(f"dvc.lock is stale at {some(changed, 1)}", remedy)
    return "dvc.lock is fresh"


def remote() -> str:
    """The default remote answers; a folder on another machine cannot."""
    if away := folder_elsewhere():
        name, folder = away
        why = f"{folder} is a folder on another machine: what is in it cannot be seen from here"
        raise SkippedError(why, MOVE.format(name))
    return doctor.remote()


def no_remote() -> str:
    """The remote is not to be asked."""
    raise SkippedError("no secret is given to the code of a fork")


def checks(*, with_remote: bool = True) -> list[Check]:
    """The checks that need no data."""
    return [
        *doctor.BASICS,
        Check("lock", record, ("git",)),
        *doctor.TEXTS,
        Check("dvc", doctor.dvc, ("lock",)),
        Check("pipeline", pipeline, ("dvc",)),
        Check("remote", remote if with_remote else no_remote, ("dvc",)),
        Check("pushed", doctor.pushed, ("remote",)),
    ]
