"""document: every report in; reports/index.html out, one file that needs no other."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.params import Card
from . import origins, results
from .html import Html, breakable, facts, join, number, precise, tag
from .words import column_owners, plainly, title, window

Reports = Mapping[str, Any]

STYLE = Path(__file__).with_name("style.css")
# Nothing is loaded and nothing runs, whatever somebody's text may say.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LINKS = {
    "model_card.md": "model card, the same as text",
    "features.md": "feature catalogue",
    "gate.json": "gate",
    "data_quality.json": "data quality",
    "leakage.json": "leakage probes",
    "../metrics.json": "metrics",
    "../params.yaml": "parameters",
    "../contract.yaml": "contract of the data",
    "../dvc.yaml": "pipeline",
    "../docs/runbook.md": "runbook: alerts, rollback, retraining",
    "../docs/canvas.md": "ML canvas",
}


class Section(NamedTuple):
    """A section with its anchor."""

    anchor: str
    title: str
    body: Html


def page(
    reports: Reports, contract: Contract, until: datetime | None, params: Card, level: float
) -> str:
    """The page. Deterministic: it depends on its arguments alone.

    Args:
        reports: the documents of the card (see stages/card.py), and `plots` and `features`.
        contract: the contract of the data.
        until: the end of the data window, None where it takes all there is.
        params: what only people can say.
        level: of the confidence intervals.
    """
    shown = _sections(reports, contract, params, level)
    name = f"Model report: {contract.target}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", name),
        tag("style", Html(STYLE.read_text(encoding="utf-8"))),
    )
    body = tag(
        "body",
        tag("a", "To the figures", class_="skip", href="#gate"),
        _header(reports, contract, until, level),
        _navigation(shown),
        tag("main", *(_section(each) for each in shown)),
        tag("footer", "Written by the stage card of the pipeline. This file loads nothing."),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".replace("><", ">\n<")


def _sections(reports: Reports, contract: Contract, params: Card, level: float) -> list[Section]:
    """What there is to show, in the order of the page."""
    model, plots, headline = reports["model"], reports["plots"], reports["selection"]["headline"]
    unit = _unit(contract)
    ranking = plots.get("importance", ())
    whole = reports["metrics"][headline]["value"]
    sections = [
        ("gate", "Gate", results.gate(reports["gate"])),
        ("metrics", "Metrics", results.measured(reports["metrics"], headline, level, unit)),
        ("curves", "Curves", results.curves(plots, model, unit)),
        ("slices", "Slices", results.slices(reports["slices"], headline, whole)),
        ("importance", "Importance", origins.importance(ranking, headline)),
        ("candidates", "Candidates", origins.candidates(reports["selection"])),
        ("data", "Data quality", origins.data(reports["quality"], reports["leakage"])),
        ("features", "Features", origins.features(reports["features"], model, ranking)),
        ("card", "Model card", _card(reports, contract, params)),
        ("versions", "Versions", _versions(model, reports["command"])),
    ]
    return [Section(anchor, name, body) for anchor, name, body in sections if body is not None]


def _header(reports: Reports, contract: Contract, until: datetime | None, level: float) -> Html:
    model = reports["model"]
    described = contract.columns[contract.target].description
    tiles = [
        ("Candidate", breakable(model["candidate"])),
        ("Features", number(len(model["features"]))),
        ("Training rows", number(model["trained_on"]["rows"])),
        ("Test rows", number(reports["tested"]["rows"])),
        ("Data", window(until)),
        ("Model file", f"{number(model['bytes'] / 1000)} kB"),
    ]
    return tag(
        "header",
        tag("p", f"{reports['command']} · model report · {model['task']}", class_="eyebrow"),
        tag("h1", contract.target),
        tag("p", described, class_="lead"),
        _verdict(reports, level, _unit(contract)),
        tag("div", facts(tiles), class_="at-a-glance"),
    )


def _verdict(reports: Reports, level: float, unit: str) -> Html:
    """The gate's word and the headline metric, before all else."""
    gate, headline = reports["gate"], reports["selection"]["headline"]
    found, gain = reports["metrics"][headline], reports["metrics"]["gain_over_baseline"]
    limits = f"{precise(found['low'])} to {precise(found['high'])}"
    refused = [plainly(each["name"]).lower() for each in gate["checks"] if not each["passed"]]
    total = len(gate["checks"])
    said = f"All {total} checks hold."
    if refused:
        said = f"{len(refused)} of {total} checks refuse it: {', '.join(refused)}."
    over = reports["selection"]["baseline"]
    better = f"{precise(gain['value'])}{unit} better than {over}, the baseline"
    return tag(
        "div",
        tag("div", "✓" if gate["passed"] else "✕", class_="sign", aria_hidden="true"),
        tag(
            "div",
            tag("h2", "The gate passed" if gate["passed"] else "The gate said no"),
            tag("p", said),
        ),
        tag(
            "div",
            tag("span", title(headline)),
            tag("strong", precise(found["value"]), tag("small", unit) if unit else None),
            tag("span", f"{level:.0%} interval {limits}"),
            tag("span", better),
            class_="headline",
        ),
        class_=f"verdict {'passed' if gate['passed'] else 'refused'}",
    )


