"""Split the valid table into training and test table, and probe them for leakage."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data import leakage
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.leakage import Probe
from machinery.pipeline.files import CheckError, UserError, read_table, write_json, write_table
from machinery.pipeline.params import Ingest, Leakage, Split
from machinery.pipeline.paths import LEAKAGE, TEST, TRAIN, VALID
from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd

Parts = tuple["pd.DataFrame", "pd.DataFrame"]


def split(
    table: "pd.DataFrame", until: datetime | None, contract: Contract, params: Split
) -> Parts:
    """The table in two parts, by time, by group or stratified by the target.

    Raises:
        UserError: when a part would be empty, or a class does not occur in training.
    """
    is_test = _is_test(table, until, contract, params)
    parts = table[~is_test].reset_index(drop=True), table[is_test].reset_index(drop=True)
    for name, part in zip(("training", "test"), parts, strict=True):
        if part.empty:
            raise UserError(f"split.by {params.by} leaves no {name} row of {len(table)}; widen it")
    contract.require_classes(parts[0][contract.target])
    return parts


def probe(parts: Parts, catalogue: Catalogue, params: Leakage, seed: int) -> list[Probe]:
    """Run every leakage probe, on both parts and on the features of a sample of training rows.

    Raises:
        CheckError: naming each column that leaks without a stated exception.
        UserError: for too few rows, or an exception that no probe needs.
    """
    train, test = parts
    rows = train.sample(min(params.rows, len(train)), random_state=seed).sort_index()
    leakage.require_rows(rows, catalogue.contract)
    probes = leakage.between_parts(train, test, catalogue.contract)
    probes += leakage.in_features(rows, catalogue, params.limit, seed)
    probes += leakage.of_means(train, test, catalogue)
    probes = leakage.allow(probes, params.allow)
    if leaks := [probe for probe in probes if not probe.passed]:
        reason = {leaks[0].name: {leaks[0].column: "REASON"}}
        exception = json.dumps(reason, ensure_ascii=False)  # also valid YAML for any name
        remedy = f"fix it, or let it pass by split.leakage.allow: {exception}"
        raise CheckError(f"leakage: {'; '.join(map(str, leaks))}; {remedy}")
    return probes


def _is_test(
    table: "pd.DataFrame", until: datetime | None, contract: Contract, params: Split
) -> Any:
    """A mask of the test rows; stratified, a share of each class, or of each fifth of a number."""
    random = np.random.default_rng(params.seed)
    if params.by == "time":
        end = until or table[contract.time].max()
        return table[contract.time] >= end - timedelta(days=params.test_days)
    if params.by == "group":
        groups = random.permutation(np.sort(table[contract.group].unique()))
        return table[contract.group].isin(groups[: round(params.test_share * len(groups))])
    strata = contract.encode(table[contract.target])
    if contract.task == "regression":
        strata = np.searchsorted(np.quantile(strata, [0.2, 0.4, 0.6, 0.8]), strata)
    is_test = np.zeros(len(table), dtype=bool)
    for stratum in np.unique(strata):
        rows = random.permutation(np.flatnonzero(strata == stratum))
        is_test[rows[: round(params.test_share * len(rows))]] = True
    return is_test


def main(project: Project) -> None:
    """Run the stage."""
    params, contract = sections.load(Split), contracts.load()
    parts = split(read_table(VALID), sections.load(Ingest).until, contract, params)
    catalogue = Catalogue(contract, project.features())
    probes = probe(parts, catalogue, params.leakage, params.seed)
    for part, path in zip(parts, (TRAIN, TEST), strict=True):
        write_table(part, path)
    write_json([vars(probe) | {"passed": probe.passed} for probe in probes], LEAKAGE)
