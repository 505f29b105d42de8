"""notes: what two versions recorded of themselves in, the release notes of the later one out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from machinery.pipeline.files import parse_yaml
from machinery.pipeline.markdown import estimate, table
from machinery.pipeline.paths import DATA_QUALITY, METRICS, MODEL_INFO, PARAMS

from . import git

Facts = dict[str, dict[str, Any]]  # params, metrics, model and quality: what their files hold


def facts(revision: str) -> Facts:
    """What a revision's files say; nothing where it lacks one."""
    paths = (PARAMS, METRICS, MODEL_INFO, DATA_QUALITY)
    params, *reports = (git.file(revision, path.as_posix()) for path in paths)
    documents = [parse_yaml(params, PARAMS.as_posix()) if params else {}]
    documents += [json.loads(text) if text else {} for text in reports]
    return dict(zip(("params", "metrics", "model", "quality"), documents, strict=True))


def notes(
    version: str, now: Facts, previous: str | None = None, before: Facts | None = None
) -> str:
    """The release notes as Markdown: metrics with intervals, and what changed since `previous`."""
    model, metrics = now["model"], _metrics(now)
    if previous is None or before is None:
        measured = table(["metric", "value (confidence interval)"], metrics.items())
        made = table(["", version], _made_from(now).items())
        changed = f"## Made from\n\n{made}\n\nNo earlier release is known here to compare with."
    else:
        header = ["metric (confidence interval)", previous, "this release"]
        was = _metrics(before)
        measured = table(header, [[n, was.get(n, ""), value] for n, value in metrics.items()])
        rows = _changes(now, before)
        said = table(["", previous, version], rows) if rows else "Nothing but the code."
        changed = f"## Changed since {previous}\n\n{said}"
    title = f"{version}: {model['candidate']}, a {model['task']} of {model['target']}"
    file = f"models/model.onnx is sha256 {model['sha256']}."
    return "\n\n".join([title, "## Metrics on the test table", measured, changed, file]) + "\n"


def _metrics(facts: Facts) -> dict[str, str]:
    return {name: estimate(interval) for name, interval in facts["metrics"].items()}


def _changes(now: Facts, before: Facts) -> list[list[Any]]:
    new, old = (
        _made_from(facts) | {f"`{name}`": value for name, value in flat(facts["params"])}
        for facts in (now, before)
    )
    ours, theirs = (list(facts["model"].get("features", {})) for facts in (now, before))
    new["features added"] = ", ".join(name for name in ours if name not in theirs) or None
    old["features removed"] = ", ".join(name for name in theirs if name not in ours) or None
    names = dict.fromkeys((*new, *old))
    return [[n, old.get(n), new.get(n)] for n in names if old.get(n) != new.get(n)]


def _made_from(facts: Facts) -> dict[str, Any]:
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
    """The leaves of nested mappings, named `train.folds`."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
