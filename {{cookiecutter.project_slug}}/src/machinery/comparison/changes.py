"""What changed between champion and challenger, from git and DVC."""

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


def sections(old: Side, new: Side) -> list[tuple[str, str]]:
    """Title and Markdown of each kind of change, if there is any."""
    texts = {
        "Parameters": _document(old, new, PARAMS),
        "Contract": _document(old, new, CONTRACT),
        "Data": data.changes(old, new),
        "Features and code": _code(old, new),
        "Candidates": _candidates(old, new),
        "Packages": _packages(old, new),
    }
    return [(title, text) for title, text in texts.items() if text]


def _document(old: Side, new: Side, path: Path) -> str:
    rows = list(_differences(old.find(path) or {}, new.find(path) or {}))
    return first_rows([path.name, "champion", "challenger"], rows, "changes")


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[list[Markdown | None]]:
    """The path of each value that differs, e.g. `train.folds`, and both values."""
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
            Markdown(f"with {first_names(values)}" if values else "without these")
            for values in (removed, added)
        ]
    return [_value(document[name]) if name in document else None for document in (old, new)]


def _value(value: Any) -> Markdown:
    return code(json.dumps(value, ensure_ascii=False, default=str))


def _code(old: Side, new: Side) -> str:
    parts = [_features(old, new), _machinery(old), _diff(old)]
    return "\n\n".join(part for part in parts if part)


def _features(old: Side, new: Side) -> str:
    catalogues = [side.find(FEATURES) for side in (old, new)]
    if None in catalogues:
        return ""
    before, after = ([feature["name"] for feature in catalogue] for catalogue in catalogues)
    added = [name for name in after if name not in before]
    return data.listed({"added": added, "removed": [name for name in before if name not in after]})


def _machinery(old: Side) -> str:
    diff = ("diff", "--name-only", old.version.base, "--", MACHINERY)
    command = code(f"git diff {old.version.base} -- {MACHINERY}")
    return f"{code(MACHINERY)} was edited or replaced: {command}." if git.run(*diff) else ""


def _diff(old: Side) -> str:
    """The diff of the user's packages: all of src/ except the machinery."""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--relative")
    paths = ("src", f":(exclude){MACHINERY}")
    text = git.run("diff", *options, old.version.base, "--", *paths)
    if len(text) > MAX_DIFF:
        text = f"{text[:MAX_DIFF]}\n…"
    return fenced(text, "diff") if text else ""


def _candidates(old: Side, new: Side) -> str:
    before, after = (side.find(SELECTION) or {} for side in (old, new))
    rows = data.differing(_scores(before), _scores(after))
    first, second = before.get("candidate"), after.get("candidate")
    if not rows and first == second:
        return ""
    chosen = code(second) if first == second else f"{code(second)}, before {code(first)}"
    text = (
        f"{first_rows(['candidate', 'champion', 'challenger'], rows, 'candidates')}\n\n"
        f"Chosen: {chosen}. Cross-validated {code(after.get('headline'))}, with the standard "
        "error over the folds."
    )
    if old.md5(TRAIN) != new.md5(TRAIN):
        text += " The training tables differ, so the two columns are not comparable."
    return text


def _scores(report: Mapping[str, Any]) -> dict[str, str]:
    return {
        code(candidate["candidate"]): f"{candidate['mean']:.4g} ± {candidate['standard_error']:.2g}"
        for candidate in report.get("candidates", [])
    }


def _packages(old: Side, new: Side) -> str:
    rows = data.differing(_pins(old), _pins(new))
    if not rows:
        return ""
    table = first_rows(["package", "champion", "challenger"], rows, "packages")
    return f"In {code(ENVIRONMENT)}, {len(rows)} packages changed:\n\n{table}"


def _pins(side: Side) -> dict[str, Markdown]:
    """The version, or versions, of each package in the lock file."""
    pins: dict[str, list[str]] = {}
    text = (side.version.read(ENVIRONMENT) or b"").decode("utf-8", "replace")
    for name, version in PIN.findall(text):
        pins.setdefault(name.lower(), []).append(version)
    return {code(name): code(", ".join(dict.fromkeys(pins[name]))) for name in pins}
