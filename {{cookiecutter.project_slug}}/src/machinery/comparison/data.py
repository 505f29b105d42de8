"""What changed in the source and the tables between champion and challenger."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, read_table
from machinery.pipeline.markdown import Markdown, code, first_names, first_rows, number, plain
from machinery.pipeline.paths import CONTRACT, DATA_QUALITY, MODEL_INFO, TEST, TRAIN
from machinery.pipeline.statistics.shift import LARGE, MODERATE, Shift, shift
from machinery.versions import storage

from .side import Side

LEVEL = 0.95  # probability that no column of a table is said to drift if none does
TABLES = {"training table": TRAIN, "test table": TEST}
KINDS = ("added", "deleted", "modified", "renamed")  # of changes in `dvc diff`
METHOD = (
    f"PSI is the population stability index: a shift below {MODERATE:g} is small, from {LARGE:g} "
    "on large. Columns that moved no more than chance explains are left out."
)


def changes(old: Side, new: Side) -> str:
    """Row counts, source files, and the drift of the tables' columns."""
    rows = differing(_counts(old), _counts(new))
    counts = first_rows(["", "champion", "challenger"], rows, "counts")
    parts = [counts, _source(old, new), *_tables(old, new)]
    return "\n\n".join(part for part in parts if part)


def listed(names: Mapping[str, list[str]]) -> str:
    """The first names of each kind of change."""
    return " ".join(
        f"{kind.capitalize()}: {first_names(map(code, changed))}."
        for kind, changed in names.items()
        if changed
    )


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[list[Any]]:
    """Name and both values where they differ."""
    return [[n, old.get(n), new.get(n)] for n in union(old, new) if old.get(n) != new.get(n)]


def union(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """The names of both, the new ones first, in their order."""
    return list(dict.fromkeys((*new, *old)))


def _counts(side: Side) -> dict[str, str]:
    quality = side.find(DATA_QUALITY) or {}
    newest = (quality.get("freshness") or {}).get("newest_row")
    trained_on = (side.find(MODEL_INFO) or {}).get("trained_on", {})
    counts: dict[str, str] = {
        "rows read": number(quality.get("rows")),
        "valid rows": number(quality.get("valid")),
        "newest row": code(newest or ""),
        "training rows": number(trained_on.get("rows")),
    }
    for violation in quality.get("violations", []):
        problem = f"{code(violation['column'])} {plain(violation['problem'])}"
        counts[Markdown(f"quarantined: {problem}")] = number(violation["rows"])
    return counts


def _source(old: Side, new: Side) -> str:
    """The changes of imported and added data, by `dvc diff`."""
    before, after = (
        {
            out.path: out.hash
            for stage in side.version.graph.stages
            if stage.command is None  # a .dvc file
            for out in stage.outs
        }
        for side in (old, new)
    )
    if before == after:
        return ""
    try:
        with storage.opened("the changes of the source are unknown") as repo:
            targets = sorted({*before, *after})
            diff = repo.diff(old.version.base, new.version.base, targets=targets)
    except UserError as error:
        return f"{plain(error)}."
    paths = {kind: [entry["path"] for entry in diff.get(kind, ())] for kind in KINDS}
    paths["renamed"] = [f"{path['old']} → {path['new']}" for path in paths["renamed"]]
    return listed(paths)


def _tables(old: Side, new: Side) -> Iterator[str]:
    for name, path in TABLES.items():
        if old.md5(path) != new.md5(path):
            try:
                yield _drift(name, _shifts(old, new, path))
            except UserError as error:
                yield f"Drift of the {name} is unknown: {plain(error)}."


def _shifts(old: Side, new: Side, path: Path) -> dict[str, Shift]:
    """The shift of each column with the same type in both contracts.

    Times, identifiers and personal columns are left out.
    """
    before, after = ((side.find(CONTRACT) or {}).get("columns", {}) for side in (old, new))
    names = [
        name
        for name, column in after.items()
        if before.get(name, {}).get("type") == column.get("type") != "datetime"
        and not column.get("identifier")
        and not column.get("personal")
    ]
    if not names:
        return {}
    first, second = (read_table(side.file(path), names) for side in (old, new))
    level = 1 - (1 - LEVEL) / len(names)  # Bonferroni correction over the columns
    shifts = {name: shift(first[name], second[name], level) for name in names}
    return {name: value for name, value in shifts.items() if value}


def _drift(table: str, shifts: Mapping[str, Shift]) -> str:
    moved = {name: value for name, value in shifts.items() if value.size != "chance"}
    if not moved:
        return f"In the {table}, no column moved more than chance explains."
    rows = [
        [code(name), value.index, value.size, *_sides(value)]
        for name, value in sorted(moved.items(), key=lambda item: -item[1].index)
    ]
    header = ["column", "PSI", "shift", "champion", "challenger"]
    count = f"{len(moved)} of {len(shifts)} columns of the {table} moved"
    return f"{count}:\n\n{first_rows(header, rows, 'columns')}\n\n{METHOD}"


def _sides(move: Shift) -> Iterator[Markdown]:
    """The statistic in both tables, and the share of missing values if it changed by 0.01."""
    gaps = abs(move.missing[1] - move.missing[0]) >= 0.01 and move.statistic != "(missing)"
    for value, missing in zip((move.before, move.after), move.missing, strict=True):
        mean = move.statistic == "mean"
        text = f"mean {value:.4g}" if mean else f"{code(move.statistic)} {value:.1%}"
        yield Markdown(f"{text}, {missing:.1%} missing" if gaps else text)
