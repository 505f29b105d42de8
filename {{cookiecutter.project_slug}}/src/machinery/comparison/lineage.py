"""The lineage of both models, and how to reproduce the report."""

from typing import Any

from machinery.pipeline.markdown import code, first_names, number, table
from machinery.pipeline.paths import MODEL_INFO, PREDICTIONS, TEST, TRAIN
from machinery.versions import git

from .judgement import Judgement
from .side import Side


def lineage(judgement: Judgement, command: str) -> str:
    """A column for each model, and the commands."""
    sides = {"champion": judgement.champion, "challenger": judgement.challenger}
    columns = {name: _facts(side) for name, side in sides.items() if side is not None}
    facts = dict.fromkeys(fact for column in columns.values() for fact in column)
    rows = [[fact, *(column.get(fact) for column in columns.values())] for fact in facts]
    return f"{table(['', *columns], rows)}\n\n{_commands(judgement, command)}"


def _facts(side: Side) -> dict[str, Any]:
    info = side.document(MODEL_INFO)
    trained_on = info.get("trained_on", {})
    facts: dict[str, Any] = {
        "commit": side.version.base,
        "candidate": info.get("candidate"),
        "model sha256": info.get("sha256"),
        "training rows": trained_on.get("rows"),
        "trained on rows up to": trained_on.get("until"),
    }
    facts |= {f"{code(path)} md5": side.md5(path) for path in (TRAIN, TEST, PREDICTIONS)}
    return {name: number(value) for name, value in facts.items() if value is not None}


def _commands(judgement: Judgement, command: str) -> str:
    commit = judgement.challenger.version.base
    text = (
        f"```\ngit checkout {commit}\ndvc pull\n"
        f"{command} report --against {git.resolve(judgement.against)}\n"
        f"{command} lineage {commit}\n```"
    )
    parents = git.run("rev-list", "--parents", "--max-count=1", commit).split()[1:]
    pushed = not git.run("remote") or git.run("branch", "--remotes", "--contains", commit)
    if parents and not pushed:
        text += (
            f"\n\nNo branch of the remote has this commit. If it was never pushed, check out its "
            f"parent {code(parents[0])} instead, and run `dvc repro --pull --allow-missing` before "
            "the report."
        )
    if changes := git.changes(untracked=False):
        text = f"Made from uncommitted changes: {first_names(map(code, changes))}.\n\n{text}"
    return text
