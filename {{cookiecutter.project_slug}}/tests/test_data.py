"""The data itself: what lies in data/source keeps the contract, up to the quarantine's limit."""

import pytest

from machinery.pipeline.data import contract, tables
from machinery.pipeline import params
from machinery.pipeline.paths import SOURCE
from machinery.pipeline.stages.ingest import ingest, read

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="data/source is not here: dvc pull")


def test_the_source_keeps_the_contract() -> None:
    dials, data = params.load(params.Ingest), contract.load()
    table = ingest(read(dials), dials.until, data)
    violations = tables.check(table, data)
    bad = {row for violation in violations for row in violation.rows or ()}
    assert [str(each) for each in violations if each.rows is None] == []
    assert len(bad) <= params.load(params.Validate).quarantine_limit * len(table)


def test_the_target_has_every_class() -> None:
    dials, data = params.load(params.Ingest), contract.load()
    data.require_classes(ingest(read(dials), dials.until, data)[data.target])
