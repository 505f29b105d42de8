"""The release notes of a version, from what it and the version before recorded."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from machinery.pipeline.files import parse_yaml
from machinery.pipeline.markdown import estimate, table
from machinery.pipeline.paths import DATA_QUALITY, METRICS, MODEL_INFO, PARAMS

from . import git

Facts = dict[str, dict[str, Any]]  # the contents of the files of params, metrics, model and quality


def facts(revision: str) -> Facts:
    """What a revision's files say; an empty dictionary for a missing file."""
    reports = {"metrics": METRICS, "model": MODEL_INFO, "quality": DATA_QUALITY}
    texts = {name: git.file(revision, path.as_posix()) for name, path in reports.items()}
    params = git.file(revision, PARAMS.as_posix()) or b"{}"
    return {
        "params": parse_yaml(params, PARAMS.as_posix()),
        **{name: json.loads(text or "{}") for name, text in texts.items()},
    }


def notes(
    version: str, facts: Facts, previous: str | None = None, previous_facts: Facts | None = None
) -> str:
    """The release notes as Markdown: metrics with intervals, and what changed since `previous`."""
    model, metrics = facts["model"], _metrics(facts)
    if previous is None or previous_facts is None:
        measured = table(["metric", "value (confidence interval)"], metrics.items())
        inputs = table(["", version], _description(facts).items())
        changed = f"## Made from\n\n{inputs}\n\nNo earlier release is tagged in this clone."
    else:
        header = ["metric (confidence interval)", previous, "this release"]
        before = _metrics(previous_facts)
        measured = table(header, [[n, before.get(n, ""), value] for n, value in metrics.items()])
        rows = _changes(previous_facts, facts)
        differences = table(["", previous, version], rows) if rows else "Nothing but the code."
        changed = f"## Changed since {previous}\n\n{differences}"
    title = f"{version}: {model['candidate']}, a {model['task']} of {model['target']}"
    file = f"models/model.onnx is sha256 {model['sha256']}."
    return "\n\n".join([title, "## Metrics on the test table", measured, changed, file]) + "\n"


def _metrics(facts: Facts) -> dict[str, str]:
    return {name: estimate(interval) for name, interval in facts["metrics"].items()}


def _changes(before: Facts, after: Facts) -> list[list[Any]]:
    old, new = (
        _description(facts) | {f"`{name}`": value for name, value in flat(facts["params"])}
        for facts in (before, after)
    )
    had, has = (list(facts["model"].get("features", {})) for facts in (before, after))
    new["features added"] = ", ".join(name for name in has if name not in had) or None
    old["features removed"] = ", ".join(name for name in had if name not in has) or None
    names = dict.fromkeys((*new, *old))
    return [[n, old.get(n), new.get(n)] for n in names if old.get(n) != new.get(n)]


def _description(facts: Facts) -> dict[str, Any]:
    model, quality = facts["model"], facts["quality"]
    trained_on = model.get("trained_on", {})
    return {
        "candidate": model.get("candidate"),
        "features": len(model.get("features", {})),
        "contract version": model.get("contract_version"),
        "rows": quality.get("rows"),
        "newest row": (quality.get("freshness") or {}).get("newest_row"),
        "training rows": trained_on.get("rows"),
        "newest training row": trained_on.get("until"),
    }


def flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, with names such as `train.folds`."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
