"""notes: what two versions recorded of themselves in, the release notes of the later one out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from machinery.pipeline.files import parse_yaml
from machinery.pipeline.markdown import estimate, table
from machinery.pipeline.paths import DATA_QUALITY, METRICS, MODEL_INFO, PARAMS

from .history import Snapshot

Facts = dict[str, dict[str, Any]]  # params, metrics, model and quality: what their files hold


def facts(revision: str) -> Facts:
    """What a revision's files say; nothing where it lacks one."""
    paths = (PARAMS, METRICS, MODEL_INFO, DATA_QUALITY)
    params, *reports = (Snapshot(revision).read(path.as_posix()) for path in paths)
    documents = [parse_yaml(params, PARAMS.as_posix()) if params else {}]
    documents += [json.loads(text) if text else {} for text in reports]
    return dict(zip(("params", "metrics", "model", "quality"), documents, strict=True))


def notes(
    version: str, now: Facts, previous: str | None = None, before: Facts | None = None
) -> str:
    """The release notes as Markdown: metrics with intervals, and what changed since `previous`."""
    model = now["model"]
    first = f"{version}: {model['candidate']}, a {model['task']} of {model['target']}"
    parts = [first, "## Metrics on the test table", _metrics(now, previous, before)]
    if before is None:
        parts += ["## Made from", table(["", version], _made_from(now).items())]
        parts.append("No earlier release is known here to compare with.")
    else:
        parts += [f"## Changed since {previous}", _changes(version, now, previous, before)]
    parts.append(f"models/model.onnx is sha256 {model['sha256']}.")
    return "\n\n".join(parts) + "\n"


def _metrics(now: Facts, previous: str | None, before: Facts | None) -> str:
    if before is None:
        rows = [[name, estimate(interval)] for name, interval in now["metrics"].items()]
        return table(["metric", "value (confidence interval)"], rows)
    was = {name: estimate(interval) for name, interval in before["metrics"].items()}
    rows = [[name, was.get(name, ""), estimate(now["metrics"][name])] for name in now["metrics"]]
    return table(["metric (confidence interval)", str(previous), "this release"], rows)


def _changes(version: str, now: Facts, previous: str | None, before: Facts) -> str:
    new, old = _made_from(now), _made_from(before)
    new |= {f"`{name}`": value for name, value in flat(now["params"])}
    old |= {f"`{name}`": value for name, value in flat(before["params"])}
    ours, theirs = (list(facts["model"].get("features", {})) for facts in (now, before))
    new["features added"] = ", ".join(name for name in ours if name not in theirs) or None
    old["features removed"] = ", ".join(name for name in theirs if name not in ours) or None
    names = [*new, *(name for name in old if name not in new)]
    rows = [
        [name, old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)
    ]
    return table(["", str(previous), version], rows) if rows else "Nothing but the code."


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
