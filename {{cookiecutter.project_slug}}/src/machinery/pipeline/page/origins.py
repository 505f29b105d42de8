"""origins: selection, data and features in; where the model comes from, as sections, out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import figures, lineage
from .figures import Estimate
from .html import Html, breakable, estimate, facts, join, number, precise, table, tag
from .words import exceptions, nothing_found, owners, plainly, title

Reports = Mapping[str, Any]

MOST = 20  # lines of a plot
MOVED = 12  # figures of the data that moved, the most striking first; the report has all


def importance(ranking: Sequence[Reports], headline: str) -> Html | None:
    """By how much the headline metric worsens when a feature is shuffled."""
    rows = [(each["feature"], each["importance"]) for each in ranking]
    some = "" if len(rows) <= MOST else f" (the first {MOST} of {len(rows)})"
    axis = f"{title(headline)}: by how much it worsens when the feature is shuffled"
    drawn = figures.bars(rows[:MOST], "importance", f"Importance of each feature{some}", axis)
    if drawn is None:
        return None
    intro = "Features that tell the same share their importance, so that neither shows it."
    lines = [(breakable(name), precise(value)) for name, value in rows]
    shown = table("Importance", ["Feature", "Worsens by"], lines, numbers=(1,))
    return join([tag("p", intro), tag("div", drawn, shown, class_="beside")])


def candidates(selection: Reports) -> Html:
    """Who competed, on the folds of the training table."""
    found, chosen = selection["candidates"], selection["candidate"]
    lines = [
        Estimate(name, mean, mean - error, mean + error, name == chosen)
        for name, mean, error in (
            (each["candidate"], each["mean"], each["standard_error"]) for each in found
        )
        if mean is not None and error is not None
    ]
    axis = f"{title(selection['headline'])}, mean of the folds ± standard error"
    drawn = figures.estimates(lines[-MOST:], "candidates", "Candidates, the simplest first", axis)
    rows = [
        (
            join([breakable(each["candidate"]), tag("small", "chosen")])
            if each["candidate"] == chosen
            else breakable(each["candidate"]),
            precise(each["mean"]),
            precise(each["standard_error"]),
            number(each["features"]),
            f"{number(each['bytes'] / 1000)} kB",
        )
        for each in found
    ]
    header = ["Candidate", title(selection["headline"]), "Error", "Features", "Size"]
    return join(
        [
            tag("p", f"{selection['why']}."),
            tag(
                "div",
                drawn,
                table("Candidates", header, rows, numbers=(1, 2, 3, 4)),
                class_="beside",
            ),
        ]
    )


def data(quality: Reports, leakage: Sequence[Reports]) -> Html:
    """Rows, those put aside, what moved between the windows, missing values, leakage."""
    quarantined = quality["quarantined"]
    aside = f"{number(quality['rows'] - quality['valid'])} ({quarantined['value']:.2%})"
    known = [("Rows", number(quality["rows"])), ("Put aside", aside)]
    if fresh := quality["freshness"]:
        known.append(("Newest row", fresh["newest_row"][:16]))
    for name, window in quality.get("windows", {}).items():
        rows = f"{number(window['rows'])} rows"
        known.append((f"{plainly(name)}, from {window['from'][:10]}", rows))
    return join(
        [
            facts(known),
            _violations(quality["violations"]),
            _moved(quality["columns"]),
            tag(
                "div",
                tag("div", tag("h3", "Missing values"), _missing(quality["columns"])),
                tag("div", tag("h3", "Leakage"), _leakage(leakage)),
                class_="halves",
            ),
        ]
    )


def features(catalogue: Sequence[Reports], model: Reports, ranking: Sequence[Reports]) -> Html:
    """Every feature, and the graph of what it is made from."""
    ranked = [each["feature"] for each in ranking]
    used = [*ranked, *(name for name in model["features"] if name not in ranked)]
    graph = lineage.lineage(catalogue, used)
    rows = [
        (
            breakable(each["name"]),
            tag("div", each["meaning"], class_="why"),
            each["unit"],
            breakable(", ".join(each["columns"])),
            each["owner"],
            "yes" if each["name"] in model["features"] else "no",
        )
        for each in catalogue
    ]
    header = ["Feature", "Meaning", "Unit", "Made from", "Owner", "In the model"]
    intro = (
        "Made only from columns that are known before the prediction; features.py refuses others. "
        "Faint ones are not in the model."
    )
    picture = None
    if graph is not None:
        box = tag("div", graph, class_="wide", role="region", aria_label="Graph", tabindex=0)
        picture = tag("div", box, _owners(catalogue), class_="beside")
    return join([tag("p", intro), picture, table("Feature catalogue", header, rows, stacked=True)])


def _owners(catalogue: Sequence[Reports]) -> Html:
    """Who answers for which features."""
    listed = facts((owner, ", ".join(names)) for owner, names in owners(catalogue).items())
    return tag("div", tag("h3", "Who answers for them"), listed, class_="list-box")


def _violations(found: Sequence[Reports]) -> Html:
    if not found:
        return tag("p", "Every row keeps the contract.")
    rows = [
        (each["column"], each["problem"], number(each["rows"]), ", ".join(each["examples"]))
        for each in found
    ]
    header = ["Column", "Problem", "Rows", "Examples"]
    shown = table("Rows that break the contract", header, rows, numbers=(2,))
    return join([tag("h3", "Rows that break the contract"), shown])


def _moved(columns: Reports) -> Html | None:
    """The figures whose intervals in the two windows do not meet."""
    if not any("newest" in windows for _, _, windows in _figures(columns)):
        return None
    moved = [
        (_gap(windows), column, figure, windows)
        for column, figure, windows in _figures(columns)
        if figure != "missing" and _gap(windows) > 0
    ]
    head = tag("h3", "What moved from the reference window to the newest")
    if not moved:
        return join([head, tag("p", "Nothing beyond its interval.")])
    moved.sort(key=lambda each: (-each[0], each[1], each[2]))
    rows = [
        (
            f"{column}, {figure}",
            estimate(**windows["reference"]),
            estimate(**windows["newest"]),
        )
        for _, column, figure, windows in moved[:MOVED]
    ]
    shown = f"The {MOVED} most striking of {len(moved)}; the rest is in data_quality.json."
    note = tag("p", shown, class_="muted") if len(moved) > MOVED else None
    header = ["Figure", "Reference", "Newest"]
    return join([head, note, table("What moved", header, rows, numbers=(1, 2))])


def _missing(columns: Reports) -> Html:
    """Missing values of the columns that have some, in the newest window where there is one."""
    found = []
    for name, figures_ in columns.items():
        windows = figures_["missing"]
        each = windows.get("newest", windows["reference"])
        if each["value"]:
            found.append(Estimate(name, *(each[key] for key in ("value", "low", "high"))))
    found.sort(key=lambda each: (-each.value, each.label))
    title, axis = "In the newest rows", "share of rows without a value"
    drawn = figures.estimates(found[:MOST], "missing", title, axis)
    return tag("p", "There are none.") if drawn is None else tag("div", drawn, class_="plots")


def _figures(columns: Reports) -> Iterator[tuple[str, str, Reports]]:
    for column, found in columns.items():
        for figure, windows in found.items():
            yield column, figure, windows


def _gap(windows: Reports) -> float:
    """How far the intervals of the windows lie apart, in widths of both; at most 0 if they meet."""
    if "newest" not in windows:
        return 0.0
    old, new = windows["reference"], windows["newest"]
    if None in (*old.values(), *new.values()):
        return 0.0
    apart = max(float(new["low"] - old["high"]), float(old["low"] - new["high"]))
    return apart / ((old["high"] - old["low"] + new["high"] - new["low"]) or 1)


def _leakage(probes: Sequence[Reports]) -> Html:
    let_pass = exceptions(probes)
    if not let_pass:
        return tag("p", nothing_found(probes))
    rows = [
        (each["column"], each["name"], number(each["value"]), each["allowed"]) for each in let_pass
    ]
    header = ["Column", "Probe", "Figure", "Why it may pass"]
    return table("Exceptions to the leakage probes", header, rows, numbers=(2,))
