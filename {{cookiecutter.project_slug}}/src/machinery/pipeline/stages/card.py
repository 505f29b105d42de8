"""Write the model card and the page from the reports of the run."""

import os
from typing import TYPE_CHECKING, Any

from machinery.pipeline import params, paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.files import read_json, read_table, write_text
from machinery.pipeline.page.document import card, page
from machinery.pipeline.params import Card, Evaluate, Ingest
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd

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


def span(rows: "pd.DataFrame", time: str | None) -> dict[str, Any]:
    """The number of rows, and the first and last time if there is a time column."""
    times = {} if time is None else {"from": rows[time].min(), "until": rows[time].max()}
    return {"rows": len(rows), **{name: str(moment) for name, moment in times.items()}}


def main(project: Project) -> None:
    """Run the stage."""
    os.environ.setdefault("MPLCONFIGDIR", str(paths.PLOT_CACHE))  # not in the home folder
    contract, spoken, until = contracts.load(), params.load(Card), params.load(Ingest).until
    reports = {name: read_json(path) for name, path in REPORTS.items()} | {
        "tested": span(read_table(paths.TEST, contract.row_columns), contract.time),
        "command": project.command,
        "plots": {path.stem: read_json(path) for path in sorted(paths.PLOTS.glob("*.json"))},
    }
    write_text(card(reports, contract, until, spoken), paths.MODEL_CARD)
    write_text(page(reports, contract, until, spoken, params.load(Evaluate).level), paths.PAGE)
