"""Retrain on a later data window: run the pipeline and commit the run on a branch of its own.

Nothing depends on the clock: the rule that `monitor` evaluated decides whether to retrain. The new
end of the window is given, or that of the newest window with outcomes, or some months after the
present end.
"""

import os
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
from machinery.versions.checking import first_names
from machinery.versions.versions import read

from . import window
from .shell import commit, dvc, require_clean

REPRO = ("repro", "--pull", "--allow-missing")
MONITORING = Path("reports/monitoring/monitoring.json")
IMPORT, IMPORTED = Path("data/log.dvc"), Path("data/log")  # the prediction log of a service
LOCAL = Path("logs/predictions")  # the prediction log of a service on this machine
SOURCE_RECORD = Path("data/source.dvc")


class NothingToDo(Exception):  # noqa: N818
    """The reason why there is nothing to retrain on."""

    begins = "Nothing to retrain on"


class NoNeed(NothingToDo):
    """The reason why retraining is not needed."""

    begins = "No need to retrain"


@dataclass(frozen=True)
class Retraining:
    """A run on a later window, to be committed on a branch of its own."""

    base: str  # the branch that it starts from
    start: str  # its commit
    end: datetime  # of the later window
    log: Path | None = None  # prediction log whose labelled rows are added to the source

    @property
    def branch(self) -> str:
        return f"retrain/{window.name(self.end)}".replace(":", "")

    @property
    def title(self) -> str:
        return f"Retrain on data until {window.name(self.end)}"


def plan(
    end: datetime | None, months: int | None, log: Path | None = None, *, anyway: bool = False
) -> Retraining:
    """Plan the retraining of the branch that is checked out, if the rule says yes.

    Args:
        end: of the later window; None for that of the newest monitored window with outcomes.
        months: how far to move the window, if no end is given.
        log: folder of the prediction log; None for data/log if data/log.dvc imports it, else for
            logs/predictions if that was monitored.
        anyway: retrain whatever the rule says.

    Raises:
        NothingToDo: if the rule says no, or there is no later window.
    """
    base = git.branch() or os.environ.get("CI_COMMIT_BRANCH")
    if not base:
        raise UserError(
            "no branch is checked out; check out the one to retrain: 'git checkout main'"
        )
    require_clean(except_for=IMPORT.as_posix())
    report = _monitoring(anyway=anyway)
    if log is None and IMPORT.exists():
        log = IMPORTED
    elif log is None and report and LOCAL.is_dir():
        log = LOCAL
    if log and not _log_is_usable():
        log = None
    end = _new_end(end, months, report if log else None, anyway=anyway)
    if problem := remotes.folder_elsewhere():
        raise CheckError("; ".join(problem))
    return Retraining(base, git.resolve("HEAD"), end, log)


def retrain(plan: Retraining) -> str:
    """Move the end of the data window, run the pipeline, commit it on a branch, push the data.

    Restores the checkout if anything fails or there is nothing to do. Returns a sentence about the
    logged rows that were added; empty if there were none.

    Raises:
        NothingToDo: if the later window has too few new rows, or ends after the newest one.
    """
    start = git.branch() or git.resolve("HEAD")
    try:
        sentence = _add_logged_rows(plan) if plan.log else ""
        _move_window(plan.end)
        dvc(*REPRO)
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "-B", plan.branch)
        commit(plan.title)
        dvc("push")
    except BaseException:
        git.run(*git.NO_HOOKS, "checkout", "--quiet", "--force", start)
        if plan.log and LOGGED.exists():  # `plan` has refused changes of the source
            dvc("checkout", "--quiet", "--force", "--allow-missing", SOURCE_RECORD.as_posix())
        storage.checkout(allow_missing=True)
        raise
    return sentence


def _monitoring(*, anyway: bool) -> dict[str, Any] | None:
    """The document that `monitor` wrote, if its rule says to retrain."""
    if not MONITORING.exists():
        print(f"There is no {MONITORING}: nothing is monitored, so there is no rule to follow.")
        return None
    report: dict[str, Any] = read_json(MONITORING)
    rule = report["retrain"]
    if not rule["answer"] and not anyway:
        raise NoNeed(f"{rule['why']}. The rule: {rule['rule']}; --anyway retrains nevertheless")
    print(f"The rule says {'yes' if rule['answer'] else 'no'}: {rule['why']}.")
    return report


