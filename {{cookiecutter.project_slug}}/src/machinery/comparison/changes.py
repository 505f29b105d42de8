"""changes: champion and challenger in; what changed between them, read from git and DVC, out."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from machinery.pipeline.markdown import Markdown, code, fenced, first_names, first_rows
from machinery.pipeline.paths import CONTRACT, FEATURES, PARAMS, SELECTION, TRAIN
from machinery.versions import git
from machinery.versions.versions import ENVIRONMENT

from . import data
from .side import Side

PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
MACHINERY = "src/machinery"
MAX_DIFF = 15_000  # characters of code


def sections(was: Side, now: Side) -> list[tuple[str, str]]:
    """Title and Markdown of what changed from a commit to the checkout, if anything did."""
    found = {
        "Parameters": _document(was, now, PARAMS),
        "Contract": _document(was, now, CONTRACT),
        "Data": data.changes(was, now),
        "Features and code": _code(was, now),
        "Candidates": _candidates(was, now),
        "Packages": _packages(was, now),
    }
    return [(title, text) for title, text in found.items() if text]


# Parameters and contract


def _document(was: Side, now: Side, path: Path) -> str:
    old, new = (side.find(path) or {} for side in (was, now))
    rows = list(_differences(old, new))
    return first_rows([path.name, "champion", "challenger"], rows, "changes")


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[list[Markdown | None]]:
    """Each value, named such as `train.folds`, that is not the same on both sides."""
    for name in data.union(old, new):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{prefix}{name}.")
        elif before != after or (name in old) != (name in new):
            yield [code(f"{prefix}{name}"), *_values(old, new, name)]


def _values(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> list[Markdown | None]:
    """Both values; of long lists only what differs."""
    before, after = old.get(name), new.get(name)
    if isinstance(before, list) and isinstance(after, list) and len(before) + len(after) > 6:
        removed = [_value(value) for value in before if value not in after]
        added = [_value(value) for value in after if value not in before]
        return [
            Markdown(f"with {first_names(p)}" if p else "without these") for p in (removed, added)
        ]
    return [_value(side[name]) if name in side else None for side in (old, new)]


def _value(value: Any) -> Markdown:
    return code(json.dumps(value, ensure_ascii=False, default=str))


# Features and code


def _code(was: Side, now: Side) -> str:
    parts = [_features(was, now), _machinery(was, now), _difference(was, now)]
    return "\n\n".join(part for part in parts if part)


def _features(was: Side, now: Side) -> str:
    catalogues = [side.find(FEATURES) for side in (was, now)]
    if None in catalogues:
        return ""
    old, new = ([each["name"] for each in features] for features in catalogues)
    removed = [name for name in old if name not in new]
    return data.listed({"added": [n for n in new if n not in old], "removed": removed})


def _machinery(was: Side, now: Side) -> str:
    old, new = (
        {(d.path, d.hash) for s in side.version.graph.stages for d in s.deps if MACHINERY in d.path}
        for side in (was, now)
    )
    how = code(f"git diff {was.version.base} -- {MACHINERY}")
    return "" if old == new else f"{code(MACHINERY)} was edited, or replaced: {how}."


def _difference(was: Side, now: Side) -> str:
    """In the user's packages, which are all that stages read in src/ beside the machinery."""
    stages = (*was.version.graph.stages, *now.version.graph.stages)
    deps = [dep.path.split("/") for stage in stages for dep in stage.deps]
    yours = {"/".join(parts[:2]) for parts in deps if parts[0] == "src"}
    if not (paths := sorted(yours - {MACHINERY})):
        return ""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--relative")
    text = git.run("diff", *options, was.version.base, "--", *paths)
    if len(text) > MAX_DIFF:
        text = f"{text[:MAX_DIFF]}\n…"
    return fenced(text, "diff") if text else ""


# Candidates


def _candidates(was: Side, now: Side) -> str:
    old, new = (side.find(SELECTION) or {} for side in (was, now))
    before, after = (_scores(report) for report in (old, new))
    rows = data.differing(before, after)
    if not rows and old.get("candidate") == new.get("candidate"):
        return ""
    other = was.recorded(TRAIN) != now.recorded(TRAIN)
    limit = " The training tables differ, so the two columns do not compare." if other else ""
    first, then = (code(report.get("candidate")) for report in (old, new))
    chosen = f"Chosen: {then}" + (f", before {first}" if first != then else "")
    return (
        f"{first_rows(['candidate', 'champion', 'challenger'], rows, 'candidates')}\n\n"
        f"{chosen}. Cross-validated {code(new.get('headline'))}, with the standard error over the "
        f"folds.{limit}"
    )


def _scores(report: Mapping[str, Any]) -> dict[str, str]:
    return {
        code(candidate["candidate"]): f"{candidate['mean']:.4g} ± {candidate['standard_error']:.2g}"
        for candidate in report.get("candidates", [])
    }


# Packages


def _packages(was: Side, now: Side) -> str:
    texts = [side.version.read(ENVIRONMENT) or b"" for side in (was, now)]
    old, new = (_pins(text.decode("utf-8", "replace")) for text in texts)
    if not (rows := data.differing(old, new)):
        return ""
    listed = first_rows(["package", "champion", "challenger"], rows, "packages")
    return f"In {code(ENVIRONMENT)}, {len(rows)} packages changed:\n\n{listed}"


def _pins(lock: str) -> dict[str, Markdown]:
    """The version, or versions, of each package that a lock pins."""
    found: dict[str, list[str]] = {}
    for name, version in PIN.findall(lock):
        found.setdefault(name.lower(), []).append(version)
    return {code(name): code(", ".join(dict.fromkeys(each))) for name, each in found.items()}
