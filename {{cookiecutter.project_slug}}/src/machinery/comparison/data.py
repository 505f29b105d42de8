"""data: champion and challenger in; what changed in source and tables between them out."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, read_table
from machinery.pipeline.markdown import Markdown, code, first_names, first_rows, number, plain
from machinery.pipeline.paths import CONTRACT, DATA_QUALITY, MODEL_INFO, TEST, TRAIN
from machinery.pipeline.statistics.shift import LARGE, MODERATE, Shift, shift
from machinery.versions import storage

from .side import Side

LEVEL = 0.95  # that no column of a table is said to have moved when none has
TABLES = {"training table": TRAIN, "test table": TEST}
KINDS = ("added", "deleted", "modified", "renamed")  # of changes, as `dvc diff` names them
METHOD = (
    f"PSI is the population stability index: a shift below {MODERATE:g} is small, from {LARGE:g} "
    "on large. Columns that moved no more than chance explains are left out."
)


def changes(was: Side, now: Side) -> str:
    """Rows in and out, source files, and how far the columns of the tables moved."""
    parts = [_counts(was, now), _source(was, now), *_tables(was, now)]
    return "\n\n".join(part for part in parts if part)


# Rows


def _counts(was: Side, now: Side) -> str:
    rows = differing(_figures(was), _figures(now))
    return first_rows(["", "champion", "challenger"], rows, "figures")


def _figures(side: Side) -> dict[str, str]:
    quality = side.find(DATA_QUALITY) or {}
    newest = (quality.get("freshness") or {}).get("newest_row")
    trained_on = (side.find(MODEL_INFO) or {}).get("trained_on", {})
    figures: dict[str, str] = {
        "rows read": number(quality.get("rows")),
        "valid rows": number(quality.get("valid")),
        "newest row": code(newest or ""),
        "training rows": number(trained_on.get("rows")),
    }
    for fault in quality.get("violations", []):
        what = f"quarantined: {code(fault['column'])} {plain(fault['problem'])}"
        figures[Markdown(what)] = number(fault["rows"])
    return figures


# Source files


def _source(was: Side, now: Side) -> str:
    """What `dvc diff` says of the data that comes from outside the pipeline."""
    old, new = (_tracked(side) for side in (was, now))
    if old == new:
        return ""
    try:
        with storage.opened("the changes of the source are unknown") as repo:
            found = repo.diff(was.version.base, now.version.base, targets=sorted({*old, *new}))
    except UserError as error:
        return f"{plain(error)}."
    paths = {kind: [entry["path"] for entry in found.get(kind, ())] for kind in KINDS}
    paths["renamed"] = [" → ".join((each["old"], each["new"])) for each in paths["renamed"]]
    return listed(paths)


def _tracked(side: Side) -> dict[str, str]:
    """What .dvc files record, and its hash."""
    stages = [stage for stage in side.version.graph.stages if stage.command is None]
    return {out.path: out.hash for stage in stages for out in stage.outs}


def listed(names: Mapping[str, list[str]]) -> str:
    """The first names of each kind, by kind."""
    each = (
        f"{kind.capitalize()}: {first_names(map(code, names[kind]))}."
        for kind in names
        if names[kind]
    )
    return " ".join(each)


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[list[Any]]:
    """Name and both values, where they differ."""
    return [[n, old.get(n), new.get(n)] for n in union(old, new) if old.get(n) != new.get(n)]


def union(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """The names of both, the new ones in their order first."""
    return list(dict.fromkeys((*new, *old)))


# Distributions


def _tables(was: Side, now: Side) -> Iterator[str]:
    for name, path in TABLES.items():
        if was.recorded(path) != now.recorded(path):
            try:
                yield _drift(name, _shifts(was, now, path))
            except UserError as error:
                yield f"Drift of the {name} is unknown: {plain(error)}."


def _shifts(was: Side, now: Side, path: Path) -> dict[str, Shift]:
    names = _comparable(was, now)
    if not names:
        return {}
    before, after = (read_table(side.file(path), names) for side in (was, now))
    level = 1 - (1 - LEVEL) / len(names)  # Bonferroni's, over the columns
    shifts = {name: shift(before[name], after[name], level) for name in names}
    return {name: moved for name, moved in shifts.items() if moved}


def _comparable(was: Side, now: Side) -> list[str]:
    """The columns of the same type in both contracts, without times, identifiers, personal ones."""
    old, new = ((side.find(CONTRACT) or {}).get("columns", {}) for side in (was, now))
    types = {name: column.get("type") for name, column in old.items()}
    return [
        name
        for name, column in new.items()
        if types.get(name) == column.get("type") != "datetime"
        and not column.get("identifier")
        and not column.get("personal")
    ]


def _drift(table: str, shifts: dict[str, Shift]) -> str:
    moved = {name: move for name, move in shifts.items() if move.size != "chance"}
    if not moved:
        return f"In the {table}, no column moved more than chance explains."
    rows = [
        [code(name), move.index, move.size, *_sides(move)]
        for name, move in sorted(moved.items(), key=lambda item: -item[1].index)
    ]
    header = ["column", "PSI", "shift", "champion", "challenger"]
    count = f"{len(moved)} of {len(shifts)} columns of the {table} moved"
    return f"{count}:\n\n{first_rows(header, rows, 'columns')}\n\n{METHOD}"


def _sides(move: Shift) -> Iterator[Markdown]:
    """What moved, in both tables; and what is missing, where that changed by a hundredth."""
    gaps = abs(move.missing[1] - move.missing[0]) >= 0.01 and move.statistic != "(missing)"
    for value, missing in zip((move.before, move.after), move.missing, strict=True):
        mean = move.statistic == "mean"
        text = f"mean {value:.4g}" if mean else f"{code(move.statistic)} {value:.1%}"
        yield Markdown(f"{text}, {missing:.1%} missing" if gaps else text)
