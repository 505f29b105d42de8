"""retrain: a later end of the data window in; a branch with its run, and the report, out.

No clock decides: whether to retrain is the rule's answer in what `monitor` found, and the new end
is given, or that of the newest window with outcomes, or counted from the end that params.yaml has.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from machinery.pipeline import params
from machinery.pipeline.data import contract
from machinery.pipeline.files import CheckError, UserError, read_json, read_table, write_text
from machinery.pipeline.params import Gate, Ingest, Monitor
from machinery.pipeline.paths import LOGGED, PARAMS, RAW, SOURCE
from machinery.versions import git, storage
from machinery.versions import remote as remotes
from machinery.versions.checking import some
from machinery.versions.versions import read

from . import window
from .shell import commit, dvc, require_clean

RUN = ("repro", "--pull", "--allow-missing")
MONITORING = Path("reports/monitoring/monitoring.json")
IMPORT, IMPORTED = Path("data/log.dvc"), Path("data/log")  # the prediction log of a service
LOCAL = Path("logs/predictions")  # and that of one on this machine
ADDED = Path("data/source.dvc")


class NothingToDo(Exception):  # noqa: N818
    """The reason why there is nothing to retrain on."""

    begins = "Nothing to retrain on"


class NoNeed(NothingToDo):
    """The reason why the rule says no."""

    begins = "No need to retrain"


@dataclass(frozen=True)
class Retraining:
    """A run of a later window, to be one commit on a branch of its own."""

    base: str  # the branch that it starts from
    start: str  # its commit
    end: datetime  # of the later window
    log: Path | None = None  # the prediction log whose labelled rows are taken in

    @property
    def branch(self) -> str:
        return f"retrain/{window.name(self.end)}".replace(":", "")

    @property
    def title(self) -> str:
        return f"Retrain on data until {window.name(self.end)}"


def plan(
    end: datetime | None, months: int | None, log: Path | None = None, *, anyway: bool = False
) -> Retraining:
    """The retraining of the branch that is checked out, if the rule says yes.

    Args:
        end: of the later window; None for the one of the newest monitored window with outcomes.
        months: after the present end, in its place.
        log: folder of the prediction log; None for data/log, where data/log.dvc imports it, or for
            logs/predictions, where that was monitored.
        anyway: whatever the rule says.

    Raises:
        NothingToDo: where the rule says no, or there is no later window.
    """
    base, start = _base(), git.resolve("HEAD")
    require_clean(except_for=IMPORT.as_posix())
    found = _monitored(anyway=anyway)
    if log is None and IMPORT.exists():
        log = IMPORTED
    elif log is None and found and LOCAL.is_dir():
        log = LOCAL
    if log and not _may_take_in():
        log = None
    end = _end(end, months, None if log is None else found, anyway=anyway)
    if away := remotes.folder_elsewhere():
        raise CheckError("; ".join(away))
    return Retraining(base, start, end, log)


def retrain(planned: Retraining) -> str:
    """Move the end of the data window, run the pipeline, commit it on a branch, push the data.

    Returns a sentence about the logged rows that were taken in; empty where none were.

    Raises NothingToDo where the later window would hold too few new rows, or more than there are.
    """
    with _undone_on_failure(planned):
        taken = _take_in(planned)
        _move(PARAMS.read_text(encoding="utf-8"), planned.end)
        dvc(*RUN)
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "-B", planned.branch)
        commit(planned.title)
        dvc("push")
    return taken


def _base() -> str:
    base = git.branch() or os.environ.get("CI_COMMIT_BRANCH")
    if not base:
        raise UserError("no branch is checked out; 'git checkout main' names what to retrain")
    return base


def _monitored(*, anyway: bool) -> dict[str, Any] | None:
    """What `monitor` found, if its rule says to retrain."""
    if not MONITORING.exists():
        print(f"There is no {MONITORING}: nothing is monitored, so no rule is asked.")
        return None
    found: dict[str, Any] = read_json(MONITORING)
    answer = found["retrain"]
    if not answer["answer"] and not anyway:
        raise NoNeed(f"{answer['why']}. The rule: {answer['rule']}; --anyway retrains nevertheless")
    print(f"The rule says {'yes' if answer['answer'] else 'no'}: {answer['why']}.")
    return found


def _may_take_in() -> bool:
    """Whether rows of the prediction log can keep the contract. Refuses a source with changes."""
    from . import labelled

    described = contract.load()
    if unfit := labelled.unfit(described):
        why = f"mark {some(unfit)} nullable: true in contract.yaml, which the log does not have"
        if hidden := [name for name in unfit if name in described.row_columns]:
            why = f"{some(hidden)} tells rows apart, and is personal, so the log has it hashed"
        print(f"No rows of the prediction log are taken in; {why}.")
        return False
    if f"{SOURCE} has changed" in storage.changes().get(ADDED.as_posix(), ()):
        what = f"{SOURCE} has changes that are not recorded; 'dvc add {SOURCE}' and commit"
        raise UserError(f"{what}, or 'dvc checkout {SOURCE}'")
    return True


def _end(
    end: datetime | None, months: int | None, found: dict[str, Any] | None, *, anyway: bool
) -> datetime:
    now = params.load(Ingest).until
    if contract.load().time is None:
        raise NothingToDo("contract.yaml names no time column, so there is no window to move")
    if end is None:
        if now is None:
            raise NothingToDo("ingest.until is null, so the window takes all of data/source")
        newest = _newest(found) if months is None else None
        if newest and newest > now:
            return newest
        if newest and not anyway:
            what = f"the data window ends at {window.name(now)}, and no later one was monitored"
            raise NoNeed(f"{what}: release the model that was trained on it")
        return window.later(now, months or 1)
    end = end.replace(tzinfo=now.tzinfo) if now and end.tzinfo is None else end
    if now is not None and end <= now:
        raise NothingToDo(f"the window ends at {window.name(now)} already")
    return end


def _newest(found: dict[str, Any] | None) -> datetime | None:
    """The end of the newest window that has enough rows with outcomes."""
    ends = [each["to"] for each in (found or {}).get("windows", ()) if each["enough"]]
    return max(map(datetime.fromisoformat, ends), default=None)


def _take_in(planned: Retraining) -> str:
    """Add the labelled rows of the prediction log to data/source."""
    if planned.log is None:
        return ""
    from . import labelled

    if planned.log == IMPORTED and IMPORT.exists():
        dvc("update", IMPORT.as_posix())
    if not SOURCE.exists():
        dvc("pull", ADDED.as_posix())
    rows, left = labelled.take_in(planned.log, planned.end, contract.load(), datetime.now(UTC))
    dvc("add", SOURCE.as_posix())
    told = "".join(f"; {count:,} left out {why}" for why, count in left.items() if count)
    sentence = f"{LOGGED} has {rows:,} rows of the prediction log, with their outcomes{told}."
    print(sentence)
    return sentence


def _move(text: str, end: datetime) -> None:
    """Write the new end, run ingest, and check that the window is full."""
    before, start = read().graph.find(RAW.as_posix()), params.load(Ingest).until
    write_text(window.moved(text, end), PARAMS)
    dvc(*RUN, "ingest")
    if read().graph.find(RAW.as_posix()) == before:
        raise NothingToDo(f"data/source has no row between the window and {window.name(end)}")
    column = contract.load().time
    if not RAW.exists():
        dvc("pull", RAW.as_posix())
    times = read_table(RAW, [str(column)])[column]
    new, least = int((times >= start).sum()) if start else len(times), params.load(Monitor).min_rows
    if new < least:
        what = f"{new:,} new rows until {window.name(end)}"
        raise NothingToDo(f"{what} are fewer than monitor.min_rows ({least:,})")
    newest = times.max()
    if newest + timedelta(days=params.load(Gate).max_age_days) < end:
        reach = f"data/source reaches {newest}, and the window would end at {window.name(end)}"
        raise NothingToDo(f"{reach}; 'retrain --until' takes an earlier end")


@contextmanager
def _undone_on_failure(planned: Retraining) -> Iterator[None]:
    """Leave the checkout as it was when there is nothing to do, or something fails."""
    here = git.branch() or git.resolve("HEAD")
    try:
        yield
    except BaseException:
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "--force", here)
        if planned.log and LOGGED.exists():  # as it was: `plan` has seen to that
            dvc("checkout", "--quiet", "--force", "--allow-missing", ADDED.as_posix())
        storage.checkout(allow_missing=True)
        raise
