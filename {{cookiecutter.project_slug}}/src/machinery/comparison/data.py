"""data: champion and challenger in; what changed in source and tables between them out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, read_table
from machinery.pipeline.paths import CONTRACT, DATA_QUALITY, MODEL_INFO, TEST, TRAIN
from machinery.versions import storage
from machinery.versions.graph import File
from machinery.versions.hashes import FOLDER
from .escape import Markdown, code, few, first_rows, plain
from .shift import LARGE, MODERATE, Shift, shift
from .side import Side

LEVEL = 0.95  # that no column of a table is called moved when none has
TABLES = {"training table": TRAIN, "test table": TEST}
METHOD = (
    f"The index is the population stability index: a shift below {MODERATE:g} is small, from "
    f"{LARGE:g} on large. Columns that moved no further than chance alone may move them are left "
    "out."
)


def changes(was: Side, now: Side) -> str:
    """Rows in and out, source files, and how far the columns of the tables moved."""
    parts = [_counts(was, now), *_source(was, now), *_tables(was, now)]
    return "\n\n".join(part for part in parts if part)


# Rows


def _counts(was: Side, now: Side) -> str:
    old, new = _figures(was), _figures(now)
    rows = [
        [name, old.get(name), new.get(name)]
        for name in dict.fromkeys((*new, *old))
        if old.get(name) != new.get(name)
    ]
    return first_rows(["", "champion", "challenger"], rows, "figures")


def _figures(side: Side) -> dict[Any, Any]:
    text = side.version.snapshot.read(DATA_QUALITY.as_posix())
    quality = json.loads(text) if text else {}
    learned = side.documents.get(MODEL_INFO, {}).get("trained_on", {})
    newest = (quality.get("freshness") or {}).get("newest_row")
    found = {
        "rows read": quality.get("rows"),
        "rows that keep the contract": quality.get("valid"),
        "newest row": newest and code(newest),
        "training rows": learned.get("rows"),
        "columns": len(side.documents.get(CONTRACT, {}).get("columns", {})),
    }
    broken = {
        Markdown(f"quarantined: {code(each['column'])} {plain(each['problem'])}"): each["rows"]
        for each in quality.get("violations", [])
    }
    return found | broken


# Source files


def _source(was: Side, now: Side) -> Iterator[str]:
    old, new = (_tracked(side) for side in (was, now))
    for path in dict.fromkeys((*new, *old)):
        before, after = old.get(path), new.get(path)
        if before is None or after is None:
            yield f"{code(path)} is {'new' if before is None else 'gone'}."
        elif before.hash != after.hash:
            sizes = f"{code(path)} was {_size(before)} and is {_size(after)}"
            yield f"{sizes}. {_listed(was, now, before, after)}".strip()


def _tracked(side: Side) -> dict[str, File]:
    """What .dvc files record: the data that comes from outside the pipeline."""
    stages = [stage for stage in side.version.graph.stages if stage.command is None]
    return {out.path: out for stage in stages for out in stage.outs}


def _size(file: File) -> str:
    size = "of unknown size" if file.size is None else f"{file.size:,} bytes"
    files = "1 file" if file.files == 1 else f"{file.files} files"
    return f"{size} in {files}" if file.files else size


def _listed(was: Side, now: Side, before: File, after: File) -> str:
    """The files of a folder that were added, removed or changed."""
    if not (before.hash.endswith(FOLDER) and after.hash.endswith(FOLDER)):
        return ""
    try:
        old, new = (
            storage.members(file.path, side.version.revision, file.hash)
            for side, file in ((was, before), (now, after))
        )
    except UserError as error:
        return f"Which of its files changed cannot be told: {plain(error)}."
    kinds = {
        "Added": [name for name in new if name not in old],
        "Removed": [name for name in old if name not in new],
        "Changed": [name for name in new if old.get(name, new[name]) != new[name]],
    }
    return " ".join(f"{kind}: {few(map(code, names))}." for kind, names in kinds.items() if names)


# Distributions


def _tables(was: Side, now: Side) -> Iterator[str]:
    told = False
    for name, path in TABLES.items():
        files = [side.recorded(path) for side in (was, now)]
        if len({file and file.hash for file in files}) == 1:
            continue
        try:
            yield _moved(name, _shifts(was, now, path))
            told = True
        except UserError as error:
            yield f"How the {name} moved cannot be told: {plain(error)}."
    if told:
        yield METHOD


def _shifts(was: Side, now: Side, path: Path) -> dict[str, Shift]:
    names = _comparable(was, now)
    if not names:
        return {}
    before, after = (read_table(side.file(path), names) for side in (was, now))
    level = 1 - (1 - LEVEL) / len(names)  # Bonferroni's, over the columns
    found = {name: shift(before[name], after[name], level) for name in names}
    return {name: each for name, each in found.items() if each}


def _comparable(was: Side, now: Side) -> list[str]:
    """The columns that both contracts type alike, and that are more than a name or a time."""
    old, new = (side.documents.get(CONTRACT, {}).get("columns", {}) for side in (was, now))
    return [
        name
        for name, column in new.items()
        if name in old
        and old[name].get("type") == column.get("type") != "datetime"
        and not column.get("identifier")
    ]


def _moved(name: str, shifts: Mapping[str, Shift]) -> str:
    moved = {column: each for column, each in shifts.items() if each.size != "chance"}
    if not moved:
        return f"In the {name}, no column moved more than chance explains."
    ordered = sorted(moved.items(), key=lambda item: -item[1].index)
    rows = [[code(c), each.index, each.size, *_words(each)] for c, each in ordered]
    header = ["column", "index", "shift", "champion", "challenger"]
    count = f"{len(moved)} of {len(shifts)} columns of the {name} moved"
    return f"{count}:\n\n{first_rows(header, rows, 'columns')}"


def _words(found: Shift) -> Iterator[Markdown]:
    """What moved, in both tables; and what is missing, where that changed by a hundredth."""
    gaps = abs(found.missing[1] - found.missing[0]) >= 0.01 and found.figure != "(missing)"
    for value, missing in zip((found.before, found.after), found.missing, strict=True):
        mean = found.figure == "mean"
        text = f"mean {value:.4g}" if mean else f"{code(found.figure)} {value:.1%}"
        yield Markdown(f"{text}, {missing:.1%} missing" if gaps else text)
