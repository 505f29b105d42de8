"""changes: champion and challenger in; what changed between them, read from git and DVC, out."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from machinery.pipeline.paths import CONTRACT, PARAMS, SELECTION, TRAIN
from machinery.versions.notes import flat
from machinery.versions.versions import ENVIRONMENT
from . import data, features
from .escape import Markdown, code, few, first_rows
from .side import Side

PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)

Section = tuple[str, str]  # title and Markdown


def sections(was: Side, now: Side) -> list[Section]:
    """What changed from one side to the other; a section with nothing to say is left out."""
    found = {
        "Parameters": _params(was, now),
        "Contract": _contract(was, now),
        "Data": data.changes(was, now),
        "Features": features.changes(was, now),
        "Candidates": _candidates(was, now),
        "Code of the pipeline": _code(was, now),
        "Packages": _packages(was, now),
    }
    return [(title, text) for title, text in found.items() if text]


# Parameters


def _params(was: Side, now: Side) -> str:
    old, new = (dict(flat(side.documents.get(PARAMS, {}))) for side in (was, now))
    rows = [
        [code(name), *_values(old, new, name)]
        for name in _union(old, new)
        if old.get(name) != new.get(name) or (name in old) != (name in new)
    ]
    return first_rows(["parameter", "champion", "challenger"], rows, "parameters")


def _values(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> list[Any]:
    """Both values; of long lists only what differs."""
    before, after = old.get(name), new.get(name)
    if isinstance(before, list) and isinstance(after, list) and len(before) + len(after) > 6:
        gone = [each for each in before if each not in after]
        come = [each for each in after if each not in before]
        if gone or come:
            return [_parts("with", gone), _parts("with", come)]
    return [_value(before) if name in old else None, _value(after) if name in new else None]


def _value(value: Any) -> Markdown:
    return code(json.dumps(value, ensure_ascii=False, default=str))


def _parts(word: str, values: list[Any]) -> Markdown:
    return Markdown(f"{word} {few(map(_value, values))}" if values else "without these")


# Contract


def _contract(was: Side, now: Side) -> str:
    old, new = (side.documents.get(CONTRACT, {}) for side in (was, now))
    rows = [
        [
            "the contract",
            Markdown(f"{code(field)} changed"),
            _value(old.get(field)),
            _value(new.get(field)),
        ]
        for field in _union(old, new)
        if field != "columns" and old.get(field) != new.get(field)
    ]
    before, after = old.get("columns", {}), new.get("columns", {})
    for name in _union(before, after):
        rows += _column(name, before.get(name), after.get(name))
    return first_rows(["what", "", "champion", "challenger"], rows, "changes")


def _column(name: str, before: Any, after: Any) -> Iterator[list[Any]]:
    if before is None or after is None:
        what = "added" if before is None else "removed"
        yield [code(name), what, *(each and _summary(each) for each in (before, after))]
        return
    for field in _union(before, after):
        if before.get(field) != after.get(field):
            was, now = (_value(each.get(field)) for each in (before, after))
            yield [code(name), Markdown(f"{code(field)} changed"), was, now]


def _summary(column: Mapping[str, Any]) -> Markdown:
    """A column in a few words: type, unit, what is allowed, when it is known."""
    unit = f" in {code(column['unit'])}" if column.get("unit") else ""
    allowed = f", allowed {_value(column['allowed'])}" if column.get("allowed") else ""
    return Markdown(f"{code(column.get('type'))}{unit}{allowed}, known {code(column.get('known'))}")


# Candidates


def _candidates(was: Side, now: Side) -> str:
    reports = [side.version.snapshot.read(SELECTION.as_posix()) for side in (was, now)]
    old, new = (json.loads(text) if text else {} for text in reports)
    before, after = (_scores(report) for report in (old, new))
    chosen = [report.get("candidate") for report in (old, new)]
    rows = [
        [code(name), before.get(name), after.get(name), _fate(name, before, after, chosen)]
        for name in _union(before, after)
        if before.get(name) != after.get(name) or (name in chosen and len({*chosen}) > 1)
    ]
    header = ["candidate", "champion's", "challenger's", ""]
    listed = first_rows(header, rows, "candidates")
    return f"{listed}\n\n{_meaning(was, now, old, new)}" if listed else ""


def _scores(report: Mapping[str, Any]) -> dict[str, str]:
    return {
        each["candidate"]: f"{each['mean']:.4g} ± {each['standard_error']:.2g}"
        for each in report.get("candidates", [])
    }


def _fate(name: str, before: Any, after: Any, chosen: list[Any]) -> str:
    words = [
        "added" if name not in before else "",
        "removed" if name not in after else "",
        "was chosen" if name == chosen[0] != chosen[1] else "",
        "is chosen" if name == chosen[1] else "",
    ]
    return ", ".join(word for word in words if word)


def _meaning(was: Side, now: Side, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    headlines = " and ".join(
        code(name) for name in dict.fromkeys((old.get("headline"), new.get("headline")))
    )
    files = [side.recorded(TRAIN) for side in (was, now)]
    other = files[0] and files[1] and files[0].hash != files[1].hash
    limit = " The training tables differ, so the two columns do not compare." if other else ""
    return f"Cross-validated {headlines}, with the standard error of the folds.{limit}"


# Code and packages


def _code(was: Side, now: Side) -> str:
    old, new = (_files(side) for side in (was, now))
    rows = [
        [code(path), _fact(old.get(path), new.get(path)), _stages(new.get(path) or old[path])]
        for path in _union(old, new)
        if {hash for hash, _ in old.get(path, ())} != {hash for hash, _ in new.get(path, ())}
    ]
    return first_rows(["file", "", "read by"], rows, "files")


def _files(side: Side) -> dict[str, set[tuple[str, str]]]:
    """Each file of code, with its hash and the stage for each stage that ran it."""
    found: dict[str, set[tuple[str, str]]] = {}
    graph = side.version.graph
    for stage in graph.stages:
        for dep in graph.code(stage) if stage.command else ():
            if dep.path != CONTRACT.as_posix():
                found.setdefault(dep.path, set()).add((dep.hash, stage.name.partition("@")[0]))
    return dict(sorted(found.items()))


def _fact(before: Any, after: Any) -> str:
    return "added" if not before else "changed" if after else "removed"


def _stages(readers: set[tuple[str, str]]) -> Markdown:
    return few(code(name) for name in sorted({name for _, name in readers}))


def _packages(was: Side, now: Side) -> str:
    texts = [side.version.snapshot.read(ENVIRONMENT) or b"" for side in (was, now)]
    old, new = (_pins(text.decode("utf-8", "replace")) for text in texts)
    rows = [
        [code(name), old.get(name), new.get(name)]
        for name in _union(old, new)
        if old.get(name) != new.get(name)
    ]
    counts = {
        "changed": sum(before is not None and after is not None for _, before, after in rows),
        "added": sum(before is None for _, before, _ in rows),
        "removed": sum(after is None for _, _, after in rows),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    listed = first_rows(["package", "champion", "challenger"], rows, "packages")
    return (
        f"{len(new)} packages are locked in {code(ENVIRONMENT)}: {said}.\n\n{listed}"
        if rows
        else ""
    )


def _pins(lock: str) -> dict[str, str]:
    """The version, or versions, of each package that a lock pins."""
    found: dict[str, list[str]] = {}
    for name, version in PIN.findall(lock):
        found.setdefault(name.lower(), []).append(version)
    return {name: ", ".join(dict.fromkeys(versions)) for name, versions in found.items()}


def _union(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """The names of both, the new ones in their order first."""
    return list(dict.fromkeys((*new, *old)))