def _log_is_usable() -> bool:
    """Whether logged rows can satisfy the contract. Refuses a source with unrecorded changes."""
    from . import labelled

    columns = contract.load()
    if unfit := labelled.unfit(columns):
        names = first_names(unfit)
        reason = f"mark {names} nullable: true in contract.yaml, which the log does not have"
        if keys := [name for name in unfit if name in columns.row_columns]:
            names = first_names(keys)
            reason = f"{names} identifies rows and is personal, so the log has only its hash"
        print(f"No rows of the prediction log are added; {reason}.")
        return False
    if f"{SOURCE} has changed" in storage.changes().get(SOURCE_RECORD.as_posix(), ()):
        raise UserError(
            f"{SOURCE} has changes that are not recorded; 'dvc add {SOURCE}' and commit, or "
            f"'dvc checkout {SOURCE}'"
        )
    return True


def _new_end(
    end: datetime | None, months: int | None, report: dict[str, Any] | None, *, anyway: bool
) -> datetime:
    """The end of the later window. Raises NothingToDo if there is none."""
    present = params.load(Ingest).until
    if contract.load().time is None:
        raise NothingToDo("contract.yaml names no time column, so there is no window to move")
    if end is not None:
        if present and end.tzinfo is None:
            end = end.replace(tzinfo=present.tzinfo)
        if present and end <= present:
            raise NothingToDo(f"the window already ends at {window.name(present)}")
        return end
    if present is None:
        raise NothingToDo("ingest.until is null, so the window has all of data/source")
    windows = report["windows"] if report and months is None else []
    ends = [datetime.fromisoformat(entry["to"]) for entry in windows if entry["enough"]]
    newest = max(ends, default=None)
    if newest and newest > present:
        return newest
    if newest and not anyway:
        raise NoNeed(
            f"the data window ends at {window.name(present)}, and no later one was monitored: "
            "release the model that was trained on it"
        )
    return window.later(present, months or 1)


def _add_logged_rows(plan: Retraining) -> str:
    """Add the labelled rows of the prediction log to data/source."""
    from . import labelled

    assert plan.log is not None
    if plan.log == IMPORTED and IMPORT.exists():
        dvc("update", IMPORT.as_posix())
    if not SOURCE.exists():
        dvc("pull", SOURCE_RECORD.as_posix())
    rows, skipped = labelled.take_in(plan.log, plan.end, contract.load(), datetime.now(UTC))
    dvc("add", SOURCE.as_posix())
    counts = "".join(f"; {count:,} skipped {reason}" for reason, count in skipped.items() if count)
    sentence = f"{LOGGED} has {rows:,} rows of the prediction log, with their outcomes{counts}."
    print(sentence)
    return sentence


def _move_window(end: datetime) -> None:
    """Write the new end into params.yaml, run ingest, and check that the window is filled."""
    before, start = read().graph.find(RAW.as_posix()), params.load(Ingest).until
    write_text(window.moved(PARAMS.read_text(encoding="utf-8"), end), PARAMS)
    dvc(*REPRO, "ingest")
    if read().graph.find(RAW.as_posix()) == before:
        raise NothingToDo(f"data/source has no row between the window and {window.name(end)}")
    if not RAW.exists():
        dvc("pull", RAW.as_posix())
    column = str(contract.load().time)
    times = read_table(RAW, [column])[column]
    new, minimum = times[times >= start] if start else times, params.load(Monitor).min_rows
    if len(new) < minimum:
        raise NothingToDo(
            f"{len(new):,} new rows until {window.name(end)} are fewer than monitor.min_rows "
            f"({minimum:,})"
        )
    if times.max() + timedelta(days=params.load(Gate).max_age_days) < end:
        raise NothingToDo(
            f"data/source ends at {times.max()}, before the window would ({window.name(end)}); "
            "'retrain --until' takes an earlier end"
        )
