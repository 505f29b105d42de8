"""card: every report in; the model card and the page out, filled from the run."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from machinery.pipeline import params, paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_json, read_table, write_text
from machinery.pipeline.markdown import cell, estimate, table
from machinery.pipeline.page import words
from machinery.pipeline.page.document import page
from machinery.pipeline.params import Card, Evaluate, Ingest
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd

Reports = dict[str, Any]

REPORTS = {
    "model": paths.MODEL_INFO,
    "selection": paths.SELECTION,
    "metrics": paths.METRICS,
    "slices": paths.SLICES,
    "gate": paths.GATE,
    "leakage": paths.LEAKAGE,
    "quality": paths.DATA_QUALITY,
    "features": paths.FEATURES,
}


def card(reports: Reports, contract: Contract, until: datetime | None, spoken: Card) -> str:
    """The model card (Mitchell et al. 2019, arXiv:1810.03993) as Markdown.

    Args:
        reports: the documents of REPORTS, as the stages wrote them, and `tested` (see `span`).
        contract: the contract of the data.
        until: the end of the data window, None for no cut-off.
        spoken: what only people can say.
    """
    sections = {
        "Use": _use(spoken),
        "Data": _data(reports, contract, until),
        "Metrics on the test table": _metrics(reports["metrics"], reports["model"]),
        "Slices": _slices(reports["slices"]),
        "Gate": _gate(reports["gate"]),
        "Candidates": f"{_candidates(reports['selection'])}\n\n{words.weights(contract)}".strip(),
        "Leakage": _leakage(reports["leakage"]),
        "Features and their owners": _owners(reports, contract),
        "Reproduce": _reproduce(reports["model"]),
    }
    parts = [f"# Model card: {contract.target}\n\n{_summary(reports)}"]
    parts += [f"## {name}\n\n{text}" for name, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _summary(reports: Reports) -> str:
    model, gate = reports["model"], reports["gate"]
    verdict = "passed" if gate["passed"] else "**failed**"
    return (
        f"A {model['task']} of `{model['target']}` by the candidate `{model['candidate']}`, "
        f"on {len(model['features'])} features. The gate {verdict}. {words.verdict(gate)}"
    )


def _use(spoken: Card) -> str:
    limits = "\n".join(f"- {limit}" for limit in spoken.limits)
    return (
        f"Intended use: {spoken.intended_use}\n\nOut of scope: {spoken.out_of_scope}\n\n"
        f"Known limits:\n\n{limits}"
    )


def _data(reports: Reports, contract: Contract, until: datetime | None) -> str:
    quality, model = reports["quality"], reports["model"]
    rows = [
        ["data window", words.window(until)],
        ["rows", quality["rows"]],
        ["quarantined", estimate(quality["quarantined"])],
        ["training rows", _span(model["trained_on"])],
        ["test rows", _span(reports["tested"])],
        ["contract version", contract.version],
        ["columns", len(contract.columns)],
        ["columns known before the prediction", len(contract.known_before())],
    ]
    if quality["freshness"]:
        rows.append(["newest row", quality["freshness"]["newest_row"]])
    return table(["", ""], rows)


def _span(part: Reports) -> str:
    """How many rows, and their times if the contract has a time."""
    ends = [f"{name} {part[name]}" for name in ("from", "until") if name in part]
    of = f" of {part['of']}, drawn evenly (train.max_rows)" if "of" in part else ""
    return ", ".join([f"{part['rows']}{of}", *ends])


def _metrics(metrics: Reports, model: Reports) -> str:
    rows = [[name, estimate(line), words.meaning(name)] for name, line in metrics.items()]
    header = ["metric", "value (confidence interval)", "what it is"]
    about = f"{words.positive(model)} {words.RESAMPLED}".strip()
    return f"{table(header, rows)}\n\n{about}"


def _slices(slices: list[Reports]) -> str:
    if not slices:
        return "`evaluate.slices` names no column, or no slice has enough rows."
    rows = [[line["column"], line["slice"], line["rows"], estimate(line)] for line in slices]
    return table(["column", "slice", "rows", "headline metric"], rows)


def _gate(gate: Reports) -> str:
    rows = [
        [line["name"], "yes" if line["passed"] else "NO", line["value"], line["limit"], line["why"]]
        for line in gate["checks"]
    ]
    return table(["check", "passed", "value", "limit", "what it is"], rows)


def _candidates(selection: Reports) -> str:
    rows = [
        [line["candidate"], line["mean"], line["standard_error"], line["features"]]
        for line in selection["candidates"]
    ]
    header = ["candidate", f"{selection['headline']} (mean of folds)", "standard error", "features"]
    why = f"{selection['why']}. The baseline is the first, {selection['baseline']}."
    return f"{why}\n\n{table(header, rows)}"


def _leakage(probes: list[Reports]) -> str:
    allowed = [probe for probe in probes if probe["allowed"]]
    if not allowed:
        return f"None of {len(probes)} leakage probes fired, and no exception is stated."
    rows = [[line["column"], line["name"], line["value"], line["allowed"]] for line in allowed]
    header = ["column", "probe", "value", "why it is allowed"]
    return f"Exceptions stated in `split.leakage.allow`:\n\n{table(header, rows)}"


def _owners(reports: Reports, contract: Contract) -> str:
    used = [line for line in reports["features"] if line["name"] in reports["model"]["features"]]
    rows = [[owner, ", ".join(names)] for owner, names in words.owners(used).items()]
    return (
        f"{table(['owner', 'features'], rows)}\n\n"
        "Each is documented in [features.md](features.md). "
        f"Owners of the columns that they are made from: "
        f"{cell(words.column_owners(used, contract))}."
    )


def _reproduce(model: Reports) -> str:
    return (
        "`git checkout` the commit of this card, then `dvc checkout` for the same bytes, or "
        f"`dvc repro --force` to make them again. models/model.onnx is sha256 `{model['sha256']}`."
    )


def span(rows: "pd.DataFrame", time: str | None) -> dict[str, Any]:
    """How many rows, and the first and the last time."""
    times = {} if time is None else {"from": rows[time].min(), "until": rows[time].max()}
    return {"rows": len(rows), **{name: str(moment) for name, moment in times.items()}}


def main(project: Project) -> None:
    """Read, call, write."""
    os.environ.setdefault("MPLCONFIGDIR", str(paths.PLOT_CACHE))  # not in the home folder
    contract, spoken, until = contracts.load(), params.load(Card), params.load(Ingest).until
    reports = {name: read_json(path) for name, path in REPORTS.items()} | {
        "tested": span(read_table(paths.TEST, contract.row_columns), contract.time),
        "command": project.command,
        "plots": {path.stem: read_json(path) for path in sorted(paths.PLOTS.glob("*.json"))},
    }
    write_text(card(reports, contract, until, spoken), paths.MODEL_CARD)
    write_text(page(reports, contract, until, spoken, params.load(Evaluate).level), paths.PAGE)
