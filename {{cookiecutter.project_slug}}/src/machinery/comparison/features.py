"""features: champion and challenger in; the features that are made in another way out."""

from collections.abc import Iterator

from machinery.pipeline.paths import PARAMS
from .definitions import Change, compare
from .escape import FEW, Markdown, code, fenced, few, first_rows
from .side import Side

MOST_LINES = 40  # of the difference of one feature
WIDEST = 160  # characters of such a line

Sets = dict[str, list[str]]


def changes(was: Side, now: Side) -> str:
    """Features added, removed, renamed or made in another way, and how their code differs."""
    texts = [side.version.snapshot.read(_path(side)) for side in (was, now)]
    before, after = ((text or b"").decode("utf-8", "replace") for text in texts)
    if not before or not after:
        return ""
    found = compare(before, after)
    old, new = (_feature_sets(side) for side in (was, now))
    rows = [[code(each.name), _kind(each), _sets(each, old, new)] for each in found]
    listed = first_rows(["feature", "", "in the feature sets"], rows, "features")
    return "\n\n".join([listed, *_differences(found)]) if listed else ""


def _path(side: Side) -> str:
    """Where the side's features.py lies, as dvc.lock records it."""
    deps = (dep.path for stage in side.version.graph.stages for dep in stage.deps)
    return next((path for path in deps if path.endswith("/features.py")), "features.py")


def _kind(change: Change) -> Markdown:
    names = few(map(code, change.names))
    return Markdown(f"{change.kind} {change.link} {names}" if change.names else change.kind)


def _feature_sets(side: Side) -> Sets:
    found = side.documents.get(PARAMS, {}).get("train", {}).get("features", {})
    return {name: listed for name, listed in found.items() if isinstance(listed, list)}


def _sets(change: Change, before: Sets, after: Sets) -> Markdown:
    """The sets that use a feature, as they are now; of what was removed, as they were."""
    sets = before if change.kind == "removed" else after
    return few(code(name) for name, listed in sets.items() if change.name in listed)


def _differences(found: list[Change]) -> Iterator[str]:
    for change in [each for each in found if each.diff][:FEW]:
        lines = [line[:WIDEST] for line in change.diff.splitlines()]
        cut = [*lines[:MOST_LINES], *(["…"] if len(lines) > MOST_LINES else [])]
        yield fenced("\n".join(cut), "diff")
