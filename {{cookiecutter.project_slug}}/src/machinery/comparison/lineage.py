"""lineage: a judgement in; what both models were made from, and how to repeat the report, out."""

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
        "commit": code(side.version.base),
        "candidate": code(info.get("candidate")),
        "model sha256": code(info.get("sha256")),
        "training rows": number(trained_on["rows"]) if "rows" in trained_on else None,
        "trained on rows up to": code(trained_on["until"]) if "until" in trained_on else None,
    }
    for path in (TRAIN, TEST, PREDICTIONS):
        facts[f"{code(path)} md5"] = code(md5) if (md5 := side.recorded(path)) else None
    return {name: value for name, value in facts.items() if value is not None}


def _commands(judgement: Judgement, command: str) -> str:
    ours = judgement.challenger.version.base
    theirs = git.resolve(judgement.against)
    text = (
        f"```\ngit checkout {ours}\ndvc pull\n{command} report --against {theirs}\n"
        f"{command} lineage {ours}\n```{unpushed(ours, theirs, command)}"
    )
    if changed := git.changes(untracked=False):
        text = f"Made from uncommitted changes: {first_names(map(code, changed))}.\n\n{text}"
    return text


def unpushed(ours: str, theirs: str, command: str) -> str:
    """How to make a commit again that no branch of the remote has, such as an unpushed run."""
    if not git.run("remote") or git.run("branch", "--remotes", "--contains", ours):
        return ""
    parents = git.run("rev-list", "--parents", "--max-count=1", ours).split()[1:]
    if not parents:
        return ""
    return (
        f"\n\nNo branch of the remote has {code(ours)}. If it was never pushed, make it again "
        f"from its parent:\n\n```\ngit checkout {parents[0]}\n"
        f"dvc repro --pull --allow-missing\n{command} report --against {theirs}\n```"
    )