def _navigation(sections: list[Section]) -> Html:
    links = (tag("li", tag("a", each.title, href=f"#{each.anchor}")) for each in sections)
    return tag("nav", tag("ul", *links), aria_label="Sections")


def _section(section: Section) -> Html:
    head = tag("h2", section.title, id=f"{section.anchor}-head")
    labelled = f"{section.anchor}-head"
    return tag("section", head, section.body, id=section.anchor, aria_labelledby=labelled)


def _card(reports: Reports, contract: Contract, params: Card) -> Html:
    """The words of people, and who answers for what."""
    model = reports["model"]
    used = [each for each in reports["features"] if each["name"] in model["features"]]
    before = len(contract.known_before())
    return join(
        [
            tag(
                "div",
                tag("div", tag("h3", "Meant for"), tag("p", params.intended_use)),
                tag("div", tag("h3", "Not meant for"), tag("p", params.out_of_scope)),
                class_="halves",
            ),
            tag("h3", "Known limits"),
            tag("ul", *(tag("li", limit) for limit in params.limits), class_="plain"),
            tag("h3", "Facts"),
            _listed(
                [
                    ("Target", contract.target),
                    ("Columns", f"{len(contract.columns)}, {before} known before the prediction"),
                    ("Contract", f"version {contract.version}"),
                    ("Owners of its columns", column_owners(used, contract)),
                    ("Promised coverage", f"{model['coverage']:.0%}"),
                    ("Model file", tag("code", f"models/model.onnx, sha256 {model['sha256']}")),
                ]
            ),
        ]
    )


def _versions(model: Reports, command: str) -> Html:
    """Commands and files beside this page that tell more."""
    commands = [
        (f"{command} releases", "the released versions, with their metrics"),
        (f"{command} lineage --sha256 {model['sha256'][:8]}", "what this model was made from"),
        (f"{command} rollback VERSION", "brings a released version back, and proves it"),
        ("dvc checkout", "the same bytes, after git checkout of the commit of this page"),
        ("dvc repro --force", "makes them again"),
    ]
    return join(
        [
            _listed([(tag("code", typed), told) for typed, told in commands], "commands"),
            tag("h3", "Files"),
            tag(
                "ul",
                *(
                    tag("li", tag("a", path.rpartition("/")[2], href=path), f" – {told}")
                    for path, told in LINKS.items()
                ),
                class_="plain",
            ),
        ]
    )


def _listed(pairs: list[tuple[Any, Any]], kind: str = "") -> Html:
    return tag("div", facts(pairs), class_=f"list-box {kind}".strip())


def _unit(contract: Contract) -> str:
    """The unit of the target, to be put behind a figure."""
    unit = contract.columns[contract.target].unit
    return f" {unit}" if unit and contract.task == "regression" else ""
