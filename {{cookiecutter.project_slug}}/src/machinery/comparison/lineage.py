"""lineage: a judgement in; what both models were made from, and how to have this report again."""

from typing import Any

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import MODEL_INFO, PREDICTIONS, TEST, TRAIN
from machinery.versions import git
from .escape import Markdown, code, table
from .judgement import Judgement
from .side import Side

SHOWN = 5


def lineage(judgement: Judgement, command: str) -> str:
    """A column for each model, the commands, and what stands in the way of repeating them."""
    sides = {"champion": judgement.champion, "challenger": judgement.challenger}
    found = {name: _facts(side) for name, side in sides.items() if side is not None}
    facts = list(dict.fromkeys(fact for each in found.values() for fact in each))
    rows = [[Markdown(fact), *(each.get(fact) for each in found.values())] for fact in facts]
    return f"{table(['', *found], rows)}\n\n{_commands(judgement, command)}"


def _facts(side: Side) -> dict[str, Any]:
    info = side.document(MODEL_INFO)
    trained = info.get("trained_on", {})
    facts = {
        "commit": code(side.version.base),
        "candidate": code(info.get("candidate")),
        "model sha256": code(info.get("sha256")),
        "training rows": trained.get("rows"),
        "trained on rows up to": code(trained["until"]) if "until" in trained else None,
    }
    for path in (TRAIN, TEST, PREDICTIONS):
        file = side.recorded(path)
        facts[f"{code(path)} md5"] = code(file.hash) if file else None
    return {name: value for name, value in facts.items() if value is not None}


def _commands(judgement: Judgement, command: str) -> str:
    ours = judgement.challenger.version.base
    theirs = judgement.champion.version.base if judgement.champion else _commit(judgement.against)
    changed = git.changes(untracked=False)
    text = (
        f"```\ngit checkout {ours}\ndvc pull\n{command} report --against {theirs}\n"
        f"{command} lineage {ours}\n```{unpushed(ours, theirs, command)}"
    )
    if not changed:
        return text
    names = ", ".join(map(code, changed[:SHOWN]))
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"Made from a checkout with changes that are not committed: {names}{more}.\n\n{text}"


def unpushed(ours: str, theirs: str, command: str) -> str:
    """How to come by a commit that no branch of the remote has, such as a run not pushed."""
    if not git.run("remote") or git.run("branch", "--remotes", "--contains", ours):
        return ""
    parents = git.run("rev-list", "--parents", "--max-count=1", ours).split()[1:]
    if not parents:
        return ""
    return (
        f"\n\nNo branch of the remote has {code(ours)}. Where it cannot be had, as a run that "
        f"was not pushed, it is made again from its parent:\n\n```\ngit checkout {parents[0]}\n"
        f"dvc repro --pull --allow-missing\n{command} report --against {theirs}\n```"
    )


def _commit(revision: str) -> str:
    try:
        return git.resolve(revision)
    except UserError:
        return revision
