"""card: every report in; the model card and the page out, filled from the run."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from machinery.pipeline.data import contract
from machinery.pipeline import params
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_json, read_table, write_text
from machinery.pipeline.markdown import cell, estimate, table
from machinery.pipeline.page.document import page
from machinery.pipeline.page.words import RESAMPLED, column_owners, exceptions, nothing_found, owners, window
from machinery.pipeline.params import Card, Evaluate, Ingest
from machinery.pipeline.paths import DATA_QUALITY, FEATURES, GATE, LEAKAGE, METRICS, MODEL_CARD, MODEL_INFO, PAGE, PLOTS, SELECTION, SLICES, TEST

from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd

Reports = dict[str, Any]


def card(reports: Reports, contract: Contract, until: datetime | None, params: Card) -> str:
    """The model card (Mitchell et al. 2019, arXiv:1810.03993) as Markdown.

    Args:
        reports: the documents `model`, `selection`, `metrics`, `slices`, `gate`, `leakage`,
            `quality` and `features`, as the stages wrote them, and `tested` (see `span`).
        contract: the contract of the data.
        until: the end of the data window, None where it takes all there is.
        params: what only people can say.
    """
    sections = {
        f"Model card: {contract.target}": _summary(reports),
        "Use": _use(params),
        "Data": _data(reports, contract, until),
        "Metrics on the test table": _metrics(reports["metrics"]),
        "Slices": _slices(reports["slices"]),
        "Gate": _gate(reports["gate"]),
        "Candidates": _candidates(reports["selection"]),
        "Leakage": _leakage(reports["leakage"]),
        "Features and their owners": _owners(reports, contract),
        "Reproduce": _reproduce(reports["model"]),
    }
    first, *rest = sections.items()
    pages = [f"# {first[0]}\n\n{first[1]}", *(f"## {name}\n\n{text}" for name, text in rest)]
    return "\n\n".join(pages) + "\n"


def _summary(reports: Reports) -> str:
    model, gate = reports["model"], reports["gate"]
    refused = [check["name"] for check in gate["checks"] if not check["passed"]]
    verdict = "passed" if gate["passed"] else f"**said no** ({', '.join(refused)})"
    return (
        f"A {model['task']} of `{model['target']}` by the candidate `{model['candidate']}`, "
        f"on {len(model['features'])} features. The gate {verdict}."
    )


def _use(params: Card) -> str:
    limits = "\n".join(f"- {limit}" for limit in params.limits)
    return (
        f"Meant for: {params.intended_use}\n\nNot meant for: {params.out_of_scope}\n\n"
        f"Known limits:\n\n{limits}"
    )


def _data(reports: Reports, contract: Contract, until: datetime | None) -> str:
    quality, model = reports["quality"], reports["model"]
    rows = [
        ["data window", window(until)],
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
    """How many rows, and their times where the contract has a time."""
    ends = [f"{name} {part[name]}" for name in ("from", "until") if name in part]
    return ", ".join([str(part["rows"]), *ends])


def _metrics(figures: Reports) -> str:
    rows = [[name, estimate(interval)] for name, interval in figures.items()]
    return f"{table(['metric', 'value (confidence interval)'], rows)}\n\n{RESAMPLED}"


def _slices(slices: list[Reports]) -> str:
    if not slices:
        return "None is named in `evaluate.slices`, or none has enough rows."
    rows = [[each["column"], each["slice"], each["rows"], estimate(each)] for each in slices]
    return table(["column", "slice", "rows", "headline metric"], rows)


def _gate(gate: Reports) -> str:
    rows = [
        [each["name"], "yes" if each["passed"] else "NO", each["value"], each["limit"], each["why"]]
        for each in gate["checks"]
    ]
    return table(["check", "passed", "figure", "limit", "what it is"], rows)


def _candidates(selection: Reports) -> str:
    rows = [
        [each["candidate"], each["mean"], each["standard_error"], each["features"]]
        for each in selection["candidates"]
    ]
    header = ["candidate", f"{selection['headline']} (mean of folds)", "standard error", "features"]
    why = f"{selection['why']}. The baseline is the first, {selection['baseline']}."
    return f"{why}\n\n{table(header, rows)}"


def _leakage(probes: list[Reports]) -> str:
    let_pass = exceptions(probes)
    if not let_pass:
        return nothing_found(probes)
    rows = [[each["column"], each["name"], each["value"], each["allowed"]] for each in let_pass]
    header = ["column", "probe", "figure", "why it may pass"]
    return f"Exceptions stated in `split.leakage.allow`:\n\n{table(header, rows)}"


def _owners(reports: Reports, contract: Contract) -> str:
    used = [each for each in reports["features"] if each["name"] in reports["model"]["features"]]
    rows = [[owner, ", ".join(names)] for owner, names in owners(used).items()]
    return (
        f"{table(['who answers', 'features'], rows)}\n\n"
        "Each is documented in [features.md](features.md). "
        f"Who answers for the columns that they are made from: "
        f"{cell(column_owners(used, contract))}."
    )


def _reproduce(model: Reports) -> str:
    return (
        "`git checkout` the commit of this card, then `dvc checkout` for the same bytes, or "
        f"`dvc repro --force` to make them again. models/model.onnx is sha256 `{model['sha256']}`."
    )


def span(table: "pd.DataFrame", time: str | None) -> dict[str, Any]:
    """How many rows, and the first and the last time."""
    times = {} if time is None else {"from": table[time].min(), "until": table[time].max()}
    return {"rows": len(table), **{name: str(moment) for name, moment in times.items()}}


def main(project: Project) -> None:
    """Read, call, write."""
    data, words, level = contract.load(), params.load(Card), params.load(Evaluate).level
    reports = {
        "model": read_json(MODEL_INFO),
        "selection": read_json(SELECTION),
        "metrics": read_json(METRICS),
        "slices": read_json(SLICES),
        "gate": read_json(GATE),
        "leakage": read_json(LEAKAGE),
        "quality": read_json(DATA_QUALITY),
        "features": read_json(FEATURES),
        "tested": span(read_table(TEST, data.row_columns), data.time),
        "command": project.command,
        "plots": {path.stem: read_json(path) for path in sorted(PLOTS.glob("*.json"))},
    }
    until = params.load(Ingest).until
    write_text(card(reports, data, until, words), MODEL_CARD)
    write_text(page(reports, data, until, words, level), PAGE)
